"""A linear classifier."""

import jax
from flax import linen as nn

from jaxnets.config.model import LinearConfig
from jaxnets.nn.layers import Dense

Array = jax.Array


class Linear(nn.Module):
    """Features [N, D] -> logits [N, classes]."""

    config: LinearConfig
    classes: int
    axis_name: str | None = None

    @nn.compact
    def __call__(self, features: Array, *, train: bool) -> Array:
        del train
        return Dense(self.classes, self.config.init, name="head")(features)
