"""ResNet-34 for small images (He et al. 2015; report S4 §2.5)."""

from collections.abc import Iterator, Sequence

import jax
import jax.numpy as jnp
from flax import linen as nn

from jaxnets.config.model import ResNetConfig
from jaxnets.nn.layers import Activation, BatchNorm, Conv, Dense, Dropout

Array = jax.Array


class ResNet(nn.Module):
    """Images [N, H, W, C] -> logits [N, classes] in float32.

    A 3×3 stem at stride 1, then stages of blocks that halve the image and double the width from the second stage on, then
    the mean over the image. The first block of every stage, of the first too, has a projection as its shortcut: this is what
    makes the reported parameter count come out.
    """

    config: ResNetConfig
    classes: int
    axis_name: str | None = None

    @nn.compact
    def __call__(self, images: Array, *, train: bool) -> Array:
        config = self.config
        x = Conv(config.width, 3, config.init, padding=1, bias=False)(images.astype(config.dtype))
        x = Activation()(_norm(config, self.axis_name, x, train))
        # Recomputed in the backward pass, a block keeps nothing but its input.
        block = nn.remat(Block, static_argnums=(2,)) if config.remat else Block
        for number, (stage, first) in enumerate(stages(config.blocks)):
            stride = 2 if first and stage else 1
            made = block(config, config.width * 2**stage, stride, first, self.axis_name, name=f"Block_{number}")
            x = made(x, train)
        return Dense(self.classes, config.init, name="head")(x.mean((1, 2)).astype(jnp.float32))


def stages(blocks: Sequence[int]) -> Iterator[tuple[int, bool]]:
    """(stage, whether it is the stage's first) of every block; `blocks` counts those of each stage."""
    for stage, number in enumerate(blocks):
        for i in range(number):
            yield stage, i == 0


class Block(nn.Module):
    """Two 3×3 convolutions and a shortcut: [N, H, W, C] -> [N, H / stride, W / stride, features]."""

    config: ResNetConfig
    features: int
    stride: int
    project: bool
    axis_name: str | None

    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        init = self.config.init
        y = Conv(self.features, 3, init, stride=self.stride, padding=1, bias=False)(x)
        y = Activation()(_norm(self.config, self.axis_name, y, train))
        y = Conv(self.features, 3, init, padding=1, bias=False)(y)
        y = _norm(self.config, self.axis_name, y, train)
        if self.project:
            x = Conv(self.features, 1, init, stride=self.stride, bias=False)(x)
            x = _norm(self.config, self.axis_name, x, train, dropout=False)
        return Activation()(x + y)


def _norm(config: ResNetConfig, axis_name: str | None, x: Array, train: bool, dropout: bool = True) -> Array:
    """BatchNorm, then dropout of whole channels. Called in a compact method, whose module owns the layers."""
    x = BatchNorm(axis_name)(x, train=train)
    return Dropout(config.dropout, spatial=True)(x, train=train) if dropout else x
