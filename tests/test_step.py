"""The training step: loops, seeds, failures, retracing."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxnets import feed, models, optim, parallel, state, tasks
from jaxnets.config import Augment, ImageData, Optim
from jaxnets.model_config import LeNetConfig
from jaxnets.step import _over_parts, make_evaluate, make_step, many_steps

PLAIN = feed.Normalization((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
TASK = tasks.classify("image")
MODEL = models.build(LeNetConfig(batch_norm=True, dropout_conv=(0.1, 0.1)), {"classes": 10})
TX = optax.with_extra_args_support(optax.sgd(0.05))
INPUTS = (jnp.zeros((1, 32, 32, 3)),)


@pytest.fixture(scope="module")
def arrays():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (48, 32, 32, 3)).astype(np.uint8)
    return {"image": jnp.asarray(images), "label": jnp.asarray(rng.integers(0, 10, 48), jnp.int32)}


def make_feed(**augment):
    return feed.shuffled(8, 48, feed.images(ImageData("x", augment=Augment(**augment)), PLAIN))


def replica(i, seed=0):
    return state.create(state.replica_keys(seed, i + 1)[i], MODEL, TX, INPUTS)


def test_many_steps_equal_one_after_the_other(arrays):
    train = make_feed(flip=True)
    step = make_step(MODEL, TASK, TX)
    plan = train.plan(jax.random.key(1), 0)
    together, metrics = jax.jit(many_steps(step, train))(replica(0), plan, arrays)
    one = jax.jit(many_steps(step, train))
    apart, losses = replica(0), []
    for k in range(train.steps):
        apart, m = one(apart, plan[k : k + 1], arrays)
        losses.append(float(m["loss"].value[0]))
    chex.assert_trees_all_close(together.params, apart.params, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(metrics["loss"].value, losses, rtol=1e-5)
    assert int(together.step) == train.steps


def test_a_step_descends(arrays):
    step = jax.jit(make_step(MODEL, TASK, TX))
    batch = make_feed().batch(arrays, jnp.arange(8), jax.random.key(0))
    current = replica(0)
    losses = []
    for _ in range(15):
        current, metrics = step(current, batch)
        losses.append(float(metrics["loss"].value))
    assert losses[-1] < 0.7 * losses[0]


@pytest.mark.parametrize("parts", [1, 2])
def test_training_the_head_leaves_everything_else_bit_identical(arrays, parts):
    tx = optim.build(Optim("adamw", lr=0.01, weight_decay=0.1, clip=1.0, trainable="head"), 9, 3, jax.random.key(0))
    start = state.create(jax.random.key(0), MODEL, tx, INPUTS)
    batch = make_feed().batch(arrays, jnp.arange(8), jax.random.key(0))
    step = jax.jit(make_step(MODEL, TASK, tx, parts=parts, frozen=True))
    end, first = step(start, batch)
    end, second = step(end, batch)
    head = end.params["Dense_2"]
    assert all((head[name] != start.params["Dense_2"][name]).all() for name in head)
    untouched = lambda s: ({name: own for name, own in s.params.items() if name != "Dense_2"}, s.variables)
    chex.assert_trees_all_equal(untouched(end), untouched(start))
    assert second["loss"].value < first["loss"].value
    # The loss is that of evaluation mode: no dropout, running statistics.
    evaluated = make_evaluate(MODEL, TASK, feed.in_order(8, 8, feed.images(ImageData("x"), PLAIN)))
    metrics, _ = evaluated(start.params, start.variables, jax.tree.map(lambda x: x[:8], arrays))
    np.testing.assert_allclose(first["loss"].value, metrics["loss"].value, rtol=1e-5)


def test_replicas_are_independent_and_do_not_depend_on_their_number(arrays):
    train = make_feed(flip=True, crop_padding=2)
    run = many_steps(make_step(MODEL, TASK, TX), train)
    create = lambda key, shared: state.create(key, MODEL, TX, INPUTS)

    def trained(replicas):
        keys = state.replica_keys(7, replicas)
        states = jax.jit(parallel.over_seeds(create))(keys, None)
        plans = jax.vmap(lambda key: train.plan(key, 0))(states.key)
        return jax.jit(parallel.over_seeds(run))(states, plans, arrays)[0]

    three, two = trained(3), trained(2)
    chex.assert_trees_all_close(jax.tree.map(lambda x: x[:2], three.params), two.params, rtol=1e-6)
    kernel = three.params["Conv_0"]["kernel"]
    assert not jnp.allclose(kernel[0], kernel[1])


def test_vmap_and_map_over_seeds_agree(arrays, monkeypatch):
    train = make_feed()
    run = many_steps(make_step(MODEL, TASK, TX), train)
    states = jax.vmap(lambda key: state.create(key, MODEL, TX, INPUTS))(state.replica_keys(0, 2))
    plans = jax.vmap(lambda key: train.plan(key, 0)[:2])(states.key)
    mapped, _ = jax.jit(parallel.over_seeds(run))(states, plans, arrays)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    together, _ = jax.jit(parallel.over_seeds(run))(states, plans, arrays)
    chex.assert_trees_all_close(mapped.params, together.params, rtol=1e-4, atol=1e-5)


def test_a_seed_whose_loss_is_not_finite_is_frozen_and_the_others_go_on(arrays):
    train = make_feed()
    run = jax.jit(parallel.over_seeds(many_steps(make_step(MODEL, TASK, TX), train)))
    states = jax.vmap(lambda key: state.create(key, MODEL, TX, INPUTS))(state.replica_keys(0, 2))
    poisoned = states.params["Dense_2"]["bias"].at[1].set(jnp.inf)
    states.params["Dense_2"]["bias"] = poisoned
    plans = jax.vmap(lambda key: train.plan(key, 0))(states.key)
    after, metrics = run(states, plans, arrays)
    assert after.failed_at.tolist() == [-1, 0]
    assert jnp.isfinite(metrics["loss"].value[0]).all()
    before_kernel, kernel = states.params["Conv_0"]["kernel"], after.params["Conv_0"]["kernel"]
    assert jnp.array_equal(kernel[1], before_kernel[1])
    assert not jnp.array_equal(kernel[0], before_kernel[0])
    assert jnp.array_equal(after.variables["batch_stats"]["BatchNorm_0"]["mean"][1], jnp.zeros(6))


def test_weights_that_would_become_infinite_are_not_kept(arrays):
    """A finite loss whose update overflows."""
    endless = optax.stateless(lambda updates, params: jax.tree.map(lambda u: jnp.full_like(u, jnp.inf), updates))
    huge = optax.with_extra_args_support(endless)
    step = jax.jit(make_step(MODEL, TASK, huge))
    before = state.create(jax.random.key(0), MODEL, huge, INPUTS)
    after, metrics = step(before, make_feed().batch(arrays, jnp.arange(8), jax.random.key(0)))
    assert jnp.isfinite(metrics["loss"].value)
    assert int(after.failed_at) == 0
    chex.assert_trees_all_equal(after.params, before.params)


def test_one_trace_serves_all_calls_of_a_shape(arrays):
    chex.clear_trace_counter()
    train = make_feed()
    run = jax.jit(chex.assert_max_traces(many_steps(make_step(MODEL, TASK, TX), train), n=1))
    current = replica(0)
    for epoch in range(3):
        current, _ = run(current, train.plan(jax.random.key(0), epoch), arrays)


def test_evaluation_equals_one_big_batch(arrays):
    fresh = replica(0)
    whole = jax.jit(make_evaluate(MODEL, TASK, feed.in_order(48, 48, feed.images(ImageData("x"), PLAIN)), True))
    parts = jax.jit(make_evaluate(MODEL, TASK, feed.in_order(7, 48, feed.images(ImageData("x"), PLAIN)), True))
    (m1, d1), (m2, d2) = (f(fresh.params, fresh.variables, arrays) for f in (whole, parts))
    chex.assert_trees_all_close(m1, m2, rtol=1e-5)
    chex.assert_trees_all_equal(d1, d2)
    assert d1["confusion"].sum() == 48


@pytest.mark.parametrize("parts", [2, 4])
def test_a_batch_in_parts_gives_the_same_step(arrays, parts):
    """Without BatchNorm and dropout, which see each part on its own, and by plain descent: Adam would hide a factor."""
    model = models.build(LeNetConfig(), {"classes": 10})
    batch = make_feed().batch(arrays, jnp.arange(8), jax.random.key(0)) | {"mask": jnp.arange(8.0) / 7}
    start = state.create(jax.random.key(0), model, TX, INPUTS)
    whole, metrics = jax.jit(make_step(model, TASK, TX))(start, batch)
    split, its_metrics = jax.jit(make_step(model, TASK, TX, parts=parts))(start, batch)
    chex.assert_trees_all_close(whole.params, split.params, rtol=1e-5, atol=1e-7)
    chex.assert_trees_all_close(metrics, its_metrics, rtol=1e-5)


def test_statistics_pass_through_all_parts(arrays):
    """Running averages after a batch in parts are those after the parts as batches of their own."""
    still = optax.with_extra_args_support(optax.sgd(0.0))
    batch = make_feed().batch(arrays, jnp.arange(8), jax.random.key(0))
    model = models.build(LeNetConfig(batch_norm=True), {"classes": 10})
    start = state.create(jax.random.key(0), model, still, INPUTS)
    split, _ = jax.jit(make_step(model, TASK, still, parts=2))(start, batch)
    one = jax.jit(make_step(model, TASK, still))
    even, odd = jax.tree.map(lambda x: x[0::2], batch), jax.tree.map(lambda x: x[1::2], batch)
    apart, _ = one(one(start, even)[0], odd)
    chex.assert_trees_all_close(split.variables, apart.variables, rtol=1e-5, atol=1e-6)


def test_what_belongs_to_the_whole_batch_goes_to_every_part():
    seen = _over_parts(
        4,
        lambda variables, part, key: ({"share": part["share"], "sum": part["x"].sum()}, variables, ()),
        {},
        {"share": jnp.asarray(0.5), "x": jnp.arange(8.0)},
        jax.random.key(0),
    )[0]
    assert seen == {"share": 2.0, "sum": 28.0}


def test_spsa_measures_the_same_loss_in_parts(arrays):
    from jaxnets.spsa import spsa

    model, tx = models.build(LeNetConfig(), {"classes": 10}), spsa(jax.random.key(3), directions=2)
    batch = make_feed().batch(arrays, jnp.arange(8), jax.random.key(0))
    start = state.create(jax.random.key(0), model, tx, INPUTS)
    whole, split = (jax.jit(make_step(model, TASK, tx, parts=parts))(start, batch)[0] for parts in (1, 4))
    chex.assert_trees_all_close(whole.params, split.params, rtol=1e-3, atol=1e-6)
