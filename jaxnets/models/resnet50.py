"""ResNet-50 for photographs (He et al. 2016; report S2 Q6.1.4)."""

import jax
import jax.numpy as jnp
from flax import linen as nn

from jaxnets.config.model import ResNet50Config
from jaxnets.models import torch_form
from jaxnets.models.resnet import stages, torch_layers
from jaxnets.models.torch_form import TorchForm
from jaxnets.nn.layers import BatchNorm, Conv, Dense
from jaxnets.nn.pool import max_pool

Array = jax.Array

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

    @nn.nowrap
    def torch_form(self, shape: tuple[int, ...]) -> TorchForm:
        arguments = torch_form.arguments(self.config, channels=shape[-1], classes=self.classes)
        return TorchForm(arguments, torch_layers(self.config.blocks, convolutions=3))


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
