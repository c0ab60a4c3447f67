"""LeNet and its six variants (report S4 §2.4, figures 1 to 6), and the tutorial's ReLU version of it (report S0 §1)."""

import jax
from flax import linen as nn

from jaxnets.config.model import LeNetConfig, TutorialNetConfig
from jaxnets.models import torch_form
from jaxnets.models.torch_form import TorchForm
from jaxnets.nn.layers import Activation, BatchNorm, Conv, Dense, Dropout
from jaxnets.nn.pool import avg_pool, max_pool

Array = jax.Array


class LeNet(nn.Module):
    """Images [N, 32, 32, C] -> logits [N, classes].

    Dropout on the input; two blocks of 5×5 convolution (6 and 16 filters), activation, BatchNorm, dropout and 2×2 average
    pooling; blocks of dense layer (`config.dense` units), activation, BatchNorm and dropout; the head. BatchNorm and dropout
    come after the activation, as in report S4 §2.4. `config` says which of them there are.

    >>> import jax, jax.numpy as jnp
    >>> from jaxnets.config.model import LeNetConfig
    >>> model = LeNet(LeNetConfig(batch_norm=True), classes=10)
    >>> run = lambda key, images: model.init_with_output(key, images, train=False)
    >>> logits, variables = jax.eval_shape(run, jax.random.key(0), jnp.zeros((1, 32, 32, 3)))
    >>> logits.shape, sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))
    ((1, 10), 62458)

    References:
      LeCun, Y. et al. (1998), Gradient-based learning applied to document recognition.
      Report S4 §2.4, figures 1 to 6.
    """

    config: LeNetConfig
    classes: int
    axis_name: str | None = None

    @nn.compact
    def __call__(self, images: Array, *, train: bool) -> Array:
        config = self.config

        def activate(x: Array, dropout: float) -> Array:
            x = Activation(config.activation)(x)
            if config.batch_norm:
                x = BatchNorm(self.axis_name)(x, train=train)
            return Dropout(dropout)(x, train=train)

        x = Dropout(config.dropout_input)(images, train=train)
        for features, dropout in zip((6, 16), config.dropout_conv, strict=True):
            x = avg_pool(activate(Conv(features, kernel=5, init_config=config.init)(x), dropout))
        x = x.reshape(x.shape[0], -1)
        for width in config.dense:
            x = activate(Dense(width, config.init)(x), config.dropout_dense)
        return Dense(self.classes, config.init, name="head")(x)

    @nn.nowrap
    def torch_form(self, shape: tuple[int, ...]) -> TorchForm:
        arguments = torch_form.arguments(self.config, image=torch_form.image(shape), classes=self.classes)
        hidden = len(self.config.dense)
        norms = torch_form.numbered("bn", "BatchNorm", 2 + hidden) if self.config.batch_norm else {}
        layers = {**torch_form.numbered("conv", "Conv", 2), **norms, **torch_form.dense(hidden)}
        return TorchForm(arguments, layers, flattened={"fc1": 16})


class TutorialNet(nn.Module):
    """Images [N, 32, 32, C] -> logits [N, classes].

    Two blocks of 5×5 convolution (6 and 16 filters), ReLU and 2×2 max-pooling, then dense layers of 120 and 84 units with
    ReLU, and the head (report S0 §1).

    >>> import jax, jax.numpy as jnp
    >>> from jaxnets.config.model import TutorialNetConfig
    >>> model = TutorialNet(TutorialNetConfig(), classes=10)
    >>> run = lambda key, images: model.init_with_output(key, images, train=False)
    >>> logits, variables = jax.eval_shape(run, jax.random.key(0), jnp.zeros((1, 32, 32, 3)))
    >>> logits.shape, sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))
    ((1, 10), 62006)
    """

    config: TutorialNetConfig
    classes: int
    axis_name: str | None = None

    @nn.compact
    def __call__(self, images: Array, *, train: bool) -> Array:
        del train  # The same in training and evaluation.
        x = images
        for features in (6, 16):
            x = Activation()(max_pool(Conv(features, kernel=5, init_config=self.config.init)(x)))
        x = x.reshape(x.shape[0], -1)
        for width in (120, 84):
            x = Activation()(Dense(width, self.config.init)(x))
        return Dense(self.classes, self.config.init, name="head")(x)

    @nn.nowrap
    def torch_form(self, shape: tuple[int, ...]) -> TorchForm:
        arguments = torch_form.arguments(self.config, image=torch_form.image(shape), classes=self.classes)
        layers = {**torch_form.numbered("conv", "Conv", 2), **torch_form.dense(2)}
        return TorchForm(arguments, layers, flattened={"fc1": 16})
