"""Pooling: values and gradients against Flax."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxnets.nn import kernels
from jaxnets.nn.pool import avg_pool, max_pool

SHAPES = {
    "seed": st.integers(0, 2**31),
    "n": st.integers(1, 40),
    "h": st.integers(3, 9),
    "w": st.integers(3, 9),
    "c": st.sampled_from([2, 19]),
    "window": st.integers(1, 3),
    "stride": st.integers(1, 3),
}


def with_gradient(pool, x):
    """The output, and the gradient of its elements weighed differently, compiled as a whole."""

    def run(x):
        y, pullback = jax.vjp(pool, x)
        return y, pullback(jnp.cos(jnp.arange(y.size, dtype=jnp.float32)).reshape(y.shape))[0]

    return jax.jit(run)(x)


@settings(max_examples=20)
@given(**SHAPES)
def test_pooling_equals_flax_with_gradients(seed, n, h, w, c, window, stride):
    x = np.random.default_rng(seed).normal(size=(n, h, w, c)).astype(np.float32)
    pairs = [
        (lambda x: avg_pool(x, window), lambda x: nn.avg_pool(x, (window, window), (window, window))),
        (lambda x: max_pool(x, window, stride), lambda x: nn.max_pool(x, (window, window), (stride, stride))),
    ]
    for ours, theirs in pairs:
        for found, expected in zip(with_gradient(ours, x), with_gradient(theirs, x), strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@settings(max_examples=8)
@given(**SHAPES)
def test_unpooling_what_was_pooled_restores_the_maxima_in_place(seed, n, h, w, c, window, stride):
    x = np.random.default_rng(seed).normal(size=(n, h, w, c)).astype(np.float32)

    def run(x):
        pooled, unpool = jax.vjp(lambda x: max_pool(x, window, stride), x)
        back, shared = unpool(pooled)[0], unpool(jnp.ones_like(pooled))[0]
        return pooled, back, shared, max_pool(jnp.where(shared > 0, x, -jnp.inf), window, stride)

    pooled, back, shared, of_maxima = (np.asarray(a) for a in jax.jit(run)(x))
    # Windows that overlap may share a maximum, which then comes back once for each.
    np.testing.assert_allclose(back, shared * x, rtol=1e-6)
    assert shared.sum() == pooled.size
    np.testing.assert_array_equal(of_maxima, pooled)
    if stride >= window:
        np.testing.assert_array_equal(back, np.where(shared > 0, x, 0))


def _gradient(pool, x, dy):
    return jax.vjp(pool, x)[1](dy)[0]


def test_the_first_of_equal_maxima_has_the_gradient():
    x = jnp.zeros((1, 4, 4, 1)).at[0, 1, 3, 0].set(1.0).at[0, 3, 3, 0].set(1.0)
    found = _gradient(max_pool, x, jnp.ones((1, 2, 2, 1)))[0, :, :, 0]
    np.testing.assert_array_equal(found, [[1, 0, 0, 0], [0, 0, 0, 1], [1, 0, 0, 0], [0, 0, 0, 1]])


@pytest.mark.parametrize("batched", [(0, 0), (0, None), (None, 0)])
def test_vmap(batched):
    rng = np.random.default_rng(1)
    shapes = (2, 5, 7, 3), (2, 2, 3, 3)
    x, dy = (
        jnp.asarray(rng.normal(size=(4, *shape) if axis == 0 else shape), jnp.float32)
        for axis, shape in zip(batched, shapes, strict=True)
    )

    def gradient(x, dy):
        return _gradient(lambda x: max_pool(x, 3, 2), x, dy)

    together = jax.vmap(gradient, batched)(x, dy)
    for i in range(4):
        alone = gradient(*(a[i] if axis == 0 else a for axis, a in zip(batched, (x, dy), strict=True)))
        np.testing.assert_array_equal(together[i], alone)


def test_the_native_kernel_is_what_runs_on_cpu():
    if kernels.backend() != "native":
        pytest.skip("the CPU kernels are not built: no C++ compiler when jaxnets was installed")
    x = jnp.ones((2, 4, 4, 3))
    assert kernels.MAX_POOL_GRAD in jax.jit(jax.grad(lambda x: max_pool(x).sum())).lower(x).compile().as_text()


def test_other_dtypes_take_xla():
    x = jnp.arange(32, dtype=jnp.bfloat16).reshape(1, 4, 4, 2)
    found = max_pool(x)
    assert found.dtype == jnp.bfloat16
    np.testing.assert_array_equal(found[0, :, :, 0], [[10, 14], [26, 30]])
