"""Plain CNNs: convolutions, each with ReLU and pooling, then dense layers (reports S3 Q1 and S2 Q6.1)."""

import jax
from flax import linen as nn

from jaxnets.config.model import CNNConfig
from jaxnets.nn.layers import Activation, BatchNorm, Conv, Dense, Dropout
from jaxnets.nn.pool import max_pool

Array = jax.Array


class CNN(nn.Module):
    """Images [N, H, W, C] -> logits [N, classes]. Each convolution keeps the image's size and its pooling halves it."""

    config: CNNConfig
    classes: int
    axis_name: str | None = None

    @nn.compact
    def __call__(self, images: Array, *, train: bool) -> Array:
        config = self.config
        x = images
        for i in range(config.convolutions):
            x = Conv(config.width * 2**i, config.kernel, config.init, padding=config.kernel // 2)(x)
            x = BatchNorm(self.axis_name)(x, train=train) if config.batch_norm else x
            # ReLU and the maximum commute, and behind the pooling there is a quarter of the elements.
            x = Dropout(config.dropout_conv)(Activation()(max_pool(x)), train=train)
        x = x.reshape(x.shape[0], -1)
        x = Dropout(config.dropout_dense)(Activation()(Dense(config.dense, config.init)(x)), train=train)
        return Dense(self.classes, config.init, name="head")(x)
