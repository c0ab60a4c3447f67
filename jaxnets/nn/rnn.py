"""Recurrent nets as scans over time: RNN, LSTM and GRU in PyTorch's parametrization, and the linear cell of report S4 §6.8.

With x_t the input, h and c the state, σ the logistic function and * element by element:

    linear h' = W_x x + b_x + W_h h + b_h
    RNN   h' = tanh(W_x x + b_x + W_h h + b_h)
    LSTM  i, f, g, o = σ, σ, tanh, σ of (W_x x + b_x + W_h h + b_h);  c' = f*c + i*g;  h' = o*tanh(c')
    GRU   r, z = σ(W_x x + b_x + W_h h + b_h);  n = tanh(W_x x + b_x + r*(W_h h + b_h));  h' = (1-z)*n + z*h

The GRU applies its reset gate after the product with W_h, as PyTorch and cuDNN do (Cho et al. 2014 apply it before).

The input's products with W_x need no recurrence and come in ready, for all steps at once. The gradient is written out: the
backward scan carries the state's gradient alone, and the weights' is one product over all steps behind it. On CPUs both
scans are native kernels (see jaxnets.nn.kernels).
"""

import functools
from collections.abc import Callable
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxnets.nn import kernels

Array = jax.Array
_Gradients = tuple[Array, Array, Array, Array]
CellName = Literal["linear", "rnn", "lstm", "gru"]


class Cell(NamedTuple):
    """One kind of recurrence. Its two functions act on one time step of a batch."""

    gates: int
    """Pre-activations per unit."""
    kept: int
    """Values per unit that the forward pass keeps for the backward pass."""
    forward: Callable[[Array, Array, Array, Array], tuple[Array, Array, Array]]
    """(x part [N, gates·H], h part [N, gates·H], h, c) -> (new h, new c, kept [N, kept·H])."""
    backward: Callable[[Array, Array, Array, Array, Array, Array], _Gradients]
    """(dh, dc, kept, h before, c before, c after) -> (gradients of the x part, of the h part, of h and c besides)."""
    memory: bool = False
    """Whether c is used."""
    separate_gate_grads: bool = False
    """Whether the h part's gradient differs from the x part's."""


def _linear_forward(gx: Array, gh: Array, h: Array, c: Array) -> tuple[Array, Array, Array]:
    return gx + gh, c, h[:, :0]


def _linear_backward(dh: Array, dc: Array, kept: Array, h: Array, c: Array, c_new: Array) -> _Gradients:
    return dh, dh, jnp.zeros_like(dh), dc


def _rnn_forward(gx: Array, gh: Array, h: Array, c: Array) -> tuple[Array, Array, Array]:
    h = jnp.tanh(gx + gh)
    return h, c, h


def _rnn_backward(dh: Array, dc: Array, kept: Array, h: Array, c: Array, c_new: Array) -> _Gradients:
    d = dh * (1 - kept**2)
    return d, d, jnp.zeros_like(dh), dc


def _lstm_forward(gx: Array, gh: Array, h: Array, c: Array) -> tuple[Array, Array, Array]:
    i, f, g, o = jnp.split(gx + gh, 4, axis=-1)
    i, f, g, o = jax.nn.sigmoid(i), jax.nn.sigmoid(f), jnp.tanh(g), jax.nn.sigmoid(o)
    c = f * c + i * g
    return o * jnp.tanh(c), c, jnp.concatenate([i, f, g, o], axis=-1)


def _lstm_backward(dh: Array, dc: Array, kept: Array, h: Array, c: Array, c_new: Array) -> _Gradients:
    i, f, g, o = jnp.split(kept, 4, axis=-1)
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


def _gru_backward(dh: Array, dc: Array, kept: Array, h: Array, c: Array, c_new: Array) -> _Gradients:
    r, z, n, hn = jnp.split(kept, 4, axis=-1)
    dn = dh * (1 - z) * (1 - n**2)
    dz = dh * (h - n) * z * (1 - z)
    dr = dn * hn * r * (1 - r)
    return jnp.concatenate([dr, dz, dn], axis=-1), jnp.concatenate([dr, dz, dn * r], axis=-1), dh * z, dc


CELLS: dict[CellName, Cell] = {
    "linear": Cell(1, 0, _linear_forward, _linear_backward),
    "rnn": Cell(1, 1, _rnn_forward, _rnn_backward),
    "lstm": Cell(4, 4, _lstm_forward, _lstm_backward, memory=True),
    "gru": Cell(3, 4, _gru_forward, _gru_backward, separate_gate_grads=True),
}
"""The kernels know a cell by its name, and its sizes by the shapes of what they are given."""


def rnn_scan(
    cell: CellName, gx: Array, w: Array, b: Array, h: Array, c: Array, lengths: Array
) -> tuple[Array, tuple[Array, Array]]:
    """Runs a recurrence over time.

    Args:
      cell: which one.
      gx: the inputs' part of the pre-activations, W_x x + b_x: [T, N, gates·H].
      w: W_h, [H, gates·H].
      b: b_h, [gates·H].
      h, c: the state before the first step, [N, H]. Only the LSTM uses c; others hand it on.
      lengths: number of real steps of each sequence, int [N]. Behind them the state stands still and outputs are 0.

    Returns:
      The outputs h_t [T, N, H], and the state (h, c) after each sequence's last real step.
    """
    gx, w, b, h, c = kernels.promote_varying(gx, w, b, h, c)
    return _rnn_scan(cell, gx, w, b, h, c, lengths.astype(jnp.int32))


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _rnn_scan(
    cell: CellName, gx: Array, w: Array, b: Array, h: Array, c: Array, lengths: Array
) -> tuple[Array, tuple[Array, Array]]:
    return _forward(cell, gx, w, b, h, c, lengths)[0]


def _forward(
    cell: CellName, gx: Array, w: Array, b: Array, h: Array, c: Array, lengths: Array
) -> tuple[tuple[Array, tuple[Array, Array]], tuple[Array, ...]]:
    scan = functools.partial(_scan_forward, cell)
    operands = gx, w, b, h, c, lengths

    def native(*operands: Array) -> tuple[Array, ...]:
        return tuple(kernels.call(kernels.RECURRENCE, jax.eval_shape(scan, *operands), None, None)(*operands, cell=cell))

    served = kernels.is_supported(gx, w, b, h, c)
    hs, cs, kept = lax.platform_dependent(*operands, cpu=native, default=scan) if served else scan(*operands)
    outputs = jnp.where(_running(gx.shape[0], lengths), hs, 0)
    return (outputs, (hs[-1], cs[-1] if CELLS[cell].memory else c)), (w, h, c, lengths, hs, cs, kept)


def _backward(
    cell: CellName, residuals: tuple[Array, ...], cotangents: tuple[Array, tuple[Array, Array]]
) -> tuple[Array | None, ...]:
    w, h, c, lengths, hs, cs, kept = residuals
    dhs, (dh, dc) = cotangents
    scan = functools.partial(_scan_backward, cell)
    operands = w, h, c, hs, cs, kept, dhs, dh, dc, lengths

    def native(*operands: Array) -> tuple[Array, ...]:
        like = jax.eval_shape(scan, *operands)
        return tuple(kernels.call(kernels.RECURRENCE_GRAD, like, None, None)(*operands, cell=cell))

    served = kernels.is_supported(*operands[:-1])
    dgx, dgh, dh, dc, dw = lax.platform_dependent(*operands, cpu=native, default=scan) if served else scan(*operands)
    return dgx, dw, (dgh if CELLS[cell].separate_gate_grads else dgx).sum((0, 1)), dh, dc, None


_rnn_scan.defvjp(_forward, _backward)


def _running(steps: int, lengths: Array) -> Array:
    """[T, N, 1]: whether a sequence is still running at a step."""
    return (jnp.arange(steps)[:, None] < lengths[None, :])[..., None]


def _scan_forward(
    cell: CellName, gx: Array, w: Array, b: Array, h: Array, c: Array, lengths: Array
) -> tuple[Array, Array, Array]:
    """(states h [T, N, H], states c [T, N, H], kept values); states repeat behind a sequence's end.

    Cells without memory return no c: [0, N, H].
    """
    forward = CELLS[cell].forward

    def body(state: tuple[Array, Array], item: tuple[Array, Array]) -> tuple[tuple[Array, Array], tuple[Array, ...]]:
        (h, c), (gx_t, running) = state, item
        h_new, c_new, kept = forward(gx_t, h @ w + b.reshape(1, -1), h, c)
        h, c = jnp.where(running, h_new, h), jnp.where(running, c_new, c)
        return (h, c), (h, c, kept)

    _, (hs, cs, kept) = lax.scan(body, (h, c), (gx, _running(gx.shape[0], lengths)))
    return hs, cs if CELLS[cell].memory else cs[:0], kept


def _scan_backward(
    cell: CellName,
    w: Array,
    h: Array,
    c: Array,
    hs: Array,
    cs: Array,
    kept: Array,
    dhs: Array,
    dh: Array,
    dc: Array,
    lengths: Array,
) -> tuple[Array, Array, Array, Array, Array]:
    """Gradients of the x parts and h parts of all steps, of the first state, and of W_h.

    Where the two parts' gradients are the same, the second is returned empty: [0, N, gates·H].
    """
    backward, memory = CELLS[cell].backward, CELLS[cell].memory
    w_transposed = w.T
    before = jnp.concatenate([h[None], hs[:-1]])
    c_after = cs if memory else jnp.broadcast_to(c, hs.shape)
    c_before = jnp.concatenate([c[None], c_after[:-1]])

    def body(carry: tuple[Array, Array], item: tuple[Array, ...]) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
        dh, dc = carry
        dh_out, h, c, c_new, kept, running = item
        # A sequence that has ended hands gradients through untouched, and its outputs are constants.
        dgx, dgh, dh_direct, dc_new = backward(dh + dh_out, dc, kept, h, c, c_new)
        dgx, dgh = jnp.where(running, dgx, 0), jnp.where(running, dgh, 0)
        dh = jnp.where(running, dh_direct + dgh @ w_transposed, dh)
        return (dh, jnp.where(running, dc_new, dc)), (dgx, dgh)

    items = (dhs, before, c_before, c_after, kept, _running(dhs.shape[0], lengths))
    (dh, dc), (dgx, dgh) = lax.scan(body, (dh, dc), items, reverse=True)
    # As products of matrices: for arrays of three axes XLA's CPU compiler would transpose first.
    flat = lambda x: x.reshape(-1, x.shape[-1])
    dw = flat(hs[:-1]).T @ flat(dgh[1:]) + h.T @ dgh[0]
    return dgx, dgh if CELLS[cell].separate_gate_grads else dgh[:0], dh, dc, dw
