"""Multilayer perceptrons on images (report S2 Q3)."""

import jax
from flax import linen as nn

from jaxnets.config.model import MLPConfig
from jaxnets.models import torch_form
from jaxnets.models.torch_form import TorchForm
from jaxnets.nn.layers import ACTIVATIONS, Dense

Array = jax.Array


class MLP(nn.Module):
    """Images [N, H, W, C] -> logits [N, classes].

    Dense layers of `config.hidden` units on the pixels, each with `config.activation`, then the head.

    >>> import jax, jax.numpy as jnp
    >>> from jaxnets.config.model import MLPConfig
    >>> model = MLP(MLPConfig(), classes=36)  # Report S2 Q3: 1024-128-36.
    >>> run = lambda key, images: model.init_with_output(key, images, train=False)
    >>> logits, variables = jax.eval_shape(run, jax.random.key(0), jnp.zeros((1, 32, 32, 1)))
    >>> logits.shape, sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))
    ((1, 36), 135844)
    """

    config: MLPConfig
    classes: int
    axis_name: str | None = None

    @nn.compact
    def __call__(self, images: Array, *, train: bool) -> Array:
        del train  # The same in training and evaluation.
        x = images.reshape(images.shape[0], -1)
        for width in self.config.hidden:
            x = ACTIVATIONS[self.config.activation](Dense(width, self.config.init)(x))
        return Dense(self.classes, self.config.init, name="head")(x)

    @nn.nowrap
    def torch_form(self, shape: tuple[int, ...]) -> TorchForm:
        arguments = torch_form.arguments(self.config, image=torch_form.image(shape), classes=self.classes)
        return TorchForm(arguments, torch_form.dense(len(self.config.hidden)), flattened={"fc1": shape[-1]})
