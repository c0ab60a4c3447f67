"""An autoencoder of images (report S2 Q5)."""

import math

import jax
from flax import linen as nn

from jaxnets.config.model import AutoencoderConfig
from jaxnets.models import torch_form
from jaxnets.models.torch_form import TorchForm
from jaxnets.nn.layers import Conv, Dense

Array = jax.Array


class Autoencoder(nn.Module):
    """Images [N, H, W, C] in [0, 1] -> reconstructions of the same shape and range.

    Dense layers of `config.hidden` units with ReLU, a dense layer back to the size of the input, and a sigmoid. With
    `config.filters`, convolutions surround the dense layers. The encoder's are 3×3 at stride 2 with ReLU. The decoder
    mirrors them: it doubles rows and columns before each 3×3 convolution.

    >>> import jax, jax.numpy as jnp
    >>> from jaxnets.config.model import AutoencoderConfig
    >>> model = Autoencoder(AutoencoderConfig())  # Report S2 Q5: 1024-32-32-32-1024.
    >>> run = lambda key, images: model.init_with_output(key, images, train=False)
    >>> outputs, variables = jax.eval_shape(run, jax.random.key(0), jnp.zeros((1, 32, 32, 1)))
    >>> outputs.shape, sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))
    ((1, 32, 32, 1), 68704)
    """

    config: AutoencoderConfig
    axis_name: str | None = None

    @nn.compact
    def __call__(self, images: Array, *, train: bool) -> Array:
        del train
        config = self.config
        x = images
        for filters in config.filters:
            x = jax.nn.relu(Conv(filters, 3, config.init, stride=2, padding=1)(x))
        shape = x.shape
        x = x.reshape(shape[0], -1)
        for width in config.hidden:
            x = jax.nn.relu(Dense(width, config.init)(x))
        x = Dense(math.prod(shape[1:]), config.init, name="head")(x).reshape(shape)
        for filters in (*config.filters[-2::-1], images.shape[-1]) if config.filters else ():
            x = jax.nn.relu(x).repeat(2, axis=1).repeat(2, axis=2)
            x = Conv(filters, 3, config.init, padding=1)(x)
        return jax.nn.sigmoid(x)

    @nn.nowrap
    def torch_form(self, shape: tuple[int, ...]) -> TorchForm:
        config = self.config
        count = len(config.filters)
        decoder = {f"deconv{k + 1}": f"Conv_{count + k}" for k in range(count)}
        dense = torch_form.dense(len(config.hidden))
        channels = config.filters[-1] if config.filters else shape[-1]
        return TorchForm(
            torch_form.arguments(config, image=torch_form.image(shape)),
            {**torch_form.numbered("conv", "Conv", count), **dense, **decoder},
            flattened={"fc1": channels},
            unflattened={list(dense)[-1]: channels},
        )
