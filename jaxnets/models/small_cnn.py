"""The CNN with fewer than 50,000 parameters (report S1 Q1)."""

import jax
from flax import linen as nn

from jaxnets.config.model import SmallCNNConfig
from jaxnets.nn.layers import Activation, BatchNorm, Conv, Dense
from jaxnets.nn.pool import max_pool

Array = jax.Array


class SmallCNN(nn.Module):
    """Images [N, 32, 32, C] -> logits [N, classes].

    The stated padding of 2 throughout gives 32 -> 15 -> 7 -> 4 pixels with 3×3 pooling at stride 2, which is what makes
    the stated parameter count, 49,338, come out. No activation is stated between the two dense layers; without one they
    would be a single linear map, so a ReLU stands there.
    """

    config: SmallCNNConfig
    classes: int
    axis_name: str | None = None

    @nn.compact
    def __call__(self, images: Array, *, train: bool) -> Array:
        x = images
        for features, kernel in zip(self.config.filters, (5, 5, 3), strict=True):
            x = Conv(features, kernel, self.config.init, padding=2)(x)
            x = BatchNorm(self.axis_name)(x, train=train)
            # ReLU and the maximum commute, and behind the pooling there is a quarter of the elements.
            x = Activation()(max_pool(x, window=3, stride=2))
        x = x.reshape(x.shape[0], -1)
        x = Activation()(Dense(self.config.dense, self.config.init)(x))
        return Dense(self.classes, self.config.init, name="head")(x)
