"""The cells of recurrent nets: one time step and its gradient, in PyTorch's parametrization (formulas in jaxnets.nn.rnn)."""

from collections.abc import Callable
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp

Array = jax.Array
_Gradients = tuple[Array, Array, Array, Array]
CellName = Literal["linear", "rnn", "lstm", "gru"]


class Cell(NamedTuple):
    """One kind of recurrence. Its two functions act on one time step of a batch.

    Pre-activations have two parts: gx = W_x x + b_x comes from the input, gh = W_h h + b_h from the state.

    >>> import jax.numpy as jnp
    >>> lstm = CELLS["lstm"]
    >>> h, c, residuals = lstm.forward(jnp.zeros((2, 12)), jnp.zeros((2, 12)), jnp.zeros((2, 3)), jnp.zeros((2, 3)))
    >>> h.shape, c.shape, residuals.shape
    ((2, 3), (2, 3), (2, 12))
    """

    gates: int
    """Pre-activations per unit."""
    residuals: int
    """Values per unit that the forward pass saves for the backward pass."""
    forward: Callable[[Array, Array, Array, Array], tuple[Array, Array, Array]]
    """(gx [N, gates·H], gh [N, gates·H], h [N, H], c [N, H]) -> (new h, new c, residuals [N, residuals·H])."""
    backward: Callable[[Array, Array, Array, Array, Array, Array], _Gradients]
    """(dh, dc, residuals, h before, c before, c after) -> gradients (of gx, of gh, of h apart from gh, of c)."""
    has_cell_state: bool = False
    """Whether c is used."""
    separate_gate_grads: bool = False
    """Whether the gradients of gx and gh differ."""
    has_direct_path: bool = False
    """Whether h has a gradient apart from that of gh."""


def _linear_forward(gx: Array, gh: Array, h: Array, c: Array) -> tuple[Array, Array, Array]:
    return gx + gh, c, h[:, :0]


def _linear_backward(dh: Array, dc: Array, residuals: Array, h: Array, c: Array, c_new: Array) -> _Gradients:
    return dh, dh, jnp.zeros_like(dh), dc


def _rnn_forward(gx: Array, gh: Array, h: Array, c: Array) -> tuple[Array, Array, Array]:
    h = jnp.tanh(gx + gh)
    return h, c, h


def _rnn_backward(dh: Array, dc: Array, residuals: Array, h: Array, c: Array, c_new: Array) -> _Gradients:
    d = dh * (1 - residuals**2)
    return d, d, jnp.zeros_like(dh), dc


def _lstm_forward(gx: Array, gh: Array, h: Array, c: Array) -> tuple[Array, Array, Array]:
    i, f, g, o = jnp.split(gx + gh, 4, axis=-1)
    i, f, g, o = jax.nn.sigmoid(i), jax.nn.sigmoid(f), jnp.tanh(g), jax.nn.sigmoid(o)
    c = f * c + i * g
    return o * jnp.tanh(c), c, jnp.concatenate([i, f, g, o], axis=-1)


def _lstm_backward(dh: Array, dc: Array, residuals: Array, h: Array, c: Array, c_new: Array) -> _Gradients:
    i, f, g, o = jnp.split(residuals, 4, axis=-1)
    tanh_c = jnp.tanh(c_new)
    dc = dc + dh * o * (1 - tanh_c**2)
    d = jnp.concatenate(
        [dc * g * i * (1 - i), dc * c * f * (1 - f), dc * i * (1 - g**2), dh * tanh_c * o * (1 - o)], axis=-1
    )
    return d, d, jnp.zeros_like(dh), dc * f


def _gru_forward(gx: Array, gh: Array, h: Array, c: Array) -> tuple[Array, Array, Array]:
    xr, xz, xn = jnp.split(gx, 3, axis=-1)
    hr, hz, hn = jnp.split(gh, 3, axis=-1)
    r, z = jax.nn.sigmoid(xr + hr), jax.nn.sigmoid(xz + hz)
    n = jnp.tanh(xn + r * hn)
    return (1 - z) * n + z * h, c, jnp.concatenate([r, z, n, hn], axis=-1)


def _gru_backward(dh: Array, dc: Array, residuals: Array, h: Array, c: Array, c_new: Array) -> _Gradients:
    r, z, n, hn = jnp.split(residuals, 4, axis=-1)
    dn = dh * (1 - z) * (1 - n**2)
    dz = dh * (h - n) * z * (1 - z)
    dr = dn * hn * r * (1 - r)
    return jnp.concatenate([dr, dz, dn], axis=-1), jnp.concatenate([dr, dz, dn * r], axis=-1), dh * z, dc


CELLS: dict[CellName, Cell] = {
    "linear": Cell(1, 0, _linear_forward, _linear_backward),
    "rnn": Cell(1, 1, _rnn_forward, _rnn_backward),
    "lstm": Cell(4, 4, _lstm_forward, _lstm_backward, has_cell_state=True),
    "gru": Cell(3, 4, _gru_forward, _gru_backward, separate_gate_grads=True, has_direct_path=True),
}
"""The kernels know a cell by its name, and its sizes by the shapes of what they are given."""
