"""Recurrent nets as scans over time: RNN, LSTM and GRU in PyTorch's parametrization, and the linear cell of report S4 §6.8.

x is the input, h and c are the state, σ is the logistic function and * multiplies element by element:

    linear h' = W_x x + b_x + W_h h + b_h
    RNN   h' = tanh(W_x x + b_x + W_h h + b_h)
    LSTM  i, f, g, o = σ, σ, tanh, σ of (W_x x + b_x + W_h h + b_h);  c' = f*c + i*g;  h' = o*tanh(c')
    GRU   r, z = σ(W_x x + b_x + W_h h + b_h);  n = tanh(W_x x + b_x + r*(W_h h + b_h));  h' = (1-z)*n + z*h

The GRU applies its reset gate after the product with W_h, as PyTorch and cuDNN do (Cho et al. 2014 apply it before).

The products W_x x need no recurrence, so the caller computes them for all steps at once. The gradient is written by hand:
the backward scan carries only the state's gradient, and the weights' gradient is one product over all steps after it. On
CPUs both scans are native kernels (see jaxnets.nn.kernels).
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
    "gru": Cell(3, 4, _gru_forward, _gru_backward, separate_gate_grads=True),
}
"""The kernels know a cell by its name, and its sizes by the shapes of what they are given."""


def sequence_mask(steps: int, lengths: Array) -> Array:
    """1 for the real steps of each sequence, 0 for padding.

    >>> import jax.numpy as jnp
    >>> sequence_mask(4, jnp.asarray([1, 4])).tolist()
    [[1.0, 0.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0]]

    Args:
      steps: number of steps of the padded sequences.
      lengths: number of real steps of each sequence, int [N].

    Returns:
      float32 [N, steps].
    """
    return (jnp.arange(steps).reshape(1, -1) < lengths.reshape(-1, 1)).astype(jnp.float32)


def rnn_scan(
    cell: CellName, gx: Array, w: Array, b: Array, h: Array, c: Array, lengths: Array
) -> tuple[Array, tuple[Array, Array]]:
    """Runs a recurrent cell over time.

        linear h' = gx + W_h h + b_h
        rnn    h' = tanh(gx + W_h h + b_h)
        lstm   i, f, g, o = σ, σ, tanh, σ of (gx + W_h h + b_h);  c' = f*c + i*g;  h' = o*tanh(c')
        gru    r, z = σ(gx + W_h h + b_h);  n = tanh(gx + r*(W_h h + b_h));  h' = (1-z)*n + z*h

    where gx = W_x x + b_x, and each gate has its own H columns of gx, W_h and b_h, in the order of the formulas (PyTorch's).

    >>> import jax.numpy as jnp
    >>> T, N, H = 5, 2, 3
    >>> gx, w, b, zeros = jnp.ones((T, N, 4 * H)), jnp.zeros((H, 4 * H)), jnp.zeros(4 * H), jnp.zeros((N, H))
    >>> outputs, (h, c) = rnn_scan("lstm", gx, w, b, zeros, zeros, lengths=jnp.asarray([5, 2]))
    >>> outputs.shape, h.shape, c.shape
    ((5, 2, 3), (2, 3), (2, 3))
    >>> bool((outputs[2:, 1] == 0).all()), bool((h[1] == outputs[1, 1]).all())  # The second sequence has two steps.
    (True, True)

    Args:
      cell: "linear", "rnn", "lstm" or "gru", with 1, 1, 4 and 3 gates.
      gx: the input's part of the pre-activations, W_x x + b_x: [T, N, gates·H].
      w: W_h, [H, gates·H].
      b: b_h, [gates·H].
      h: the hidden state before the first step, [N, H].
      c: the LSTM's cell state before the first step, [N, H]. Other cells return it unchanged.
      lengths: number of real steps of each sequence, int [N]. After the last one the state no longer changes and outputs
        are 0.

    Returns:
      The outputs h_t [T, N, H], and the state (h, c), [N, H] each, after each sequence's last real step.

    Raises:
      KeyError: unknown cell.

    References:
      Hochreiter, S. and Schmidhuber, J. (1997), Long short-term memory.
      Cho, K. et al. (2014), Learning phrase representations using RNN encoder-decoder for statistical machine translation.
      Report S4 §6.8 (the linear cell).
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

    use_kernel = kernels.is_supported(gx, w, b, h, c)
    hs, cs, residuals = lax.platform_dependent(*operands, cpu=native, default=scan) if use_kernel else scan(*operands)
    outputs = jnp.where(sequence_mask(gx.shape[0], lengths).T[..., None] > 0, hs, 0)
    return (outputs, (hs[-1], cs[-1] if CELLS[cell].has_cell_state else c)), (w, h, c, lengths, hs, cs, residuals)


def _backward(
    cell: CellName, saved: tuple[Array, ...], cotangents: tuple[Array, tuple[Array, Array]]
) -> tuple[Array | None, ...]:
    w, h, c, lengths, hs, cs, residuals = saved
    dhs, (dh, dc) = cotangents
    scan = functools.partial(_scan_backward, cell)
    operands = w, h, c, hs, cs, residuals, dhs, dh, dc, lengths

    def native(*operands: Array) -> tuple[Array, ...]:
        like = jax.eval_shape(scan, *operands)
        return tuple(kernels.call(kernels.RECURRENCE_GRAD, like, None, None)(*operands, cell=cell))

    use_kernel = kernels.is_supported(*operands[:-1])
    dgx, dgh, dh, dc, dw = lax.platform_dependent(*operands, cpu=native, default=scan) if use_kernel else scan(*operands)
    return dgx, dw, (dgh if CELLS[cell].separate_gate_grads else dgx).sum((0, 1)), dh, dc, None


_rnn_scan.defvjp(_forward, _backward)


def _scan_forward(
    cell: CellName, gx: Array, w: Array, b: Array, h: Array, c: Array, lengths: Array
) -> tuple[Array, Array, Array]:
    """States h [T, N, H], states c [T, N, H] and residuals. After a sequence's end its state repeats.

    Cells without a cell state return an empty c: [0, N, H].
    """
    forward = CELLS[cell].forward

    def body(state: tuple[Array, Array], item: tuple[Array, Array]) -> tuple[tuple[Array, Array], tuple[Array, ...]]:
        (h, c), (gx_t, is_real) = state, item
        h_new, c_new, residuals = forward(gx_t, h @ w + b.reshape(1, -1), h, c)
        h, c = jnp.where(is_real, h_new, h), jnp.where(is_real, c_new, c)
        return (h, c), (h, c, residuals)

    _, (hs, cs, residuals) = lax.scan(body, (h, c), (gx, sequence_mask(gx.shape[0], lengths).T[..., None] > 0))
    return hs, cs if CELLS[cell].has_cell_state else cs[:0], residuals


def _scan_backward(
    cell: CellName,
    w: Array,
    h: Array,
    c: Array,
    hs: Array,
    cs: Array,
    residuals: Array,
    dhs: Array,
    dh: Array,
    dc: Array,
    lengths: Array,
) -> tuple[Array, Array, Array, Array, Array]:
    """Gradients of gx and gh at all steps, of the first state h and c, and of W_h.

    If gx and gh have the same gradient, the second is returned empty: [0, N, gates·H].
    """
    w_transposed = w.T
    h_before = jnp.concatenate([h[None], hs[:-1]])
    c_after = cs if CELLS[cell].has_cell_state else jnp.broadcast_to(c, hs.shape)
    c_before = jnp.concatenate([c[None], c_after[:-1]])

    def body(carry: tuple[Array, Array], item: tuple[Array, ...]) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
        dh, dc = carry
        dh_out, h, c, c_new, residuals, is_real = item
        # After a sequence's end the state's gradient passes through unchanged, and outputs are constants.
        dgx, dgh, dh_direct, dc_new = CELLS[cell].backward(dh + dh_out, dc, residuals, h, c, c_new)
        dgx, dgh = jnp.where(is_real, dgx, 0), jnp.where(is_real, dgh, 0)
        dh = jnp.where(is_real, dh_direct + dgh @ w_transposed, dh)
        return (dh, jnp.where(is_real, dc_new, dc)), (dgx, dgh)

    items = (dhs, h_before, c_before, c_after, residuals, sequence_mask(dhs.shape[0], lengths).T[..., None] > 0)
    (dh, dc), (dgx, dgh) = lax.scan(body, (dh, dc), items, reverse=True)
    # Products of matrices: XLA's CPU compiler would transpose arrays of three axes first.
    flat = lambda x: x.reshape(-1, x.shape[-1])
    dw = flat(hs[:-1]).T @ flat(dgh[1:]) + h.T @ dgh[0]
    return dgx, dgh if CELLS[cell].separate_gate_grads else dgh[:0], dh, dc, dw
