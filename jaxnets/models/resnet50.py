"""ResNet-50 for photographs (He et al. 2015), and its weights in the layout in which they are commonly shared."""

from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from jaxnets.config.model import ResNet50Config
from jaxnets.errors import UserError
from jaxnets.models.resnet import stages
from jaxnets.nn.layers import BatchNorm, Conv, Dense
from jaxnets.nn.pool import max_pool

Array = jax.Array
Tree = dict[str, Any]

_EXPANSION = 4
"""Channels that leave a block, as a multiple of those inside it."""


class ResNet50(nn.Module):
    """Images [N, H, W, 3] -> logits [N, classes] in float32.

    A 7×7 stem at stride 2 and max-pooling, then stages of bottleneck blocks that halve the image from the second stage on,
    then the mean over the image. The stride stands in a block's 3×3 convolution ("v1.5"), as in torchvision, not in its
    first one, as in the paper. With 1000 classes 25,557,032 parameters.
    """

    config: ResNet50Config
    classes: int
    axis_name: str | None = None

    @nn.compact
    def __call__(self, images: Array, *, train: bool) -> Array:
        config = self.config
        x = Conv(config.width, 7, config.init, stride=2, padding=3, bias=False)(images.astype(config.dtype))
        x = jax.nn.relu(BatchNorm(self.axis_name)(x, train=train))
        border = ((0, 0), (1, 1), (1, 1), (0, 0))
        x = max_pool(jnp.pad(x, border, constant_values=-jnp.inf), 3, 2)
        block = nn.remat(Bottleneck, static_argnums=(2,)) if config.remat else Bottleneck
        for number, (stage, first) in enumerate(stages(config.blocks)):
            stride = 2 if first and stage else 1
            made = block(config, config.width * 2**stage, stride, first, self.axis_name, name=f"Block_{number}")
            x = made(x, train)
        return Dense(self.classes, config.init, name="head")(x.mean((1, 2)).astype(jnp.float32))


class Bottleneck(nn.Module):
    """1×1, 3×3 and 1×1 convolutions and a shortcut: [N, H, W, C] -> [N, H / stride, W / stride, 4 · features]."""

    config: ResNet50Config
    features: int
    stride: int
    project: bool
    axis_name: str | None

    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        init = self.config.init

        def normalized(y: Array) -> Array:
            return BatchNorm(self.axis_name)(y, train=train)

        y = jax.nn.relu(normalized(Conv(self.features, 1, init, bias=False)(x)))
        y = jax.nn.relu(normalized(Conv(self.features, 3, init, stride=self.stride, padding=1, bias=False)(y)))
        y = normalized(Conv(_EXPANSION * self.features, 1, init, bias=False)(y))
        if self.project:
            x = normalized(Conv(_EXPANSION * self.features, 1, init, stride=self.stride, bias=False)(x))
        return jax.nn.relu(x + y)


def from_torch(config: ResNet50Config, tensors: Mapping[str, np.ndarray], like: Tree, origin: str) -> Tree:
    """Our variables {"params", "batch_stats"} from tensors that are named and laid out as torchvision's and timm's.

    Args:
      config: of the model.
      tensors: by name: conv1.weight, bn1.running_mean, layer1.0.downsample.0.weight, …, fc.bias.
      like: our variables, or their shapes.
      origin: where the tensors come from, for messages.

    The last layer is left out of the result where it is for another number of classes. Raises UserError, which names the
    tensor, for one that is missing, unknown or of another shape.
    """
    left = {name for name in tensors if not name.endswith("num_batches_tracked")}
    loaded: Tree = {}
    for name, where, order in _names(config):
        expected: Any = like
        for step in where:
            expected = expected[step]
        if name not in tensors:
            raise UserError(f"{origin} has no tensor {name}; it must hold a ResNet-50 in the layout of torchvision or timm")
        left.discard(name)
        found = np.asarray(tensors[name])
        if found.ndim == len(order):
            found = found.transpose(order)
        if found.shape == expected.shape:
            _put(loaded, where, jnp.asarray(found, jnp.float32))
        elif not name.startswith("fc."):
            wanted = tuple(expected.shape[order.index(axis)] for axis in range(len(order)))
            raise UserError(f"{origin}: {name} has the shape {np.shape(tensors[name])}, where {wanted} is needed")
    if left:
        some = ", ".join(sorted(left)[:3]) + (", …" if len(left) > 3 else "")
        raise UserError(f"{origin} holds {len(left)} tensors that a ResNet-50 does not have: {some}")
    if len(loaded["params"].get("head", {})) == 1:
        del loaded["params"]["head"]
    return loaded


_Name = tuple[str, tuple[str, ...], tuple[int, ...]]
"""(their name, the path in our variables, their axis at each of ours)."""


def _names(config: ResNet50Config) -> Iterator[_Name]:
    yield from _convolution((), 0, "conv1", "bn1")
    first_of = {stage: number for number, (stage, first) in reversed([*enumerate(stages(config.blocks))]) if first}
    for number, (stage, first) in enumerate(stages(config.blocks)):
        theirs = f"layer{stage + 1}.{number - first_of[stage]}"
        ours = (f"Block_{number}",)
        for k in range(3):
            yield from _convolution(ours, k, f"{theirs}.conv{k + 1}", f"{theirs}.bn{k + 1}")
        if first:
            yield from _convolution(ours, 3, f"{theirs}.downsample.0", f"{theirs}.downsample.1")
    yield "fc.weight", ("params", "head", "kernel"), (1, 0)
    yield "fc.bias", ("params", "head", "bias"), (0,)


def _convolution(ours: tuple[str, ...], number: int, convolution: str, norm: str) -> Iterator[_Name]:
    """A convolution and the BatchNorm behind it."""
    yield f"{convolution}.weight", ("params", *ours, f"Conv_{number}", "kernel"), (2, 3, 1, 0)
    for theirs, kind, name in (
        ("weight", "params", "scale"),
        ("bias", "params", "bias"),
        ("running_mean", "batch_stats", "mean"),
        ("running_var", "batch_stats", "var"),
    ):
        yield f"{norm}.{theirs}", (kind, *ours, f"BatchNorm_{number}", name), (0,)


def _put(tree: Tree, where: tuple[str, ...], value: Any) -> None:
    for step in where[:-1]:
        tree = tree.setdefault(step, {})
    tree[where[-1]] = value
