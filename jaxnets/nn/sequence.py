"""Layers for sequences, time first: [T, N, ...]."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from jaxnets.nn.cells import CELLS, CellName
from jaxnets.nn.layers import Dropout
from jaxnets.nn.rnn import rnn_scan

Array = jax.Array


class RNNState(NamedTuple):
    """The state of a stack of recurrent layers.

    >>> import jax.numpy as jnp
    >>> RNNState(h=jnp.zeros((2, 8, 256)), c=jnp.zeros((2, 8, 256))).h.shape
    (2, 8, 256)
    """

    h: Array
    """Hidden states [layers, N, hidden]."""
    c: Array
    """Cell states [layers, N, hidden]. Only the LSTM uses them."""


def zero_carry(layers: int, batch: int, hidden: int) -> RNNState:
    """The state before the first step: zeros.

    >>> zero_carry(layers=2, batch=8, hidden=256).h.shape
    (2, 8, 256)

    Args:
      layers: number of recurrent layers.
      batch: number of sequences N.
      hidden: units of a layer.

    Returns:
      float32 zeros, [layers, batch, hidden] each.
    """
    zeros = jnp.zeros((layers, batch, hidden))
    return RNNState(zeros, zeros)


class Embed(nn.Module):
    """A table of vectors, looked up by index: int [...] -> [..., features].

    Parameters: `table` [count, features], initially normal with standard deviation `std`.

    >>> import jax, jax.numpy as jnp
    >>> run = lambda key, tokens: Embed(1000, 64).init_with_output(key, tokens)
    >>> vectors, variables = jax.eval_shape(run, jax.random.key(0), jnp.zeros((7, 2), int))
    >>> vectors.shape, variables["params"]["table"].shape
    ((7, 2, 64), (1000, 64))

    Attributes:
      count: rows of the table: the size of the vocabulary.
      features: length of a vector.
      std: standard deviation of the initial table.
    """

    count: int
    features: int
    std: float = 1.0

    def setup(self) -> None:
        self.table = self.param(
            "table", lambda key, shape: self.std * jax.random.normal(key, shape), (self.count, self.features)
        )

    def __call__(self, indices: Array) -> Array:
        return self.table[indices]


class Recurrent(nn.Module):
    """A stack of recurrent layers, the time-first counterpart of torch.nn.RNN, LSTM and GRU.

    Called with x [T, N, inputs], lengths int [N], the state before the first step (None: zeros) and `train`; returns the top
    layer's outputs [T, N, hidden], which are 0 after each sequence's end, and the RNNState after its last real step.

    Parameters of layer k, with the gates of `rnn_scan`, all initially uniform in ±1/sqrt(hidden) as in PyTorch:
    `input_kernel_k` [inputs, gates·hidden], `input_bias_k` [gates·hidden], `hidden_kernel_k` [hidden, gates·hidden],
    `hidden_bias_k` [gates·hidden].

    >>> import jax, jax.numpy as jnp
    >>> layer = Recurrent("lstm", hidden=256, layers=2)
    >>> run = lambda key, x, lengths: layer.init_with_output(key, x, lengths, train=False)
    >>> x, lengths = jnp.zeros((35, 8, 64)), jnp.full(8, 35)
    >>> (outputs, state), variables = jax.eval_shape(run, jax.random.key(0), x, lengths)
    >>> outputs.shape, state.h.shape
    ((35, 8, 256), (2, 8, 256))
    >>> sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))  # 4·256·(64 + 256 + 2) + 4·256·(256 + 256 + 2)
    856064

    Attributes:
      cell: "linear", "rnn", "lstm" or "gru" (formulas in `rnn_scan`).
      hidden: units of a layer.
      layers: number of layers.
      dropout: rate of dropout between layers.
    """

    cell: CellName
    hidden: int
    layers: int = 1
    dropout: float = 0.0

    @nn.compact
    def __call__(self, x: Array, lengths: Array, carry: RNNState | None = None, *, train: bool) -> tuple[Array, RNNState]:
        carry = carry or zero_carry(self.layers, x.shape[1], self.hidden)
        bound = 1 / math.sqrt(self.hidden)
        uniform = lambda key, shape: jax.random.uniform(key, shape, minval=-bound, maxval=bound)
        width = CELLS[self.cell].gates * self.hidden
        final_states = []
        for k in range(self.layers):
            if k:
                x = Dropout(self.dropout)(x, train=train)
            w_x = self.param(f"input_kernel_{k}", uniform, (x.shape[-1], width))
            b_x = self.param(f"input_bias_{k}", uniform, (width,))
            w_h = self.param(f"hidden_kernel_{k}", uniform, (self.hidden, width))
            b_h = self.param(f"hidden_bias_{k}", uniform, (width,))
            # One matrix, not a stack: XLA's CPU compiler would transpose a stack for the gradient of w_x.
            gx = x.reshape(-1, x.shape[-1]) @ w_x
            if CELLS[self.cell].separate_gate_grads:
                gx = gx + b_x.reshape(1, -1)
            else:  # Only the sum of the two biases matters. Adding them here saves an addition at every step.
                b_h = b_x + b_h
            x, final = rnn_scan(self.cell, gx.reshape(*x.shape[:2], -1), w_h, b_h, carry.h[k], carry.c[k], lengths)
            final_states.append(final)
        return x, RNNState(*(jnp.stack(layers) for layers in zip(*final_states, strict=True)))


def last_outputs(outputs: Array, lengths: Array) -> Array:
    """The output at each sequence's last real step.

    >>> import jax.numpy as jnp
    >>> outputs = jnp.arange(6.0).reshape(3, 2, 1)
    >>> last_outputs(outputs, jnp.asarray([1, 3])).tolist()
    [[0.0], [5.0]]

    Args:
      outputs: [T, N, H].
      lengths: number of real steps of each sequence, int [N], at least 1.

    Returns:
      [N, H].
    """
    return jnp.take_along_axis(outputs, (lengths - 1).reshape(1, -1, 1), axis=0)[0]
