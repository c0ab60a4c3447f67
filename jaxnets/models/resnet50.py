"""ResNet-50 for photographs (He et al. 2016; report S2 Q6.1.4), and its weights in the layout of torchvision and timm."""

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
"""Output channels of a block, as a multiple of the channels inside it."""


class ResNet50(nn.Module):
    """Images [N, H, W, 3] -> logits [N, classes] in float32.

    A 7×7 convolution at stride 2 and 3×3 max-pooling; stages of `config.blocks` bottleneck blocks, which from the second
    stage on halve the image and double the channels; the mean over the image; the head. A block's stride is in its 3×3
    convolution ("v1.5"), as in torchvision, not in its first one, as in the paper.

    Activations have the type `config.dtype`; parameters are float32.

    >>> import jax, jax.numpy as jnp
    >>> from jaxnets.config.model import ResNet50Config
    >>> model = ResNet50(ResNet50Config(), classes=1000)
    >>> run = lambda key, images: model.init_with_output(key, images, train=False)
    >>> logits, variables = jax.eval_shape(run, jax.random.key(0), jnp.zeros((1, 224, 224, 3)))
    >>> logits.shape, sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))
    ((1, 1000), 25557032)

    References:
      He, K. et al. (2016), Deep residual learning for image recognition.
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
        for number, (stage, is_first) in enumerate(stages(config.blocks)):
            stride = 2 if is_first and stage else 1
            x = block(config, config.width * 2**stage, stride, is_first, self.axis_name, name=f"Block_{number}")(x, train)
        return Dense(self.classes, config.init, name="head")(x.mean((1, 2)).astype(jnp.float32))


class Bottleneck(nn.Module):
    """A bottleneck residual block: [N, H, W, C] -> [N, ceil(H / stride), ceil(W / stride), 4 · features].

    Convolutions of 1×1, 3×3 (with the stride) and 1×1, each with BatchNorm, ReLUs between them, the shortcut added, and a
    ReLU. The shortcut is the identity or, with `project`, a 1×1 convolution with BatchNorm.

    >>> import jax, jax.numpy as jnp
    >>> from jaxnets.config.model import ResNet50Config
    >>> block = Bottleneck(ResNet50Config(), features=16, stride=2, project=True, axis_name=None)
    >>> run = lambda key, x: block.init_with_output(key, x, False)[0]
    >>> jax.eval_shape(run, jax.random.key(0), jnp.zeros((1, 32, 32, 16))).shape
    (1, 16, 16, 64)
    """

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
    """Converts a ResNet-50's tensors, named and laid out as in torchvision and timm, to the variables of `ResNet50`.

    >>> import numpy as np, jax, jax.numpy as jnp
    >>> from jaxnets.config.model import ResNet50Config
    >>> config = ResNet50Config(blocks=(1,), width=4)
    >>> init = lambda key: ResNet50(config, classes=8).init(key, jnp.zeros((1, 32, 32, 3)), train=False)
    >>> like = jax.eval_shape(init, jax.random.key(0))
    >>> from_torch(config, {"conv1.weight": np.zeros((4, 3, 7, 7))}, like, "weights.safetensors")
    Traceback (most recent call last):
    jaxnets.errors.UserError: weights.safetensors has no tensor bn1.weight; it must hold a ResNet-50 in the layout of ...

    Args:
      config: of the model.
      tensors: by name: conv1.weight [features, channels, 7, 7], bn1.running_mean, layer1.0.downsample.0.weight, …, fc.bias.
      like: the model's variables, or their shapes.
      origin: where the tensors come from, for messages.

    Returns:
      {"params": …, "batch_stats": …} in float32, in the structure of `like`. The head is left out if the tensors' head is
      for another number of classes.

    Raises:
      UserError: a tensor is missing, unknown or of the wrong shape; the message names it.
    """
    unused = {name for name in tensors if not name.endswith("num_batches_tracked")}
    variables: Tree = {}
    for name, path, axes in _names(config):
        expected: Any = like
        for key in path:
            expected = expected[key]
        if name not in tensors:
            raise UserError(f"{origin} has no tensor {name}; it must hold a ResNet-50 in the layout of torchvision or timm")
        unused.discard(name)
        tensor = np.asarray(tensors[name])
        if tensor.ndim == len(axes):
            tensor = tensor.transpose(axes)
        if tensor.shape == expected.shape:
            _set(variables, path, jnp.asarray(tensor, jnp.float32))
        elif not name.startswith("fc."):
            shape = tuple(expected.shape[axes.index(axis)] for axis in range(len(axes)))
            raise UserError(f"{origin}: {name} has the shape {np.shape(tensors[name])}, where {shape} is needed")
    if unused:
        examples = ", ".join(sorted(unused)[:3]) + (", …" if len(unused) > 3 else "")
        raise UserError(f"{origin} holds {len(unused)} tensors that a ResNet-50 does not have: {examples}")
    if len(variables["params"].get("head", {})) == 1:  # One of kernel and bias fits; a head needs both.
        del variables["params"]["head"]
    return variables


_Name = tuple[str, tuple[str, ...], tuple[int, ...]]
"""(the tensor's name, the path in our variables, the tensor's axis for each of our axes)."""


def _names(config: ResNet50Config) -> Iterator[_Name]:
    yield from _convolution((), 0, "conv1", "bn1")
    first_of = {stage: number for number, (stage, is_first) in enumerate(stages(config.blocks)) if is_first}
    for number, (stage, is_first) in enumerate(stages(config.blocks)):
        block = f"layer{stage + 1}.{number - first_of[stage]}"
        path = (f"Block_{number}",)
        for k in range(3):
            yield from _convolution(path, k, f"{block}.conv{k + 1}", f"{block}.bn{k + 1}")
        if is_first:
            yield from _convolution(path, 3, f"{block}.downsample.0", f"{block}.downsample.1")
    yield "fc.weight", ("params", "head", "kernel"), (1, 0)
    yield "fc.bias", ("params", "head", "bias"), (0,)


def _convolution(path: tuple[str, ...], number: int, convolution: str, norm: str) -> Iterator[_Name]:
    """The tensors of a convolution and of the BatchNorm after it."""
    yield f"{convolution}.weight", ("params", *path, f"Conv_{number}", "kernel"), (2, 3, 1, 0)
    for tensor, collection, name in (
        ("weight", "params", "scale"),
        ("bias", "params", "bias"),
        ("running_mean", "batch_stats", "mean"),
        ("running_var", "batch_stats", "var"),
    ):
        yield f"{norm}.{tensor}", (collection, *path, f"BatchNorm_{number}", name), (0,)


def _set(tree: Tree, path: tuple[str, ...], value: Any) -> None:
    for key in path[:-1]:
        tree = tree.setdefault(key, {})
    tree[path[-1]] = value
