"""A model that the package does not know needs a config and a Linen module, nothing else."""

import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import pytest
from flax import linen as nn

from jaxnets import models, registry
from jaxnets.config import ModelConfig
from jaxnets.data import catalog
from jaxnets.errors import UserError
from jaxnets.nn import Activation, BatchNorm, Conv, Dense
from jaxnets.tasks import task as tasks
from jaxnets.training import engine


class TwoConvolutions(nn.Module):
    """Images [N, H, W, C] -> logits [N, classes]."""

    config: ModelConfig
    classes: int
    axis_name: str | None = None

    @nn.compact
    def __call__(self, images, *, train):
        x = images
        for _ in range(2):
            x = Conv(self.config.width, 3, self.config.init, stride=4)(x)
            x = Activation()(BatchNorm(self.axis_name)(x, train=train))
        return Dense(self.classes, self.config.init, name="head")(x.mean((1, 2)))


@dataclasses.dataclass(frozen=True)
class TwoConvolutionsConfig(ModelConfig):
    """Hyper-parameters of TwoConvolutions."""

    target: ClassVar[Any] = TwoConvolutions

    width: int = 4


def test_it_trains_in_an_experiment(shapes10):
    base = registry.all_experiments()["cifar10/lenet/plain"]
    data = dataclasses.replace(base.data, source="synthetic", batch_size=16)
    experiment = dataclasses.replace(base, data=data, model=TwoConvolutionsConfig(width=5), seeds=1)
    task = tasks.build(experiment, catalog.element_spec("cifar10"))
    assert engine.count_parameters(experiment, task) == (27 * 5 + 5) + (45 * 5 + 5) + 4 * 5 + (5 * 10 + 10)
    built = engine.build(experiment, shapes10)
    state = built.init()
    before = jax.tree.map(lambda x: x.copy(), state.params)
    state, metrics = built.train(state, jax.tree.map(lambda x: x[:, :1], built.epoch_indices(state.key, 0)))
    assert jax.tree.all(jax.tree.map(lambda a, b: bool((a != b).any()), before, state.params))
    assert jnp.isfinite(metrics["loss"].value).all()


def test_a_target_that_does_not_exist_is_named():
    @dataclasses.dataclass(frozen=True)
    class Config(ModelConfig):
        target: ClassVar[Any] = "jaxnets.models.lenet:LeNot"

    with pytest.raises(UserError, match="LeNot"):
        models.build(Config(), {"classes": 10})
