"""Character-level models of names (reports S4 §6.8 and S1 Q2)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from jaxnets.config.model import CharRNNConfig, Init
from jaxnets.models import torch_form
from jaxnets.models.torch_form import TorchForm
from jaxnets.nn.init import bias_init, kernel_init
from jaxnets.nn.layers import Dense, Dropout
from jaxnets.nn.rnn import rnn_scan
from jaxnets.nn.sequence import Recurrent, RNNState, zero_carry

Array = jax.Array


class CharRNNOutput(NamedTuple):
    """Outputs of CharRNN."""

    logits: Array
    """Of the letter that follows each letter: [N, T, vocab_size]."""
    state: RNNState
    """The state after each name's last letter, [1, N, hidden]."""


class CharRNN(nn.Module):
    """Letters int [N, T], lengths int [N], categories int [N], a state or None (zeros) -> CharRNNOutput.

    The linear cell is the reports' net. From the letter x (one-hot, joined with the category's one-hot vector if
    `config.conditional`) and the state h it computes

        h' = W_i2h [x, h] + b,   o = W_i2o [x, h] + b,   logits = dropout(W_o2o [h', o] + b)

    so the state is a linear function of the letters before it. With "gru" or "lstm", that recurrence replaces h', and a
    dense layer on its outputs gives the logits.

    >>> import jax, jax.numpy as jnp
    >>> from jaxnets.config.model import CharRNNConfig
    >>> model = CharRNN(CharRNNConfig(), vocab_size=59, categories=1)  # Report S4 §6.8: 46,248 parameters.
    >>> run = lambda key, *inputs: model.init_with_output(key, *inputs, train=False)
    >>> inputs = jnp.zeros((4, 12), int), jnp.full(4, 12), jnp.zeros(4, int)
    >>> outputs, variables = jax.eval_shape(run, jax.random.key(0), *inputs)
    >>> outputs.logits.shape, outputs.state.h.shape
    ((4, 12, 59), (1, 4, 128))
    >>> sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))
    46248
    """

    config: CharRNNConfig
    vocab_size: int
    categories: int
    axis_name: str | None = None

    @nn.compact
    def __call__(
        self, letters: Array, lengths: Array, category: Array, state: RNNState | None = None, *, train: bool
    ) -> CharRNNOutput:
        config = self.config
        batch, steps = letters.shape
        x = jax.nn.one_hot(letters.T, self.vocab_size)
        if config.conditional:
            one_hot = jax.nn.one_hot(category, self.categories)
            x = jnp.concatenate([jnp.broadcast_to(one_hot, (steps, *one_hot.shape)), x], axis=-1)
        state = state or zero_carry(1, batch, config.hidden)
        if config.cell != "linear":
            h, state = Recurrent(config.cell, config.hidden)(x, lengths, state, train=train)
            h = Dropout(config.dropout)(h, train=train)
            return CharRNNOutput(Dense(self.vocab_size, config.init, name="head")(h).swapaxes(0, 1), state)
        init = config.init
        to_hidden = _Split(config.hidden, config.hidden, init, name="i2h")
        to_output = _Split(self.vocab_size, config.hidden, init, name="i2o")
        w, b, gx = to_hidden(x)
        h, (last_h, _) = rnn_scan("linear", gx, w, b, state.h[0], state.c[0], lengths)
        h_before = jnp.concatenate([state.h, h[:-1]])
        w, b, ox = to_output(x)
        output = ox + h_before @ w + b.reshape(1, 1, -1)
        logits = Dense(self.vocab_size, init, name="head")(jnp.concatenate([h, output], axis=-1))
        logits = Dropout(config.dropout)(logits, train=train)
        return CharRNNOutput(logits.swapaxes(0, 1), RNNState(last_h[None], state.c))

    @nn.nowrap
    def torch_form(self, shape: tuple[int, ...]) -> TorchForm:
        del shape
        config = self.config
        categories = self.categories if config.conditional else 0
        arguments = torch_form.arguments(config, vocab_size=self.vocab_size, categories=categories)
        del arguments["conditional"]
        is_linear = config.cell == "linear"
        layers = {"i2h": "i2h", "i2o": "i2o", "o2o": "head"} if is_linear else {"rnn": "Recurrent_0", "fc": "head"}
        return TorchForm(arguments, layers)


class _Split(nn.Module):
    """The parts of an affine map of [x, h]: its weights for h, its bias, and its product with x."""

    features: int
    hidden: int
    init_config: Init

    @nn.compact
    def __call__(self, x: Array) -> tuple[Array, Array, Array]:
        shape = (x.shape[-1] + self.hidden, self.features)
        w = self.param("kernel", kernel_init(self.init_config), shape)
        b = self.param("bias", bias_init(self.init_config, shape[0]), (self.features,))
        return w[x.shape[-1] :], b, x @ w[: x.shape[-1]]
