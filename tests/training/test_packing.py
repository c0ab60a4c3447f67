"""Small arrays in one buffer: what comes out is what went in, and training with them is the same training."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxnets import models
from jaxnets.config.model import LeNetConfig
from jaxnets.tasks import classification
from jaxnets.training import state
from jaxnets.training.packing import pack, unpack
from jaxnets.training.step import make_train_step, multi_step
from tests.training.test_step import INPUTS, arrays, make_loader

__all__ = ["arrays"]

OBJECTIVE = classification.objective("image")
TREE = {
    "filters": np.arange(54.0, dtype=np.float32).reshape(3, 3, 2, 3),
    "bias": np.float32([7, 8]),
    "count": np.int32(5),
    "large": np.arange(200.0, dtype=np.float32).reshape(20, 10),
    "steps": np.arange(4, dtype=np.int32),
    "key": jax.random.key(1),
    "nothing": np.zeros((0, 3), np.float32),
}


def test_small_arrays_of_a_type_are_one_buffer_and_come_back():
    tree = jax.tree.map(jnp.asarray, TREE)
    packed = pack(tree, 100)
    assert sorted(buffer.size for buffer in packed.buffers) == [1, 5, 56, 200]
    chex.assert_trees_all_equal(unpack(packed), tree)
    # Of filters those of one output lie together.
    [flat] = [buffer for buffer in packed.buffers if buffer.size == 56]
    np.testing.assert_array_equal(flat[2 : 2 + 18], TREE["filters"][..., 0].reshape(-1))


def test_without_a_limit_the_buffers_are_the_leaves():
    tree = jax.tree.map(jnp.asarray, TREE)
    assert all(buffer is leaf for buffer, leaf in zip(pack(tree, 0).buffers, jax.tree.leaves(tree), strict=True))


def test_buffers_pass_through_loops_and_maps_with_axes_in_front():
    tree = {"filters": jnp.asarray(TREE["filters"]), "bias": jnp.asarray(TREE["bias"])}
    scaled = lambda scale: jax.tree.map(lambda x: jnp.full_like(x, scale) * x, tree)
    _, stacked = jax.lax.scan(lambda _, scale: ((), pack(scaled(scale))), (), jnp.arange(3.0))
    mapped = jax.vmap(lambda scale: pack(scaled(scale)))(jnp.arange(3.0))
    expected = jax.tree.map(lambda x: np.arange(3.0, dtype=np.float32).reshape(3, *[1] * x.ndim) * np.asarray(x), tree)
    for packed in (stacked, mapped):
        assert len(packed.buffers) == 1
        chex.assert_trees_all_equal(unpack(packed), expected)


def trained(arrays, tx, limit, start=None, model=None):
    model = model or models.build(LeNetConfig(batch_norm=True), {"classes": 10})
    train = make_loader(flip=True)
    run = jax.jit(multi_step(make_train_step(model, OBJECTIVE, tx, pack_limit=limit), train, pack_limit=limit))
    start = start or state.create(jax.random.key(0), model, tx, INPUTS)
    return start, *run(start, train.epoch_indices(jax.random.key(1), 0), arrays)


@pytest.mark.parametrize("limit", [100, 2500, 1 << 16])
def test_training_is_the_same(arrays, limit):
    """With all, some and few arrays packed."""
    tx = optax.with_extra_args_support(optax.sgd(0.05, momentum=0.9))
    _, plain, metrics = trained(arrays, tx, 0)
    _, packed, its_metrics = trained(arrays, tx, limit)
    chex.assert_trees_all_close(plain._replace(key=0), packed._replace(key=0), rtol=1e-4, atol=1e-6)
    chex.assert_trees_all_close(metrics, its_metrics, rtol=1e-4)
    chex.assert_trees_all_equal_shapes_and_dtypes(metrics, its_metrics)


def test_weights_that_are_not_finite_are_not_kept(arrays):
    def update(updates, count, params=None, **_):
        """Steps of 1e-3, from the third on infinite ones in the last bias alone."""
        steps = jax.tree.map(lambda x: jnp.full_like(x, 1e-3), updates)
        steps["head"]["bias"] = jnp.where(count >= 2, jnp.inf, steps["head"]["bias"])
        return steps, count + 1

    tx = optax.GradientTransformationExtraArgs(lambda params: jnp.zeros((), jnp.int32), update)
    start, after, _ = trained(arrays, tx, 1 << 16)
    assert int(after.failed_at) == 2
    assert int(after.step) == 6
    chex.assert_trees_all_close(after.params, jax.tree.map(lambda x: x + 2e-3, start.params), atol=1e-6)
    _, plain, _ = trained(arrays, tx, 0)
    chex.assert_trees_all_close(after.model_state, plain.model_state, rtol=1e-5, atol=1e-6)


def test_what_a_rule_keeps_need_not_be_finite(arrays):
    """For example the best loss so far, which is infinite before the first."""
    tx = optax.with_extra_args_support(optax.chain(optax.sgd(0.05), optax.contrib.reduce_on_plateau(cooldown=99)))
    start = state.create(jax.random.key(0), models.build(LeNetConfig(batch_norm=True), {"classes": 10}), tx, INPUTS)
    assert not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(start.opt_state))
    _, after, _ = trained(arrays, tx, 1 << 16)
    assert int(after.failed_at) == -1
    assert not jnp.array_equal(after.params["head"]["bias"], start.params["head"]["bias"])
