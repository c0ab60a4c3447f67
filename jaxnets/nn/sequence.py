"""Layers for sequences, time first: [T, N, ...]."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from jaxnets.nn.layers import Dropout
from jaxnets.nn.rnn import CELLS, CellName, rnn_scan

Array = jax.Array


class RNNState(NamedTuple):
    """What a stack of recurrent layers remembers: [layers, N, hidden] each. Only the LSTM uses c."""

    h: Array
    c: Array


def zero_carry(layers: int, batch: int, hidden: int) -> RNNState:
    """The state before the first step."""
    zeros = jnp.zeros((layers, batch, hidden))
    return RNNState(zeros, zeros)


class Embed(nn.Module):
    """Rows of a table by number: int [...] -> [..., features]. Starts normal with standard deviation `std`."""

    count: int
    features: int
    std: float = 1.0

    def setup(self) -> None:
        self.table = self.param(
            "table", lambda key, shape: self.std * jax.random.normal(key, shape), (self.count, self.features)
        )

    def __call__(self, numbers: Array) -> Array:
        return self.table[numbers]


class Recurrent(nn.Module):
    """A stack of recurrent layers, torch.nn.RNN, LSTM or GRU with other axes: [T, N, inputs] -> [T, N, hidden].

    Weights and biases start uniform in ±1/sqrt(hidden), as PyTorch's do. Dropout acts between layers.
    """

    cell: CellName
    hidden: int
    layers: int = 1
    dropout: float = 0.0

    @nn.compact
    def __call__(self, x: Array, lengths: Array, state: RNNState | None = None, *, train: bool) -> tuple[Array, RNNState]:
        """Outputs, zero behind each sequence's end, and the state after it. `state` None: zeros."""
        start = state or zero_carry(self.layers, x.shape[1], self.hidden)
        bound = 1 / math.sqrt(self.hidden)
        uniform = lambda key, shape: jax.random.uniform(key, shape, minval=-bound, maxval=bound)
        width = CELLS[self.cell].gates * self.hidden
        finals = []
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
            else:  # The two biases are only ever added, here once instead of at every step.
                b_h = b_x + b_h
            x, final = rnn_scan(self.cell, gx.reshape(*x.shape[:2], -1), w_h, b_h, start.h[k], start.c[k], lengths)
            finals.append(final)
        return x, RNNState(*(jnp.stack(parts) for parts in zip(*finals, strict=True)))


def last_outputs(outputs: Array, lengths: Array) -> Array:
    """The output of each sequence's last real step: [T, N, H], [N] -> [N, H]."""
    return jnp.take_along_axis(outputs, (lengths - 1).reshape(1, -1, 1), axis=0)[0]


def sequence_mask(steps: int, lengths: Array) -> Array:
    """1 for the real steps of each sequence, 0 for padding: lengths [N] -> float32 [N, steps]."""
    return (jnp.arange(steps).reshape(1, -1) < lengths.reshape(-1, 1)).astype(jnp.float32)
