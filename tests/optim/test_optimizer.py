"""Update rules: schedules, the sign of the L2 penalty, and agreement with torch.optim."""

import dataclasses
import sys
from types import SimpleNamespace

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxnets.config import Optim, Spsa
from jaxnets.errors import UserError
from jaxnets.optim import optimizer, schedules

A = np.array([[3.0, 0.5], [0.5, 1.0]], np.float32)
START = np.array([1.0, -2.0], np.float32)


def descend(config, steps):
    return descend_by(optimizer.build(config, steps, 10), steps)


def descend_by(tx, steps):
    x = jnp.asarray(START)
    state = tx.init(x)
    for _ in range(steps):
        updates, state = tx.update(jnp.asarray(A) @ x, state, x, value_fn=None)
        x = optax.apply_updates(x, updates)
    return np.asarray(x)


@pytest.mark.parametrize(
    ("config", "torch_name", "options"),
    [
        (Optim("sgd", lr=0.05), "SGD", {}),
        (Optim("sgd", lr=0.05, momentum=0.9), "SGD", {"momentum": 0.9}),
        (Optim("sgd", lr=0.05, momentum=0.9, weight_decay=0.1), "SGD", {"momentum": 0.9, "weight_decay": 0.1}),
        (Optim("adam", lr=0.01), "Adam", {}),
        (Optim("adam", lr=0.01, weight_decay=0.1), "Adam", {"weight_decay": 0.1}),
        (Optim("adamw", lr=0.01, weight_decay=0.1), "AdamW", {"weight_decay": 0.1}),
        (Optim("rmsprop", lr=0.01), "RMSprop", {}),
        (Optim("rmsprop", lr=0.01, momentum=0.5), "RMSprop", {"momentum": 0.5}),
    ],
    ids=lambda v: str(v) if isinstance(v, str) else "",
)
def test_twenty_steps_equal_torch(config, torch_name, options):
    torch = pytest.importorskip("torch", reason="torch is not installed: agreement with torch.optim is not tested")
    x = torch.tensor(START, requires_grad=True)
    rule = getattr(torch.optim, torch_name)([x], lr=config.lr, **options)
    for _ in range(20):
        rule.zero_grad()
        (0.5 * x @ torch.tensor(A) @ x).backward()
        rule.step()
    np.testing.assert_allclose(descend(config, 20), x.detach().numpy(), rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_biases_have_a_rate_of_their_own_and_the_same_decay(name):
    torch = pytest.importorskip("torch", reason="torch is not installed: agreement with torch.optim is not tested")
    start = {"kernel": A, "bias": START}
    target = {"kernel": np.ones_like(A), "bias": np.ones_like(START)}
    args = {"nesterov": True} if name == "sgd" else {}
    config = Optim(name, args=args, lr=0.01, momentum=0.9 * bool(args), weight_decay=0.1, bias_rate=8.0)
    tx = optimizer.build(config, 20, 10)
    ours, state = jax.tree.map(jnp.asarray, start), tx.init(start)
    theirs = {key: torch.tensor(value, requires_grad=True) for key, value in start.items()}
    groups = [
        {"params": [theirs["kernel"]], "lr": 0.01, "weight_decay": 0.1},
        {"params": [theirs["bias"]], "lr": 0.08, "weight_decay": 0.1 / 8},
    ]
    rule = torch.optim.SGD(groups, momentum=0.9, nesterov=True) if name == "sgd" else torch.optim.AdamW(groups)
    for _ in range(20):
        updates, state = tx.update(jax.tree.map(jnp.subtract, ours, target), state, ours)
        ours = optax.apply_updates(ours, updates)
        rule.zero_grad()
        sum(0.5 * (theirs[key] - torch.tensor(target[key])).square().sum() for key in theirs).backward()
        rule.step()
    for key in start:
        np.testing.assert_allclose(ours[key], theirs[key].detach().numpy(), rtol=2e-5, atol=1e-6)
    with pytest.raises(UserError, match="bias_rate: spsa"):
        optimizer.build(Optim("spsa", bias_rate=2.0), 1, 1)


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw", "rmsprop"])
def test_the_penalty_pulls_weights_towards_zero(name):
    tx = optimizer.build(Optim(name, lr=0.1, weight_decay=0.1), 1, 1)
    x = jnp.array([1.0, -1.0])
    updates, _ = tx.update(jnp.zeros(2), tx.init(x), x)
    assert (updates * x < 0).all()


def test_schedules():
    at = lambda config, step: float(schedules.learning_rate(config, config.lr, steps=100, steps_per_epoch=10)(step))
    assert at(Optim(lr=0.5), 99) == 0.5
    cosine = Optim(lr=1.0, schedule="cosine")
    assert [round(at(cosine, k), 4) for k in (0, 50, 100)] == [1, 0.5, 0]
    warm = Optim(lr=1.0, schedule="linear", warmup_epochs=2)
    assert [round(at(warm, k), 4) for k in (0, 10, 20, 60, 100)] == [0, 0.5, 1, 0.5, 0]


def frozen_tree():
    norm = {"scale": jnp.ones(3), "bias": jnp.zeros(3)}
    return {"Conv_0": {"kernel": jnp.full((2, 2), -0.3)}, "Block_0": {"BatchNorm_0": norm}, "head": {"kernel": A[0]}}


def scales_of(tree):
    return {"Block_0": {"BatchNorm_0": {"scale": tree["Block_0"]["BatchNorm_0"]["scale"]}}}


@pytest.mark.parametrize(
    "config",
    [
        Optim("sgd", lr=0.1, momentum=0.9, weight_decay=0.1),
        Optim("adam", clip=0.5),
        Optim("adamw", weight_decay=0.1),
        Optim("rmsprop"),
        Optim("spsa"),
    ],
    ids=lambda config: config.name,
)
@pytest.mark.parametrize(("part", "of"), [("head", lambda tree: tree["head"]), ("scales", scales_of)])
def test_only_a_part_is_trained_and_as_if_it_were_alone(config, part, of):
    """The steps of the part are those of the rule on it by itself."""
    loss = lambda tree: sum(jnp.sum((leaf - 2) ** 2) for leaf in jax.tree.leaves(tree))
    make = lambda trainable: optimizer.build(dataclasses.replace(config, trainable=trainable), 9, 3)

    def descend(tx, params, loss):
        state = tx.init(params)
        for _ in range(3):
            updates, state = tx.update(
                jax.grad(loss)(params), state, params, value=loss(params), value_fn=loss, key=jax.random.key(0)
            )
            params = optax.apply_updates(params, updates)
        return params, state

    start = frozen_tree()
    whole, state = descend(make(part), start, loss)
    rest = loss(start) - loss(of(start))
    alone, state_alone = descend(make("all"), of(start), lambda own: loss(own) + rest)
    chex.assert_trees_all_close(of(whole), alone, rtol=1e-4)
    assert all((new != old).all() for new, old in zip(*map(jax.tree.leaves, (of(whole), of(start))), strict=True))
    unmoved = jax.tree.map(lambda new, old: bool((new == old).all()), whole, start)
    assert jax.tree.leaves(unmoved).count(False) == 1
    assert jax.tree.structure(state) == jax.tree.structure(state_alone)


@pytest.mark.parametrize(("part", "message"), [("head", "a layer called head"), ("scales", "normalization layers")])
def test_a_model_without_the_part_is_named(part, message):
    with pytest.raises(UserError, match=f"{message}; this one has Conv_0"):
        optimizer.build(Optim(trainable=part), 1, 1).init({"Conv_0": {"kernel": jnp.ones(1)}})


@pytest.mark.parametrize(
    ("config", "rule"),
    [
        (Optim("optax.lion", lr=0.01, args={"b1": 0.95}), lambda: optax.lion(0.01, b1=0.95)),
        (Optim("optax:lion", lr=0.01), lambda: optax.lion(0.01)),
        (Optim("optax.contrib.muon", lr=0.01, args={"beta": 0.9}), lambda: optax.contrib.muon(0.01, beta=0.9)),
        (Optim("optax.nadam", lr=0.1, schedule="cosine"), lambda: optax.nadam(optax.cosine_decay_schedule(0.1, 20))),
        (Optim("adam", lr=0.01, args={"b1": 0.5}), lambda: optax.adam(0.01, b1=0.5)),
        (Optim("rmsprop", lr=0.01, args={"decay": 0.5}), lambda: optax.rmsprop(0.01, decay=0.5, eps_in_sqrt=False)),
    ],
    ids=lambda v: v.name if isinstance(v, Optim) else "",
)
def test_a_named_rule_is_the_one_of_optax(config, rule):
    expected = descend_by(optax.with_extra_args_support(rule()), 20)
    np.testing.assert_allclose(descend(config, 20), expected, rtol=1e-5)


@pytest.mark.parametrize("name", ["lion", "sgd"])
def test_the_penalty_and_clipping_go_before_a_named_rule(name):
    """Lion's steps are signs, which hardly depend on clipping; those of SGD do."""
    config = Optim(f"optax.{name}", lr=0.01, weight_decay=0.1, clip=0.5)
    rule = getattr(optax, name)(0.01)
    chain = optax.chain(optax.clip_by_global_norm(0.5), optax.add_decayed_weights(0.1), rule)
    np.testing.assert_allclose(descend(config, 20), descend_by(optax.with_extra_args_support(chain), 20), rtol=1e-6)


def own_rule(learning_rate, momentum=0.0):
    return optax.sgd(learning_rate, momentum)


def test_a_function_is_a_rule_too(monkeypatch):
    """Config files are modules that are registered under their names."""
    monkeypatch.setitem(sys.modules, own_rule.__module__, SimpleNamespace(own_rule=own_rule))
    config = Optim(own_rule, lr=0.05, args={"momentum": 0.9})
    assert config.name == f"{own_rule.__module__}:own_rule"
    np.testing.assert_allclose(descend(config, 20), descend(Optim("sgd", lr=0.05, momentum=0.9), 20), rtol=1e-6)
    with pytest.raises(UserError, match="define it at the top of its file"):
        Optim(lambda learning_rate: optax.sgd(learning_rate))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (Optim("optax.lion", args={"beta": 0.9}), r"^optim\.args\.beta: optax\.lion has no such parameter.* b1, b2, "),
        (Optim("optax.lion", args={"b1": "abc"}), r"^optim\.args: optax\.lion cannot work with b1='abc' .* b1, b2, "),
        (Optim("optax.lionn"), "'optax:lionn', which cannot be imported"),
        (Optim("jaxnets_config_mine:rule"), "load the config file that defines it first"),
        (Optim("adam", args={"learning_rate": 0.1}), r"set optim\.lr instead"),
        (Optim("sgd", args={"momentum": 0.1}), r"set optim\.momentum instead"),
        (Optim("adam", args={"momentum": 0.1}), r"adam has no such parameter"),
        (Optim("spsa", args={"c": 0.1}), r"in optim\.spsa"),
        (Optim("optax.scale_by_adam"), "takes no learning_rate"),
        # Configs made by hand, which no experiment has checked.
        (Optim("spsa", spsa=Spsa(directions="cubic")), "directions must be one of rademacher, gaussian, .*, got 'cubic'"),
        (Optim("spsa", spsa=Spsa(rule="lion")), "optim.spsa.rule must be one of sgd, adam, got 'lion'"),
        (Optim("spsa", spsa=Spsa(hessian="banded")), "spsa.hessian must be one of none, diagonal, full, got 'banded'"),
        (Optim("spsa", spsa=Spsa(difference="both")), "difference must be one of two_sided, one_sided, got 'both'"),
        (Optim("spsa", spsa=Spsa(num_perturbations=0)), "optim.spsa.num_perturbations must be at least 1, got 0"),
        (Optim("spsa", spsa=Spsa(num_perturbations=2.5)), "optim.spsa.num_perturbations must be int, got '2.5'"),
        (Optim("spsa", spsa=Spsa(a=-1.0)), "optim.spsa.a must be a finite number above 0, got -1.0"),
        (Optim("spsa", spsa=Spsa(blocking=float("nan"))), "optim.spsa.blocking must be a finite number, 0 or more"),
        (Optim("sgd", schedule="step"), "optim.schedule must be one of constant, cosine, linear, got 'step'"),
        (Optim("sgd", trainable="tail"), "optim.trainable must be one of all, head, scales, got 'tail'"),
        (Optim("sgd", lr=0.0), "optim.lr must be a finite number above 0, got 0.0"),
        (Optim("lion"), "optim.name must be sgd, adam, .*, got lion"),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_what_cannot_be_built_is_said_in_one_line(config, message):
    with pytest.raises(UserError, match=message) as error:
        optimizer.build(config, 10, 10)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("name", "path"), [("adam", "momentum"), ("spsa", "clip"), ("spsa", "lr"), ("sgd", "spsa.a")])
def test_values_that_a_rule_makes_no_use_of_are_not_compared(name, path):
    with pytest.raises(UserError, match=rf"^optim\.{path} has no effect on {name}"):
        optimizer.build(Optim(name), 10, 10, swept=("ema", path))


def test_replicas_can_differ_in_the_rate_of_a_named_rule():
    config, x = Optim("optax.lion", lr=0.01), jnp.asarray(START)
    swept = optimizer.build(config, 20, 10, swept=("lr",))
    updates, _ = swept.update(x, optimizer.with_hyperparams(swept.init(x), {"lr": jnp.asarray(0.02)}), x)
    tx = optimizer.build(config, 20, 10)
    np.testing.assert_allclose(updates, 2 * tx.update(x, tx.init(x), x)[0], rtol=1e-5)
