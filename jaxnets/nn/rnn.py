"""Recurrent nets as scans over time: RNN, LSTM and GRU in PyTorch's parametrization, and the linear cell of report S4 §6.8.

x is the input, h and c are the state, σ is the logistic function and * multiplies element by element:

    linear h' = W_x x + b_x + W_h h + b_h
    RNN   h' = tanh(W_x x + b_x + W_h h + b_h)
    LSTM  i, f, g, o = σ, σ, tanh, σ of (W_x x + b_x + W_h h + b_h);  c' = f*c + i*g;  h' = o*tanh(c')
    GRU   r, z = σ(W_x x + b_x + W_h h + b_h);  n = tanh(W_x x + b_x + r*(W_h h + b_h));  h' = (1-z)*n + z*h

The GRU applies its reset gate after the product with W_h, as PyTorch and cuDNN do (Cho et al. 2014 apply it before).

The products W_x x need no recurrence, so the caller computes them for all steps at once. The gradient is written by hand:
the backward scan carries only the state's gradient, and the weights' gradient is one product over all steps after it.

There are three forms of both scans. On CPUs they are native kernels (see jaxnets.nn.kernels), or without these loops that
store each kind of result on its own. Elsewhere a step of a small net costs what it takes to launch its kernels, and every
array that a loop stores is a kernel a step: the packed scans store one, for four steps at a time.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

from jaxnets.nn import kernels
from jaxnets.nn.cells import CELLS, CellName

Array = jax.Array

_UNROLL = 4
"""Steps in a turn of the packed scans' loops, which share a kernel that stores their results and one that counts turns."""


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

    on_cpu = native if kernels.is_supported(gx, w, b, h, c) else scan
    hs, cs, residuals = lax.platform_dependent(*operands, cpu=on_cpu, default=functools.partial(_packed_forward, cell))
    outputs = jnp.where(_is_real(len(gx), lengths), hs, 0)
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

    on_cpu = native if kernels.is_supported(*operands[:-1]) else scan
    packed = functools.partial(_packed_backward, cell)
    dgx, dgh, dh, dc, dw = lax.platform_dependent(*operands, cpu=on_cpu, default=packed)
    return dgx, dw, (dgh if CELLS[cell].separate_gate_grads else dgx).sum((0, 1)), dh, dc, None


_rnn_scan.defvjp(_forward, _backward)


def _is_real(steps: int, lengths: Array) -> Array:
    """Whether a step is one of each sequence's own: [T, N, 1]."""
    return sequence_mask(steps, lengths).T[..., None] > 0


def _step(cell: CellName, w: Array, b: Array) -> Callable[..., tuple[tuple[Array, Array], tuple[Array, Array, Array]]]:
    """The function ((h, c), (gx of a step, whether it is real)) -> (new (h, c), (h, c, residuals))."""

    def body(
        state: tuple[Array, Array], item: tuple[Array, Array]
    ) -> tuple[tuple[Array, Array], tuple[Array, Array, Array]]:
        (h, c), (gx_t, is_real) = state, item
        h_new, c_new, residuals = CELLS[cell].forward(gx_t, h @ w + b.reshape(1, -1), h, c)
        h, c = jnp.where(is_real, h_new, h), jnp.where(is_real, c_new, c)
        return (h, c), (h, c, residuals)

    return body


def _states(cell: CellName, h: Array, c: Array, hs: Array, cs: Array) -> tuple[Array, Array, Array]:
    """h before every step, c before it and c after it, [T, N, H] each."""
    c_after = cs if CELLS[cell].has_cell_state else jnp.broadcast_to(c, hs.shape)
    return jnp.concatenate([h[None], hs[:-1]]), jnp.concatenate([c[None], c_after[:-1]]), c_after


def _scan_forward(
    cell: CellName, gx: Array, w: Array, b: Array, h: Array, c: Array, lengths: Array
) -> tuple[Array, Array, Array]:
    """States h [T, N, H], states c [T, N, H] and residuals. After a sequence's end its state repeats.

    Cells without a cell state return an empty c: [0, N, H].
    """
    _, (hs, cs, residuals) = lax.scan(_step(cell, w, b), (h, c), (gx, _is_real(len(gx), lengths)))
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

    def body(carry: tuple[Array, Array], item: tuple[Array, ...]) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
        dh, dc = carry
        dh_out, h, c, c_new, residuals, is_real = item
        # After a sequence's end the state's gradient passes through unchanged, and outputs are constants.
        dgx, dgh, dh_direct, dc_new = CELLS[cell].backward(dh + dh_out, dc, residuals, h, c, c_new)
        dgx, dgh = jnp.where(is_real, dgx, 0), jnp.where(is_real, dgh, 0)
        dh = jnp.where(is_real, dh_direct + dgh @ w_transposed, dh)
        return (dh, jnp.where(is_real, dc_new, dc)), (dgx, dgh)

    items = (dhs, *_states(cell, h, c, hs, cs), residuals, _is_real(len(dhs), lengths))
    (dh, dc), (dgx, dgh) = lax.scan(body, (dh, dc), items, reverse=True)
    return dgx, dgh if CELLS[cell].separate_gate_grads else dgh[:0], dh, dc, _weight_gradient(h, hs, dgh)


def _weight_gradient(h: Array, hs: Array, dgh: Array) -> Array:
    """Of W_h, from the state before the first step, the states after all and the gradients of gh."""
    # Products of matrices: XLA's CPU compiler would transpose arrays of three axes first.
    flat = lambda x: x.reshape(-1, x.shape[-1])
    return flat(hs[:-1]).T @ flat(dgh[1:]) + h.T @ dgh[0]


def _packed_forward(
    cell: CellName, gx: Array, w: Array, b: Array, h: Array, c: Array, lengths: Array
) -> tuple[Array, Array, Array]:
    """What `_scan_forward` returns, up to rounding; its loop stores one array."""
    kind, hidden = CELLS[cell], h.shape[-1]

    step = _step(cell, w, b)

    def body(state: tuple[Array, Array], item: tuple[Array, Array]) -> tuple[tuple[Array, Array], Array]:
        state, (h, c, residuals) = step(state, item)
        return state, jnp.concatenate([h, *[c] * kind.has_cell_state, residuals], axis=-1)

    _, packed = lax.scan(body, (h, c), (gx, _is_real(len(gx), lengths)), unroll=min(_UNROLL, len(gx)))
    places = [hidden, hidden * (1 + kind.has_cell_state)]
    # Products with parts of the array are not left to the compiler: XLA's for GPUs fails on some (0.10.2).
    hs, cs, residuals = lax.optimization_barrier(jnp.split(packed, places, axis=-1))
    return hs, cs if kind.has_cell_state else hs[:0], residuals


def _packed_backward(
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
    """What `_scan_backward` returns, up to rounding; its loop stores one array.

    A state's gradient follows from the gradients of the gates a step later. So the loop carries what it stores: these, what
    does not pass through W_h, and c's gradient, of which all but the first meet zeros in the product with W_h.
    """
    kind, (steps, batch, hidden) = CELLS[cell], hs.shape
    gates = kind.gates * hidden
    direct = gates + hidden * kind.has_direct_path
    states = direct + hidden * kind.has_cell_state
    size = states + gates * kind.separate_gate_grads
    w_transposed = jnp.pad(w.T, ((0, size - gates), (0, 0)))

    def of_state(packed: Array, is_last: Array) -> tuple[Array, Array]:
        """Gradients of the state before the step that gave `packed`; `is_last`: after this state a sequence ended."""
        dh_before = packed @ w_transposed + jnp.where(is_last, dh, 0)
        dc_before = jnp.where(is_last, dc, 0)
        if kind.has_direct_path:
            dh_before += packed[:, gates:direct]
        return dh_before, dc_before + packed[:, direct:states] if kind.has_cell_state else dc_before

    def body(packed: Array, item: tuple[Array, ...]) -> tuple[Array, Array]:
        t, dh_out, h, c, c_new, residuals = item
        dh_after, dc_after = of_state(packed, (t == lengths - 1).reshape(-1, 1))
        dgx, dgh, dh_direct, dc_before = kind.backward(dh_after + dh_out, dc_after, residuals, h, c, c_new)
        parts = [
            dgh,
            *[dh_direct] * kind.has_direct_path,
            *[dc_before] * kind.has_cell_state,
            *[dgx] * kind.separate_gate_grads,
        ]
        # What lies after a sequence's end is a constant.
        packed = jnp.where((t < lengths).reshape(-1, 1), jnp.concatenate(parts, axis=-1), 0)
        # Without the barrier what is stored would be computed a second time, from a state's gradient stored for it.
        packed = lax.optimization_barrier(packed)
        return packed, packed

    items = (jnp.arange(steps), dhs, *_states(cell, h, c, hs, cs), residuals)
    zeros = jnp.zeros((batch, size), dhs.dtype)
    first, packed = lax.scan(body, zeros, items, reverse=True, unroll=min(_UNROLL, steps))
    dh_first, dc_first = of_state(first, (lengths == 0).reshape(-1, 1))
    dgh, dgx = lax.optimization_barrier((packed[..., :gates], packed[..., states:]))
    dw = _weight_gradient(h, hs, dgh)
    dc = dc_first if kind.has_cell_state else dc
    return (dgx, dgh, dh_first, dc, dw) if kind.separate_gate_grads else (dgh, dgh[:0], dh_first, dc, dw)
