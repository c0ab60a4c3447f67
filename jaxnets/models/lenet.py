"""LeNet and its six variants (report S4 §2.4, figures 1 to 6), and the tutorial's ReLU version of it (report S0 §1)."""

import jax
from flax import linen as nn

from jaxnets.config.model import LeNetConfig, TutorialNetConfig
from jaxnets.nn.layers import Activation, BatchNorm, Conv, Dense, Dropout
from jaxnets.nn.pool import avg_pool, max_pool

Array = jax.Array


class LeNet(nn.Module):
    """Images [N, 32, 32, C] -> logits [N, classes].

    A convolution block is: 5×5 convolution, activation, BatchNorm, dropout, 2×2 average pooling. A dense block is: dense
    layer, activation, BatchNorm, dropout. BatchNorm and dropout stand after the activation, as in the report.
    """

    config: LeNetConfig
    classes: int
    axis_name: str | None = None

    @nn.compact
    def __call__(self, images: Array, *, train: bool) -> Array:
        config = self.config

        def finish(x: Array, dropout: float) -> Array:
            x = Activation(config.activation)(x)
            if config.batch_norm:
                x = BatchNorm(self.axis_name)(x, train=train)
            return Dropout(dropout)(x, train=train)

        x = Dropout(config.dropout_input)(images, train=train)
        for features, dropout in zip((6, 16), config.dropout_conv, strict=True):
            x = avg_pool(finish(Conv(features, kernel=5, init_config=config.init)(x), dropout))
        x = x.reshape(x.shape[0], -1)
        for width in config.dense:
            x = finish(Dense(width, config.init)(x), config.dropout_dense)
        return Dense(self.classes, config.init, name="head")(x)


class TutorialNet(nn.Module):
    """Images [N, 32, 32, C] -> logits [N, classes]."""

    config: TutorialNetConfig
    classes: int
    axis_name: str | None = None

    @nn.compact
    def __call__(self, images: Array, *, train: bool) -> Array:
        del train  # The net behaves alike in training and evaluation.
        x = images
        for features in (6, 16):
            x = Activation()(max_pool(Conv(features, kernel=5, init_config=self.config.init)(x)))
        x = x.reshape(x.shape[0], -1)
        for width in (120, 84):
            x = Activation()(Dense(width, self.config.init)(x))
        return Dense(self.classes, self.config.init, name="head")(x)
