"""A linear classifier."""

import jax
from flax import linen as nn

from jaxnets.config.model import LinearConfig
from jaxnets.models import torch_form
from jaxnets.models.torch_form import TorchForm
from jaxnets.nn.layers import Dense

Array = jax.Array


class Linear(nn.Module):
    """Features [N, D] -> logits [N, classes]: one dense layer, softmax regression under cross entropy.

    >>> import jax, jax.numpy as jnp
    >>> from jaxnets.config.model import LinearConfig
    >>> run = lambda key, features: Linear(LinearConfig(), classes=8).init_with_output(key, features, train=False)
    >>> logits, variables = jax.eval_shape(run, jax.random.key(0), jnp.zeros((1, 200)))
    >>> logits.shape, sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))
    ((1, 8), 1608)
    """

    config: LinearConfig
    classes: int
    axis_name: str | None = None

    @nn.compact
    def __call__(self, features: Array, *, train: bool) -> Array:
        del train  # The same in training and evaluation.
        return Dense(self.classes, self.config.init, name="head")(features)

    @nn.nowrap
    def torch_form(self, shape: tuple[int, ...]) -> TorchForm:
        arguments = torch_form.arguments(self.config, inputs=shape[0], classes=self.classes)
        return TorchForm(arguments, {"fc": "head"})
