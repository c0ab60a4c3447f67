"""conv2d against sums written out in NumPy, over shapes, transforms and dtypes."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from jax import lax

from jaxnets.nn import kernels
from jaxnets.nn.conv import conv2d
from jaxnets.training import parallel

needs_kernels = pytest.mark.skipif(
    kernels.backend() != "native", reason="the CPU kernels were not compiled: no C++ compiler"
)

WIDE = (16, 6, 6, 32, 33)
"""Batch, height, width and channels of a convolution that the kernels compute by fewer products."""


def reference(x, w, b, dy, stride, padding):
    """y and the gradients (dx, dw, db) in float64, tap by tap."""
    x, w, b, dy = (np.asarray(a, np.float64) for a in (x, w, b, dy))
    wide = np.pad(x, ((0, 0), *padding, (0, 0)))
    y = np.broadcast_to(b, dy.shape).copy()
    dwide, dw = np.zeros_like(wide), np.zeros_like(w)
    for i in range(w.shape[0]):
        for j in range(w.shape[1]):
            at = np.s_[:, i : i + stride * (dy.shape[1] - 1) + 1 : stride, j : j + stride * (dy.shape[2] - 1) + 1 : stride]
            y += wide[at] @ w[i, j]
            dwide[at] += dy @ w[i, j].T
            dw[i, j] = np.tensordot(wide[at], dy, ((0, 1, 2), (0, 1, 2)))
    (top, _), (left, _) = padding
    dx = dwide[:, top : top + x.shape[1], left : left + x.shape[2]]
    return y, dx, dw, dy.sum((0, 1, 2))


def operands(seed, n, h, w, c_in, c_out, kh, kw, stride=1, padding=((0, 0), (0, 0))):
    """x, w, b, and a cotangent of the output's shape."""
    rng = np.random.default_rng(seed)
    height, width = ((size + sum(pad) - k) // stride + 1 for size, pad, k in zip((h, w), padding, (kh, kw), strict=True))
    shapes = (n, h, w, c_in), (kh, kw, c_in, c_out), (c_out,), (n, height, width, c_out)
    return [jnp.asarray(rng.normal(size=shape).astype(np.float32)) for shape in shapes]


def value_and_grads(x, w, b, dy, stride=1, padding=((0, 0), (0, 0)), conv=conv2d):
    y, pullback = jax.vjp(functools.partial(conv, stride=stride, padding=padding), x, w, b)
    return y, *pullback(dy)


def compiled(*args, **geometry):
    """The same as one program: of a shape that occurs once, it compiles far sooner than one operation after the other."""
    return jax.jit(functools.partial(value_and_grads, **geometry))(*args)


def assert_close(found, args, stride=1, padding=((0, 0), (0, 0)), around=False):
    """Each element within 1e-5 of the sum of the magnitudes that make it up; `around`: of its largest neighbor's sum."""
    expected = reference(*args, stride, padding)
    bounds = reference(*(np.abs(a) for a in args), stride, padding)
    sides = (1, 2), (1, 2), (0, 1), ()
    for ours, exact, bound, axes in zip(found, expected, bounds, sides, strict=True):
        assert ours.shape == exact.shape
        bound = bound.max(axes, keepdims=True) if around else bound
        assert (np.abs(np.asarray(ours) - exact) <= 1e-5 * bound + 1e-30).all()


@needs_kernels
@settings(max_examples=30)
@given(
    seed=st.integers(0, 2**31),
    n=st.integers(1, 70),
    h=st.integers(1, 11),
    w=st.integers(1, 11),
    c_in=st.integers(1, 14),
    c_out=st.integers(1, 27),
    kh=st.integers(1, 5),
    kw=st.integers(1, 5),
    stride=st.integers(1, 3),
    pads=st.tuples(*[st.integers(0, 3)] * 4),
)
def test_value_and_gradients_over_shapes(seed, n, h, w, c_in, c_out, kh, kw, stride, pads):
    top, bottom, left, right = pads
    assume(h + top + bottom >= kh and w + left + right >= kw)
    geometry = {"stride": stride, "padding": ((top, bottom), (left, right))}
    args = operands(seed, n, h, w, c_in, c_out, kh, kw, **geometry)
    assert_close(compiled(*args, **geometry), args, **geometry)


@needs_kernels
@settings(max_examples=12)
@given(
    seed=st.integers(0, 2**31),
    n=st.integers(16, 150),
    h=st.integers(3, 9),
    w=st.integers(3, 9),
    c_in=st.integers(32, 40),
    c_out=st.integers(32, 70),
    pads=st.tuples(*[st.integers(0, 3)] * 4),
)
@example(seed=0, n=64, h=4, w=3, c_in=32, c_out=33, pads=(1, 1, 1, 0))
@example(seed=0, n=20, h=6, w=6, c_in=33, c_out=65, pads=(1, 1, 1, 1))
def test_convolutions_by_fewer_products(seed, n, h, w, c_in, c_out, pads):
    """Where 3x3 filters between many channels take the kernels' other way, whose rounding is that of a whole patch."""
    top, bottom, left, right = pads
    geometry = {"padding": ((top, bottom), (left, right))}
    args = operands(seed, n, h, w, c_in, c_out, 3, 3, **geometry)
    assert_close(compiled(*args, **geometry), args, **geometry, around=True)


@needs_kernels
@pytest.mark.parametrize("n", [1, 3, 4, 8, 15, 16, 17, 31, 32, 33, 64, 128, 200])
def test_every_slice_of_the_batch_is_computed(n):
    args = operands(n, n, 6, 6, 3, 7, 3, 3)
    assert_close(compiled(*args), args)


@needs_kernels
@pytest.mark.parametrize("batched", [(0, 0, 0), (0, None, None), (None, 0, 0), (None, 0, None)])
@pytest.mark.parametrize("shape", [(5, 7, 6, 3, 4), WIDE])
def test_vmap(batched, shape):
    many = [operands(i, *shape, 3, 3) for i in range(3)]
    args = [jnp.stack([one[k] for one in many]) if axis == 0 else many[0][k] for k, axis in enumerate((*batched, 0))]
    found = jax.jit(jax.vmap(value_and_grads, in_axes=(*batched, 0)))(*args)
    for i in range(3):
        own = [many[i][k] if axis == 0 else many[0][k] for k, axis in enumerate((*batched, 0))]
        assert_close([part[i] for part in found], own, around=shape is WIDE)


@needs_kernels
@pytest.mark.parametrize("shape", [(4, 5, 5, 2, 3), WIDE])
def test_nested_vmap(shape):
    many = [operands(i, *shape, 3, 3) for i in range(6)]
    x, w, b, dy = (jnp.stack(items).reshape(2, 3, *items[0].shape) for items in zip(*many, strict=True))
    # Filters vary along the outer axis alone.
    found = jax.jit(jax.vmap(jax.vmap(value_and_grads, in_axes=(0, None, 0, 0))))(x, w[:, 0], b, dy)
    for i in range(2):
        for j in range(3):
            assert_close([part[i, j] for part in found], [x[i, j], w[i, 0], b[i, j], dy[i, j]], around=shape is WIDE)


@needs_kernels
def test_scan_and_shard_map():
    args = operands(0, 8, 6, 6, 3, 4, 3, 3)
    stacked = [jnp.stack([a, 2 * a]) for a in args]
    _, found = lax.scan(lambda carry, item: (carry, value_and_grads(*item)), 0, stacked)
    for i in range(2):
        assert_close([part[i] for part in found], [a[i] for a in stacked])
    # The batch is split, filters and biases are replicated: their gradients come out summed over the devices.
    split, whole = parallel.SPLIT, parallel.REPLICATED
    specs = {"in_specs": (split, whole, whole, split), "out_specs": (split, split, whole, whole)}
    assert_close(jax.jit(jax.shard_map(value_and_grads, mesh=parallel.make_mesh(), **specs))(*args), args)


@needs_kernels
@pytest.mark.parametrize("shape", [(40, 9, 9, 5, 11, 5, 5), (40, 9, 9, 35, 40, 3, 3)])
def test_results_repeat_bit_for_bit(shape):
    args = operands(3, *shape)
    first, second = value_and_grads(*args), value_and_grads(*args)
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_bias_gradient_that_cancels(instruction_set):
    """Relative to the magnitudes of its terms it is exact, and only the result is rounded."""
    args = operands(0, 16, 32, 32, 3, 6, 5, 5)
    # As behind BatchNorm: terms that almost cancel, a thousandth of them left.
    centered = args[3] - args[3].mean((0, 1, 2), keepdims=True) + 1e-5
    terms = np.asarray(centered, np.float64)
    bias_grad = compiled(*args[:3], centered)[3]
    exact, magnitudes = terms.sum((0, 1, 2)), np.abs(terms).sum((0, 1, 2))
    assert (np.abs(exact) < 1e-4 * magnitudes).all()
    assert (np.abs(bias_grad - exact) <= 2**-24 * np.abs(exact) + 1e-13 * magnitudes).all()


@needs_kernels
def test_the_native_kernel_is_what_runs_on_cpu():
    args = operands(0, 4, 6, 6, 3, 4, 3, 3)
    program = jax.jit(value_and_grads).lower(*args).compile().as_text()
    assert all(name in program for name in (kernels.FORWARD, kernels.INPUT_GRAD, kernels.WEIGHT_GRAD))


def test_the_xla_path_with_more_padding_than_kernel(monkeypatch):
    monkeypatch.setattr(kernels, "backend", lambda: "xla")
    wide = ((3, 1), (2, 2))
    args = operands(0, 1, 1, 3, 1, 2, 3, 3, padding=wide)
    assert_close(compiled(*args, padding=wide), args, padding=wide)


def test_what_the_kernels_do_not_take_goes_to_xla():
    args = operands(0, 2, 17, 18, 2, 3, 17, 17)
    assert_close(compiled(*args), args)
    x, w, b, _ = operands(0, 2, 6, 6, 2, 3, 3, 3)
    trimmed = conv2d(x, w, b, padding=((-1, 0), (0, -1)))
    np.testing.assert_allclose(trimmed, conv2d(x[:, 1:, :-1], w, b), rtol=1e-5, atol=1e-5)


def test_other_dtypes_take_xla():
    x, w, b, _ = (a.astype(jnp.bfloat16) for a in operands(0, 4, 6, 6, 3, 4, 3, 3))
    y = conv2d(x, w, b)
    assert y.dtype == jnp.bfloat16
    np.testing.assert_allclose(y, conv2d(*(a.astype(jnp.float32) for a in (x, w, b))), rtol=0.05, atol=0.1)


def test_finite_differences():
    x, w, b, _ = operands(1, 2, 4, 4, 2, 3, 2, 2)
    loss = lambda w: jnp.sum(jnp.tanh(conv2d(x, w, b, padding=1)))
    direction = jnp.ones_like(w) / w.size**0.5
    numeric = (loss(w + 1e-2 * direction) - loss(w - 1e-2 * direction)) / 2e-2
    np.testing.assert_allclose((jax.grad(loss)(w) * direction).sum(), numeric, rtol=1e-2)
