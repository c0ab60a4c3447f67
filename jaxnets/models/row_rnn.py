"""Images read row by row by a recurrent net (report S3 Q3)."""

import jax
import jax.numpy as jnp
from flax import linen as nn

from jaxnets.config.model import RowRNNConfig
from jaxnets.nn.layers import Dense
from jaxnets.nn.sequence import Recurrent

Array = jax.Array


class RowRNN(nn.Module):
    """Images [N, H, W, C] -> logits [N, classes]: H steps of W · C values, the last state classified."""

    config: RowRNNConfig
    classes: int
    axis_name: str | None = None

    @nn.compact
    def __call__(self, images: Array, *, train: bool) -> Array:
        batch, height = images.shape[:2]
        rows = images.reshape(batch, height, -1).swapaxes(0, 1)
        lengths = jnp.full((batch,), height)
        _, state = Recurrent(self.config.cell, self.config.hidden)(rows, lengths, train=train)
        return Dense(self.classes, self.config.init, name="head")(state.h[-1])
