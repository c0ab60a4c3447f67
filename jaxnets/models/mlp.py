"""Dense nets on images (report S2 Q3)."""

import jax
from flax import linen as nn

from jaxnets.config.model import MLPConfig
from jaxnets.nn.layers import ACTIVATIONS, Dense

Array = jax.Array


class MLP(nn.Module):
    """Images [N, H, W, C] -> logits [N, classes]."""

    config: MLPConfig
    classes: int
    axis_name: str | None = None

    @nn.compact
    def __call__(self, images: Array, *, train: bool) -> Array:
        del train  # The net behaves alike in training and evaluation.
        x = images.reshape(images.shape[0], -1)
        for width in self.config.hidden:
            x = ACTIVATIONS[self.config.activation](Dense(width, self.config.init)(x))
        return Dense(self.classes, self.config.init, name="head")(x)
