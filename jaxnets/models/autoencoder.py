"""An autoencoder of images (report S2 Q5)."""

import math

import jax
from flax import linen as nn

from jaxnets.config.model import AutoencoderConfig
from jaxnets.nn.layers import Conv, Dense

Array = jax.Array


class Autoencoder(nn.Module):
    """Images [N, H, W, C] in [0, 1] -> what is left of them behind a narrow layer, of the same shape and range.

    With filters there are convolutions around the dense layers: on the way in 3×3 at stride 2, each with a ReLU, on the way
    out the same mirrored, pixels being doubled before each.
    """

    config: AutoencoderConfig
    axis_name: str | None = None

    @nn.compact
    def __call__(self, images: Array, *, train: bool) -> Array:
        del train
        config = self.config
        x = images
        for filters in config.filters:
            x = jax.nn.relu(Conv(filters, 3, config.init, stride=2, padding=1)(x))
        shape = x.shape
        x = x.reshape(shape[0], -1)
        for width in config.hidden:
            x = jax.nn.relu(Dense(width, config.init)(x))
        x = Dense(math.prod(shape[1:]), config.init, name="head")(x).reshape(shape)
        for filters in (*config.filters[-2::-1], images.shape[-1]) if config.filters else ():
            x = jax.nn.relu(x).repeat(2, axis=1).repeat(2, axis=2)
            x = Conv(filters, 3, config.init, padding=1)(x)
        return jax.nn.sigmoid(x)
