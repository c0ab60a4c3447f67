"""ResNets in bfloat16, with recomputation, and with whole channels dropped."""

import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxnets import models, registry
from jaxnets.config.model import ResNetConfig
from jaxnets.data import catalog
from jaxnets.errors import UserError
from jaxnets.nn.layers import Dropout
from jaxnets.tasks import classification
from jaxnets.tasks import task as tasks
from jaxnets.training import engine, state
from jaxnets.training.step import make_train_step

NARROW = ResNetConfig(blocks=(1, 1), width=8)
TX = optax.with_extra_args_support(optax.sgd(0.05))


def batch():
    rng = np.random.default_rng(0)
    images = rng.normal(size=(16, 16, 16, 3)).astype(np.float32)
    return {"image": images, "label": rng.integers(0, 10, 16).astype(np.int32), "mask": np.ones(16, np.float32)}


def after_steps(config, steps=3):
    model, task = models.build(config, {"classes": 10}), classification.objective("image")
    current = jax.jit(lambda: state.create(jax.random.key(0), model, TX, (jnp.zeros((1, 16, 16, 3)),)))()
    step, losses = jax.jit(make_train_step(model, task, TX)), []
    for _ in range(steps):
        current, metrics = step(current, batch())
        losses.append(float(metrics["loss"].value))
    return current, losses


def test_recomputation_changes_nothing():
    plain, losses = after_steps(NARROW)
    again, its_losses = after_steps(dataclasses.replace(NARROW, remat=True))
    chex.assert_trees_all_close(plain.params, again.params, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(losses, its_losses, rtol=1e-5)


def test_recomputation_saves_less_for_the_backward_pass():
    def residual_size(config):
        model = models.build(config, {"classes": 10})
        variables = jax.eval_shape(lambda: model.init(jax.random.key(0), batch()["image"], train=False))
        loss = lambda variables: model.apply(variables, batch()["image"], train=False).sum()
        _, backward = jax.eval_shape(lambda variables: jax.vjp(loss, variables), variables)
        return sum(leaf.size for leaf in jax.tree.leaves(backward))

    assert residual_size(dataclasses.replace(NARROW, remat=True)) < 0.7 * residual_size(NARROW)


def test_bfloat16_trains_like_float32_and_keeps_float32_parameters():
    _, losses = after_steps(NARROW, 8)
    half, its_losses = after_steps(dataclasses.replace(NARROW, dtype="bfloat16"), 8)
    assert {leaf.dtype for leaf in jax.tree.leaves((half.params, half.model_state))} == {jnp.dtype("float32")}
    np.testing.assert_allclose(its_losses, losses, rtol=0.05)
    assert its_losses[-1] < its_losses[0]
    assert its_losses != losses


def test_spatial_dropout_drops_whole_channels():
    x = jnp.ones((50, 4, 4, 30))
    y = Dropout(0.2, spatial=True).apply({}, x, train=True, rngs={"dropout": jax.random.key(0)})
    assert (y == y[:, :1, :1]).all()
    np.testing.assert_allclose(np.unique(y), [0, 1.25], rtol=1e-4)
    assert 0.15 < float((y == 0).mean()) < 0.25


@pytest.mark.parametrize("id_", ["cifar10/gray_cnn/plain", "cifar10/lenet/plain"])
def test_images_that_are_too_small_for_the_model(id_):
    experiment = registry.all_experiments()[id_]
    experiment = dataclasses.replace(experiment, data=dataclasses.replace(experiment.data, shrink=16))
    task = tasks.build(experiment, catalog.element_spec("cifar10"))
    with pytest.raises(UserError, match=rf"{id_}: nothing is left of an input of 2×2×\d after the model's layers"):
        engine.count_parameters(experiment, task)


def test_a_shrinking_that_leaves_a_rest():
    experiment = registry.all_experiments()["cifar10/lenet/plain"]
    experiment = dataclasses.replace(experiment, data=dataclasses.replace(experiment.data, shrink=3))
    with pytest.raises(UserError, match="data.shrink 3 does not divide the 32×32 pixels of cifar10"):
        tasks.build(experiment, catalog.element_spec("cifar10"))
