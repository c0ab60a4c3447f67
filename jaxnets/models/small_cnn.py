"""The CNN with fewer than 50,000 parameters (report S1 Q1)."""

import jax
from flax import linen as nn

from jaxnets.config.model import SmallCNNConfig
from jaxnets.models import torch_form
from jaxnets.models.torch_form import TorchForm
from jaxnets.nn.layers import Activation, BatchNorm, Conv, Dense
from jaxnets.nn.pool import max_pool

Array = jax.Array


class SmallCNN(nn.Module):
    """Images [N, 32, 32, C] -> logits [N, classes].

    Three blocks of convolution (kernels 5, 5 and 3, padding 2), BatchNorm, 3×3 max-pooling at stride 2 and ReLU, then a
    dense layer with ReLU, and the head. The images shrink from 32 to 15, 7 and 4 pixels a side, which gives the reported
    number of parameters. The report states no activation between the two dense layers; without one they would be a single
    linear map.

    >>> import jax, jax.numpy as jnp
    >>> from jaxnets.config.model import SmallCNNConfig
    >>> model = SmallCNN(SmallCNNConfig(), classes=10)  # Report S1 Q1: 49,338 parameters.
    >>> run = lambda key, images: model.init_with_output(key, images, train=False)
    >>> logits, variables = jax.eval_shape(run, jax.random.key(0), jnp.zeros((1, 32, 32, 3)))
    >>> logits.shape, sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))
    ((1, 10), 49338)
    """

    config: SmallCNNConfig
    classes: int
    axis_name: str | None = None

    @nn.compact
    def __call__(self, images: Array, *, train: bool) -> Array:
        x = images
        for features, kernel in zip(self.config.filters, (5, 5, 3), strict=True):
            x = Conv(features, kernel, self.config.init, padding=2)(x)
            x = BatchNorm(self.axis_name)(x, train=train)
            # ReLU and the maximum commute, and pooling first leaves a quarter of the elements.
            x = Activation()(max_pool(x, window=3, stride=2))
        x = x.reshape(x.shape[0], -1)
        x = Activation()(Dense(self.config.dense, self.config.init)(x))
        return Dense(self.classes, self.config.init, name="head")(x)

    @nn.nowrap
    def torch_form(self, shape: tuple[int, ...]) -> TorchForm:
        arguments = torch_form.arguments(self.config, image=torch_form.image(shape), classes=self.classes)
        layers = {
            **torch_form.numbered("conv", "Conv", 3),
            **torch_form.numbered("bn", "BatchNorm", 3),
            **torch_form.dense(1),
        }
        return TorchForm(arguments, layers, flattened={"fc1": self.config.filters[-1]})
