"""Rules that evaluate the loss themselves, in the training step: SPSA's variants and line searches."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxnets import models
from jaxnets.config import LinearConfig, Optim, Spsa
from jaxnets.optim import optimizer
from jaxnets.tasks import classification
from jaxnets.training import state
from jaxnets.training.step import make_train_step

RNG = np.random.default_rng(1)
X = jnp.asarray(RNG.normal(size=(32, 5)).astype(np.float32))
Y = jnp.asarray(RNG.integers(0, 3, 32).astype(np.int32))
BATCH = {"image": X, "label": Y, "mask": jnp.ones(32)}
MODEL, OBJECTIVE = models.build(LinearConfig(), {"classes": 3}), classification.objective("image")
# By one program for all rules, so that all start from the same weights to the last bit.
CREATE = jax.jit(jax.vmap(lambda key: state.create(key, MODEL, optax.identity(), (X[:1],))))


def trained(config, steps, batch=BATCH, seeds=2):
    """Losses [steps, seeds] of softmax regression on 5 features, and the last states."""
    tx = optimizer.build(config, steps, steps)
    step = make_train_step(MODEL, OBJECTIVE, tx, measure=optimizer.measure(config, steps, steps) if config.record else None)

    @jax.jit
    @jax.vmap
    def run(start):
        begun = start._replace(opt_state=tx.init(start.params))
        return jax.lax.scan(lambda current, _: step(current, batch), begun, length=steps)

    last, metrics = run(CREATE(jax.random.split(jax.random.key(0), seeds)))
    return np.asarray(metrics["loss"].value).T, last


def least_loss():
    """Of softmax regression, by SciPy."""
    from scipy.optimize import minimize

    def loss(weights):
        logits = np.asarray(X, float) @ weights[:15].reshape(5, 3) + weights[15:]
        return np.mean(np.log(np.exp(logits).sum(1)) - logits[np.arange(32), Y])

    return minimize(loss, np.zeros(18)).fun


@pytest.mark.parametrize("trainable", ["all", "head"])
def test_a_line_search_of_optax_trains(trainable):
    """L-BFGS on a convex loss of 18 parameters is at its minimum in 30 steps."""
    losses, last = trained(Optim("optax.lbfgs", lr=1.0, trainable=trainable), 31)
    assert (last.failed_at < 0).all()
    np.testing.assert_allclose(losses[-1], least_loss(), rtol=1e-4)


VARIANTS = {
    "gaussian": Spsa(directions="gaussian"),
    "orthogonal": Spsa(directions="orthogonal", num_perturbations=4),
    "low_rank": Spsa(directions="low_rank", num_perturbations=4),
    "coordinates": Spsa(directions="coordinates", num_perturbations=18, c=0.003),
    "one_sided": Spsa(difference="one_sided", num_perturbations=4),
    "at_once": Spsa(num_perturbations=4, at_once=2),
    "trust_region": Spsa(trust_region=0.3),
    "blocking": Spsa(blocking=2.0),
    "diagonal": Spsa(hessian="diagonal", a=0.2),
    "full": Spsa(hessian="full", a=0.2),
    "adam": Spsa(rule="adam", blocking=2.0, num_perturbations=4),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_descends(name):
    spsa = VARIANTS[name]
    spsa = Spsa(**{**vars(spsa), "big_a": 10.0, "a": 1.0 if spsa.a == Spsa().a else spsa.a})
    losses, last = trained(Optim("spsa", spsa=spsa, lr=0.05), 120)
    assert (last.failed_at < 0).all()
    assert (losses[-1] - least_loss() < (losses[0] - least_loss()) / 2).all()


def test_calibrated_seeds_wait_and_then_move_by_what_was_asked():
    config = Optim("spsa", spsa=Spsa(calibrate=0.01, num_perturbations=64), record=True)
    losses, last = trained(config, 26)
    np.testing.assert_array_equal(losses[0], losses[25])
    _, start = trained(Optim("sgd", lr=1e-30), 1)
    moves = jnp.abs(last.params["head"]["kernel"] - start.params["head"]["kernel"]).mean((1, 2))
    np.testing.assert_allclose(moves, 0.01, rtol=0.5)


def test_the_trust_region_bounds_steps():
    config = Optim("spsa", spsa=Spsa(a=1e4, trust_region=0.1))
    _, last = trained(config, 1)
    _, start = trained(Optim("sgd", lr=1e-30), 1)
    moved = jax.vmap(optax.tree.norm)(jax.tree.map(jnp.subtract, last.params, start.params))
    np.testing.assert_allclose(moved, 0.1, rtol=1e-3)


def test_a_probe_that_is_not_finite_costs_its_step_alone():
    """Perturbations of 1e38 overflow, the loss itself does not: weights stay and the run has not failed."""
    _, last = trained(Optim("spsa", spsa=Spsa(c=3e38)), 3)
    _, start = trained(Optim("sgd", lr=1e-30), 1)
    assert (last.failed_at < 0).all()
    np.testing.assert_array_equal(last.params["head"]["kernel"], start.params["head"]["kernel"])
    np.testing.assert_array_equal(optimizer.refused_steps(last.opt_state)["refused"], 3)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (Optim("adam"), {}),
        (Optim("spsa"), {"refused": 0}),
        (Optim("spsa", spsa=Spsa(c=3e38)), {"refused": 4}),
        (Optim("spsa", spsa=Spsa(c=3e38, blocking=2.0), trainable="head", ema=0.9), {"refused": 4}),
        (Optim("spsa", spsa=Spsa(a=1e6, blocking=2.0)), {"refused": 3}),  # The first step has no noise to compare with.
    ],
)
def test_refused_steps_are_found_wherever_they_are_counted(config, expected):
    counts = optimizer.refused_steps(trained(config, 4)[1].opt_state)
    assert set(counts) == set(expected)
    for name, count in expected.items():
        np.testing.assert_array_equal(counts[name], [count, count])


@pytest.mark.parametrize(
    ("config", "number"),
    [
        (Optim("sgd"), 1),
        (Optim("spsa", spsa=Spsa(num_perturbations=4)), 8),
        (Optim("spsa", spsa=Spsa(num_perturbations=4, difference="one_sided")), 5),
        (Optim("spsa", spsa=Spsa(num_perturbations=4, blocking=2.0, hessian="diagonal")), 13),
        (Optim("spsa", spsa=Spsa(directions="layerwise")), 200),
    ],
)
def test_evaluations_of_a_step(config, number):
    assert config.evaluations_per_step(100) == number
