"""Recurrences against Python loops and torch.nn, with padding, on both paths."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxnets.nn import kernels, rnn
from jaxnets.nn.cells import CELLS
from jaxnets.nn.rnn import rnn_scan

NAMES = tuple(CELLS)


@pytest.fixture(params=["native", "xla", "packed"])
def path(request, monkeypatch):
    """All implementations: a CPU's, with kernels and without, and an accelerator's, which runs here too."""
    if request.param == "native" and kernels.backend() != "native":
        pytest.skip("the CPU kernels were not compiled: no C++ compiler")
    monkeypatch.setattr(kernels, "backend", lambda: request.param)
    if request.param == "packed":
        monkeypatch.setattr(rnn, "_scan_forward", rnn._packed_forward)
        monkeypatch.setattr(rnn, "_scan_backward", rnn._packed_backward)
    return request.param


def operands(cell, seed, steps, batch, hidden, full=False):
    rng = np.random.default_rng(seed)
    make = lambda *shape, scale=1.0: jnp.asarray((scale * rng.normal(size=shape)).astype(np.float32))
    gates = CELLS[cell].gates * hidden
    lengths = np.full(batch, steps) if full else rng.integers(1, steps + 1, batch)
    return {
        "gx": make(steps, batch, gates),
        "w": make(hidden, gates, scale=hidden**-0.5),
        "b": make(gates),
        "h": make(batch, hidden),
        "c": make(batch, hidden),
        "lengths": jnp.asarray(lengths.astype(np.int32)),
    }


def by_hand(cell, gx, w, b, h, c, lengths):
    """One sequence after the other, one step after the other, from the formulas, differentiable."""
    outputs, finals, lengths = [], [], np.asarray(lengths)
    for k in range(gx.shape[1]):
        state, outs = (h[k], c[k]), []
        for t in range(gx.shape[0]):
            if t < lengths[k]:
                state = step(cell, gx[t, k], state[0] @ w + b, *state)
                outs.append(state[0])
            else:
                outs.append(jnp.zeros_like(state[0]))
        outputs.append(jnp.stack(outs))
        finals.append(state)
    stacked = jnp.stack(outputs, 1)
    return stacked, (jnp.stack([f[0] for f in finals]), jnp.stack([f[1] for f in finals]))


def loops(cell, lengths, **rest):
    """The same, compiled for these lengths."""
    return jax.jit(lambda rest: by_hand(cell, lengths=lengths, **rest))(rest)


def step(cell, gx, gh, h, c):
    sigmoid = lambda x: 1 / (1 + jnp.exp(-x))
    if cell == "linear":
        return gx + gh, c
    if cell == "rnn":
        return jnp.tanh(gx + gh), c
    if cell == "lstm":
        i, f, g, o = jnp.split(gx + gh, 4)
        c = sigmoid(f) * c + sigmoid(i) * jnp.tanh(g)
        return sigmoid(o) * jnp.tanh(c), c
    (xr, xz, xn), (hr, hz, hn) = jnp.split(gx, 3), jnp.split(gh, 3)
    z, n = sigmoid(xz + hz), jnp.tanh(xn + sigmoid(xr + hr) * hn)
    return (1 - z) * n + z * h, c


def loss(function, cell):
    """Weighs every output and final state differently."""

    def run(args):
        outputs, (h, c) = function(cell, **args)
        mix = lambda x: (x * jnp.sin(1.0 + jnp.arange(x.size)).reshape(x.shape)).sum()
        return mix(outputs) + 2 * mix(h) - mix(c)

    return run


def gradients(function, cell, args):
    lengths = args["lengths"]
    rest = {k: v for k, v in args.items() if k != "lengths"}
    return jax.jit(jax.grad(lambda rest: loss(function, cell)({**rest, "lengths": lengths})))(rest)


@pytest.mark.parametrize("cell", NAMES)
@pytest.mark.parametrize(("steps", "batch", "hidden"), [(5, 3, 4), (1, 1, 1), (4, 9, 17)])
def test_equals_python_loops_with_gradients(path, cell, steps, batch, hidden):
    args = operands(cell, 0, steps, batch, hidden)
    found, expected = jax.jit(lambda a: rnn_scan(cell, **a))(args), loops(cell, **args)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=2e-6), found, expected)
    ours, theirs = gradients(rnn_scan, cell, args), gradients(by_hand, cell, args)
    for name, wanted in theirs.items():
        np.testing.assert_allclose(ours[name], wanted, rtol=2e-5, atol=1e-5 * np.abs(wanted).max(), err_msg=name)


@pytest.mark.skipif(kernels.backend() != "native", reason="the CPU kernels were not compiled: no C++ compiler")
@pytest.mark.parametrize("cell", NAMES)
def test_both_paths_agree_on_sizes_beyond_a_block(monkeypatch, cell):
    args = operands(cell, 1, 4, 40, 150)
    native = gradients(rnn_scan, cell, args)
    monkeypatch.setattr(kernels, "backend", lambda: "xla")
    for name, wanted in gradients(rnn_scan, cell, args).items():
        np.testing.assert_allclose(native[name], wanted, rtol=1e-5, atol=1e-5 * np.abs(wanted).max(), err_msg=name)


@pytest.mark.skipif(kernels.backend() != "native", reason="the CPU kernels were not compiled: no C++ compiler")
@pytest.mark.parametrize("cell", NAMES)
def test_a_disagreement_about_a_cell_is_an_error(monkeypatch, cell):
    """A name that the kernels do not know, or another number of gates or of residuals."""
    args = operands(cell, 0, 2, 3, 4)
    renamed, smaller = CELLS[cell], CELLS[cell]._replace(residuals=CELLS[cell].residuals + 1)
    forward = smaller.forward
    padded = lambda *a: (*forward(*a)[:2], jnp.pad(forward(*a)[2], ((0, 0), (0, 4))))
    monkeypatch.setitem(CELLS, "cell of tomorrow", renamed)
    with pytest.raises(jax.errors.JaxRuntimeError, match="unknown cell"):
        jax.block_until_ready(rnn_scan("cell of tomorrow", **args))
    monkeypatch.setitem(CELLS, cell, smaller._replace(forward=padded))
    with pytest.raises(jax.errors.JaxRuntimeError, match="do not fit together"):
        jax.block_until_ready(rnn_scan(cell, **args))


@settings(max_examples=6)
@given(
    cell=st.sampled_from(NAMES),
    seed=st.integers(0, 99),
    steps=st.integers(1, 9),
    batch=st.integers(1, 70),
    extra=st.integers(1, 5),
)
def test_padding_never_changes_a_result(cell, seed, steps, batch, extra):
    args = operands(cell, seed, steps, batch, 6)
    junk = np.full((extra, *args["gx"].shape[1:]), np.nan, np.float32)
    # Junk behind a sequence's end within the batch too.
    running = (np.arange(steps)[:, None] < np.asarray(args["lengths"])[None, :])[..., None]
    longer = {**args, "gx": jnp.asarray(np.concatenate([np.where(running, args["gx"], np.float32(np.nan)), junk]))}
    run = jax.jit(lambda args: rnn_scan(cell, **args))
    outputs, final = run(args)
    padded_outputs, padded_final = run(longer)
    np.testing.assert_array_equal(np.asarray(padded_outputs)[:steps], outputs)
    assert not np.asarray(padded_outputs)[steps:].any()
    jax.tree.map(np.testing.assert_array_equal, padded_final, final)
    ours, padded = gradients(rnn_scan, cell, args), gradients(rnn_scan, cell, longer)
    for name in ("w", "b", "h", "c"):
        np.testing.assert_allclose(padded[name], ours[name], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("cell", NAMES)
def test_vmap_over_seeds(path, cell):
    many = [operands(cell, i, 4, 5, 6) for i in range(3)]
    stacked = jax.tree.map(lambda *a: np.stack(a), *many)
    found = jax.jit(jax.vmap(lambda a: rnn_scan(cell, **a)))(stacked)
    alone = jax.jit(lambda a: rnn_scan(cell, **a))
    for i, args in enumerate(many):
        one = alone(args)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(np.asarray(a)[i], b, rtol=1e-5, atol=1e-6), found, one)  # noqa: B023
    grads = jax.jit(jax.vmap(lambda a: gradients(rnn_scan, cell, a)))(stacked)
    alone = jax.jit(lambda a: gradients(rnn_scan, cell, a))
    for i, args in enumerate(many):
        one = alone(args)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(np.asarray(a)[i], b, rtol=1e-4, atol=1e-4), grads, one)  # noqa: B023


@pytest.mark.parametrize("cell", NAMES)
def test_saturation_and_small_values(path, cell):
    """Pre-activations from 1e-6 to 1e3: no overflow, no lost digits."""
    scale = np.array([1e-6, 1e-3, 1.0, 20.0, 1e3], np.float32).reshape(1, 5, 1)
    args = operands(cell, 0, 2, 5, 3, full=True)
    gx, w, h, b = (np.asarray(args[name]) for name in ("gx", "w", "h", "b"))
    args |= {"gx": np.sign(gx) * scale, "w": w * np.float32(0.1), "h": h * np.float32(1e-6), "b": b * 0}
    found, expected = jax.jit(lambda a: rnn_scan(cell, **a))(args), loops(cell, **args)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=2e-7), found, expected)
    assert all(np.isfinite(g).all() for g in jax.tree.leaves(gradients(rnn_scan, cell, args)))
