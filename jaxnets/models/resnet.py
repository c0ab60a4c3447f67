"""ResNet-34 for small images (He et al. 2015; report S4 §2.5)."""

from collections.abc import Iterator, Sequence

import jax
import jax.numpy as jnp
from flax import linen as nn

from jaxnets.config.model import ResNetConfig
from jaxnets.models import torch_form
from jaxnets.models.torch_form import TorchForm
from jaxnets.nn.layers import Activation, BatchNorm, Conv, Dense, Dropout

Array = jax.Array


class ResNet(nn.Module):
    """Images [N, H, W, C] -> logits [N, classes] in float32.

    A 3×3 convolution at stride 1; stages of `config.blocks` residual blocks, which from the second stage on halve the image
    and double the channels; the mean over the image; the head. The first block of every stage, including the first, has a
    projection as its shortcut, which gives the reported number of parameters.

    Activations have the type `config.dtype`; parameters are float32.

    >>> import jax, jax.numpy as jnp
    >>> from jaxnets.config.model import ResNetConfig
    >>> model = ResNet(ResNetConfig(blocks=(3, 4, 6, 3)), classes=10)  # ResNet-34.
    >>> run = lambda key, images: model.init_with_output(key, images, train=False)
    >>> logits, variables = jax.eval_shape(run, jax.random.key(0), jnp.zeros((1, 32, 32, 3)))
    >>> logits.shape, sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))
    ((1, 10), 21286346)

    References:
      He, K. et al. (2016), Deep residual learning for image recognition.
      Report S4 §2.5.
    """

    config: ResNetConfig
    classes: int
    axis_name: str | None = None

    @nn.compact
    def __call__(self, images: Array, *, train: bool) -> Array:
        config = self.config
        x = Conv(config.width, 3, config.init, padding=1, bias=False)(images.astype(config.dtype))
        x = Activation()(_norm(config, self.axis_name, x, train))
        # A block that is recomputed in the backward pass saves only its input.
        block = nn.remat(Block, static_argnums=(2,)) if config.remat else Block
        for number, (stage, is_first) in enumerate(stages(config.blocks)):
            stride = 2 if is_first and stage else 1
            x = block(config, config.width * 2**stage, stride, is_first, self.axis_name, name=f"Block_{number}")(x, train)
        return Dense(self.classes, config.init, name="head")(x.mean((1, 2)).astype(jnp.float32))

    @nn.nowrap
    def torch_form(self, shape: tuple[int, ...]) -> TorchForm:
        arguments = torch_form.arguments(self.config, channels=shape[-1], classes=self.classes)
        return TorchForm(arguments, torch_layers(self.config.blocks, convolutions=2))


def stages(blocks: Sequence[int]) -> Iterator[tuple[int, bool]]:
    """The blocks of a residual net, in order.

    >>> list(stages((2, 1)))
    [(0, True), (0, False), (1, True)]

    Args:
      blocks: number of blocks in each stage.

    Returns:
      (stage, whether the block is its stage's first) of every block.
    """
    for stage, count in enumerate(blocks):
        for i in range(count):
            yield stage, i == 0


def torch_layers(blocks: Sequence[int], convolutions: int) -> dict[str, str]:
    """The layers of a residual net by torchvision's names.

    >>> layers = torch_layers((2, 1), convolutions=2)
    >>> layers["layer2.0.conv1"], layers["layer2.0.downsample.0"]
    ('Block_2/Conv_0', 'Block_2/Conv_2')

    Args:
      blocks: number of blocks in each stage.
      convolutions: of a block, without that of the shortcut.

    Returns:
      As `TorchForm.layers`.
    """
    layers = {"conv1": "Conv_0", "bn1": "BatchNorm_0"}
    first = 0
    for number, (stage, is_first) in enumerate(stages(blocks)):
        first = number if is_first else first
        theirs = [(f"conv{k + 1}", f"bn{k + 1}") for k in range(convolutions)]
        theirs += [("downsample.0", "downsample.1")] if is_first else []
        for k, (conv, norm) in enumerate(theirs):
            block = f"layer{stage + 1}.{number - first}"
            layers |= {f"{block}.{conv}": f"Block_{number}/Conv_{k}", f"{block}.{norm}": f"Block_{number}/BatchNorm_{k}"}
    return {**layers, "fc": "head"}


class Block(nn.Module):
    """A basic residual block: [N, H, W, C] -> [N, ceil(H / stride), ceil(W / stride), features].

    Two 3×3 convolutions, each with BatchNorm and dropout of channels, a ReLU between them, the shortcut added, and a ReLU.
    The shortcut is the identity or, with `project`, a 1×1 convolution with BatchNorm.

    >>> import jax, jax.numpy as jnp
    >>> from jaxnets.config.model import ResNetConfig
    >>> block = Block(ResNetConfig(), features=32, stride=2, project=True, axis_name=None)
    >>> run = lambda key, x: block.init_with_output(key, x, False)[0]
    >>> jax.eval_shape(run, jax.random.key(0), jnp.zeros((1, 32, 32, 16))).shape
    (1, 16, 16, 32)
    """

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
    """BatchNorm, then dropout of whole channels. The layers belong to the module whose compact method calls this."""
    x = BatchNorm(axis_name)(x, train=train)
    return Dropout(config.dropout, spatial=True)(x, train=train) if dropout else x
