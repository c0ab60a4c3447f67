"""A recurrent net that reads images row by row (report S3 Q3)."""

import jax
import jax.numpy as jnp
from flax import linen as nn

from jaxnets.config.model import RowRNNConfig
from jaxnets.models import torch_form
from jaxnets.models.torch_form import TorchForm
from jaxnets.nn.layers import Dense
from jaxnets.nn.sequence import Recurrent

Array = jax.Array


class RowRNN(nn.Module):
    """Images [N, H, W, C] -> logits [N, classes].

    One recurrent layer reads H steps of W · C values; the head classifies its last hidden state.

    >>> import jax, jax.numpy as jnp
    >>> from jaxnets.config.model import RowRNNConfig
    >>> model = RowRNN(RowRNNConfig(cell="lstm", hidden=128), classes=10)  # Report S3 Q3, MNIST.
    >>> run = lambda key, images: model.init_with_output(key, images, train=False)
    >>> logits, variables = jax.eval_shape(run, jax.random.key(0), jnp.zeros((1, 28, 28, 1)))
    >>> logits.shape, sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))
    ((1, 10), 82186)
    """

    config: RowRNNConfig
    classes: int
    axis_name: str | None = None

    @nn.compact
    def __call__(self, images: Array, *, train: bool) -> Array:
        batch, height = images.shape[:2]
        rows = images.reshape(batch, height, -1).swapaxes(0, 1)
        lengths = jnp.full((batch,), height)
        _, state = Recurrent(self.config.cell, self.config.hidden)(rows, lengths, train=train)
        return Dense(self.classes, self.config.init, name="head")(state.h[-1])

    @nn.nowrap
    def torch_form(self, shape: tuple[int, ...]) -> TorchForm:
        arguments = torch_form.arguments(self.config, image=torch_form.image(shape), classes=self.classes)
        return TorchForm(arguments, {"rnn": "Recurrent_0", "fc": "head"})
