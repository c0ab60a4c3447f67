"""A CNN that learns CIFAR-10 in a few epochs (Jordan 2024)."""

from typing import Any

import jax
from flax import linen as nn

from jaxnets.config import FastCNNConfig
from jaxnets.models import torch_form
from jaxnets.models.torch_form import TorchForm
from jaxnets.nn.layers import Activation, BatchNorm, Conv, Dense
from jaxnets.nn.pool import global_max_pool, max_pool
from jaxnets.nn.whiten import whitening_filters

Array = jax.Array


class FastCNN(nn.Module):
    """Images [N, H, W, C] -> logits [N, classes].

    A convolution that whitens patches of the training images, with GELU: its 2 · patch² · C filters come from the images and
    stay, its biases are trained. Then blocks: a 3×3 convolution, 2×2 max-pooling, BatchNorm without a scale, GELU, and
    `depth` - 1 times the same without pooling, with `residual` around these. At last the maximum over the image, and the
    head, which has no biases and whose outputs are scaled. Images shrink from 32 to 31, 15, 7 and 3 pixels a side. BatchNorm
    adds 1e-5 to the variance, where the source adds 1e-12.

    >>> import jax, jax.numpy as jnp
    >>> from jaxnets.config import FastCNNConfig
    >>> model = FastCNN(FastCNNConfig(), classes=10)
    >>> run = lambda key, images: model.init_with_output(key, images, train=False)
    >>> logits, variables = jax.eval_shape(run, jax.random.key(0), jnp.zeros((1, 32, 32, 3)))
    >>> logits.shape, sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))
    ((1, 10), 1971352)

    References:
      Jordan, K. (2024), 94 % on CIFAR-10 in 3.29 seconds on a single GPU.
    """

    config: FastCNNConfig
    classes: int
    axis_name: str | None = None

    @nn.compact
    def __call__(self, images: Array, *, train: bool) -> Array:
        config = self.config
        filters = 2 * config.patch**2 * images.shape[-1]
        x = Activation("gelu")(Conv(filters, config.patch, config.init, fixed=True)(images))
        for width in config.widths:
            x = self._norm(max_pool(Conv(width, 3, config.init, padding=1, bias=False)(x)), train)
            x = first = Activation("gelu")(x)
            for k in range(1, config.depth):
                x = self._norm(Conv(width, 3, config.init, padding=1, bias=False)(x), train)
                x = Activation("gelu")(x + first if config.residual and k == config.depth - 1 else x)
        return config.logit_scale * Dense(self.classes, config.init, bias=False, name="head")(global_max_pool(x))

    def _norm(self, x: Array, train: bool) -> Array:
        return BatchNorm(self.axis_name, self.config.norm_momentum, fixed_scale=True)(x, train=train)

    @nn.nowrap
    def from_examples(self, images: Array) -> dict[str, Any]:
        """The whitening filters for training images [N, H, W, C], among the variables."""
        return {"fixed": {"Conv_0": {"kernel": whitening_filters(images, self.config.patch)}}}

    @nn.nowrap
    def torch_form(self, shape: tuple[int, ...]) -> TorchForm:
        arguments = torch_form.arguments(self.config, channels=shape[-1], classes=self.classes)
        del arguments["norm_momentum"]
        layers = {"whiten": "Conv_0"}
        for number in range(len(self.config.widths) * self.config.depth):
            block, k = divmod(number, self.config.depth)
            layers[f"blocks.{block}.convs.{k}"] = f"Conv_{number + 1}"
            layers[f"blocks.{block}.norms.{k}"] = f"BatchNorm_{number}"
        return TorchForm({**arguments, "norm_momentum": 1 - self.config.norm_momentum}, {**layers, "fc": "head"})
