"""Plain CNNs: convolutions, each with ReLU and pooling, then dense layers (reports S3 Q1 and S2 Q6.1)."""

import jax
from flax import linen as nn

from jaxnets.config.model import CNNConfig
from jaxnets.models import torch_form
from jaxnets.models.torch_form import TorchForm
from jaxnets.nn.layers import Activation, BatchNorm, Conv, Dense, Dropout
from jaxnets.nn.pool import max_pool

Array = jax.Array


class CNN(nn.Module):
    """Images [N, H, W, C] -> logits [N, classes].

    `config.convolutions` times: convolution that keeps the size of the image, BatchNorm if configured, 2×2 max-pooling,
    ReLU, dropout; each has twice the filters of the one before. Then a dense layer with ReLU and dropout, and the head.

    >>> import jax, jax.numpy as jnp
    >>> from jaxnets.config.model import CNNConfig
    >>> model = CNN(CNNConfig(), classes=10)  # Report S3 Q1 on gray CIFAR-10.
    >>> run = lambda key, images: model.init_with_output(key, images, train=False)
    >>> logits, variables = jax.eval_shape(run, jax.random.key(0), jnp.zeros((1, 32, 32, 1)))
    >>> logits.shape, sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))
    ((1, 10), 544522)
    """

    config: CNNConfig
    classes: int
    axis_name: str | None = None

    @nn.compact
    def __call__(self, images: Array, *, train: bool) -> Array:
        config = self.config
        x = images
        for i in range(config.convolutions):
            x = Conv(config.width * 2**i, config.kernel, config.init, padding=config.kernel // 2)(x)
            x = BatchNorm(self.axis_name)(x, train=train) if config.batch_norm else x
            # ReLU and the maximum commute, and pooling first leaves a quarter of the elements.
            x = Dropout(config.dropout_conv)(Activation()(max_pool(x)), train=train)
        x = x.reshape(x.shape[0], -1)
        x = Dropout(config.dropout_dense)(Activation()(Dense(config.dense, config.init)(x)), train=train)
        return Dense(self.classes, config.init, name="head")(x)

    @nn.nowrap
    def torch_form(self, shape: tuple[int, ...]) -> TorchForm:
        config = self.config
        arguments = torch_form.arguments(config, image=torch_form.image(shape), classes=self.classes)
        layers = torch_form.numbered("conv", "Conv", config.convolutions)
        layers |= torch_form.numbered("bn", "BatchNorm", config.convolutions) if config.batch_norm else {}
        flattened = {"fc1": config.width * 2 ** (config.convolutions - 1)}
        return TorchForm(arguments, {**layers, **torch_form.dense(1)}, flattened)
