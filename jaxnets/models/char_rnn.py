"""Nets that spell names (reports S4 §6.8 and S1 Q2)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from jaxnets.config.model import CharRNNConfig, Init
from jaxnets.nn.init import bias_init, kernel_init
from jaxnets.nn.layers import Dense, Dropout
from jaxnets.nn.rnn import rnn_scan
from jaxnets.nn.sequence import Recurrent, RNNState, zero_carry

Array = jax.Array


class CharRNNOutput(NamedTuple):
    """Outputs of CharRNN."""

    logits: Array
    """Of the letter behind each letter: [N, T, vocab_size]."""
    state: RNNState
    """Behind each name's last letter."""


class CharRNN(nn.Module):
    """Letters [N, T], lengths [N], categories [N] -> CharRNNOutput.

    The linear cell is the reports' net. From the letter x (one-hot, with the category's one-hot beside it where names have
    one) and the state h it computes

        h' = W_i2h [x, h] + b,   o = W_i2o [x, h] + b,   logits = dropout(W_o2o [h', o] + b)

    so the state is a linear map of what came before. With "gru" or "lstm", that recurrence replaces the first line and a
    dense layer on its outputs the rest.
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
        start = state or zero_carry(1, batch, config.hidden)
        if config.cell != "linear":
            h, state = Recurrent(config.cell, config.hidden)(x, lengths, start, train=train)
            h = Dropout(config.dropout)(h, train=train)
            return CharRNNOutput(Dense(self.vocab_size, config.init, name="head")(h).swapaxes(0, 1), state)
        init = config.init
        to_hidden = _Split(config.hidden, config.hidden, init, name="i2h")
        to_output = _Split(self.vocab_size, config.hidden, init, name="i2o")
        w, b, gx = to_hidden(x)
        h, (last, _) = rnn_scan("linear", gx, w, b, start.h[0], start.c[0], lengths)
        before = jnp.concatenate([start.h, h[:-1]])
        w, b, ox = to_output(x)
        output = ox + before @ w + b.reshape(1, 1, -1)
        logits = Dense(self.vocab_size, init, name="head")(jnp.concatenate([h, output], axis=-1))
        logits = Dropout(config.dropout)(logits, train=train)
        return CharRNNOutput(logits.swapaxes(0, 1), RNNState(last[None], start.c))


class _Split(nn.Module):
    """An affine map of [x, h], taken apart: returns (its weights for h, its bias, its product with x)."""

    features: int
    hidden: int
    init_config: Init

    @nn.compact
    def __call__(self, x: Array) -> tuple[Array, Array, Array]:
        shape = (x.shape[-1] + self.hidden, self.features)
        w = self.param("kernel", kernel_init(self.init_config), shape)
        b = self.param("bias", bias_init(self.init_config, shape[0]), (self.features,))
        return w[x.shape[-1] :], b, x @ w[: x.shape[-1]]
