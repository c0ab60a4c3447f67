"""batch_norm against its formula, differentiated step by step."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxnets.nn import kernels
from jaxnets.nn.norm import batch_norm
from jaxnets.training import parallel


def reference(x, scale, bias, epsilon):
    mean, variance = x.mean((0, 1, 2)), x.var((0, 1, 2))
    y = (x - mean.reshape(1, 1, 1, -1)) / jnp.sqrt(variance + epsilon).reshape(1, 1, 1, -1)
    return y * scale.reshape(1, 1, 1, -1) + bias.reshape(1, 1, 1, -1), mean, variance


def operands(seed, n, h, w, c, offset=0.0):
    rng = np.random.default_rng(seed)
    x = offset + rng.normal(size=(n, h, w, c)) * rng.uniform(0.5, 2, c)
    arrays = x, rng.uniform(0.5, 2, c), rng.normal(size=c), rng.normal(size=x.shape)
    return [jnp.asarray(a.astype(np.float32)) for a in arrays]


def with_gradients(function, *args):
    """(output, gradients) of all arguments but the last, which is the output's cotangent; compiled as a whole."""

    def run(*args):
        output, pullback = jax.vjp(function, *args[:-1])
        return output, pullback(args[-1])

    return jax.jit(run)(*args)


@settings(max_examples=12)
@given(
    seed=st.integers(0, 2**31),
    n=st.integers(2, 70),
    h=st.integers(1, 6),
    w=st.integers(1, 6),
    c=st.integers(1, 40),
    offset=st.sampled_from([0.0, 3.0, -20.0]),
)
def test_value_and_gradient(seed, n, h, w, c, offset):
    x, scale, bias, dy = operands(seed, n, h, w, c, offset)
    outputs, found = with_gradients(lambda *a: batch_norm(*a, 1e-3, None)[0], x, scale, bias, dy)
    expected, wanted = with_gradients(lambda *a: reference(*a, 1e-3)[0], x, scale, bias, dy)
    np.testing.assert_allclose(outputs, expected, rtol=1e-4, atol=2e-4)
    for ours, theirs in zip(found, wanted, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-3, atol=2e-3 * np.abs(theirs).max() + 1e-5)


def test_moments_keep_their_digits_when_the_mean_is_large():
    x = operands(0, 64, 8, 8, 3)[0] + 1000
    _, mean, variance = jax.jit(lambda x: batch_norm(x, jnp.ones(3), jnp.zeros(3), 1e-5, None))(x)
    wide = np.asarray(x, np.float64)
    np.testing.assert_allclose(mean, wide.mean((0, 1, 2)), rtol=1e-6)
    np.testing.assert_allclose(variance, wide.var((0, 1, 2)), rtol=1e-4)


def gradients_that_cancel(seed):
    """x and dy [N, H, W, C], with the mean of dy a thousand times smaller than dy, as behind average pooling in LeNet."""
    rng = np.random.default_rng(seed)
    x = np.tanh(rng.normal(size=(16, 28, 28, 5)) * 0.2 + rng.uniform(-0.5, 0.5, 5))
    dy = 6e-4 * rng.normal(size=(16, 14, 14, 5)).repeat(2, 1).repeat(2, 2)
    return jnp.asarray(x, jnp.float32), jnp.asarray(dy, jnp.float32)


@pytest.mark.parametrize("seed", range(3))
def test_sums_that_cancel(instruction_set, seed):
    """Relative to the magnitudes of their terms, sums are exact, and only the result is rounded to float32.

    Relative to the result there could be no bound: it may be as small as one likes.
    """
    x, dy = gradients_that_cancel(seed)
    shift = x.mean((0, 1, 2))
    # A lambda is compiled anew for every instruction set, where the function itself would be found compiled for the first.
    plain, product = jax.jit(lambda *a: kernels.channel_sums(*a))(dy, x, shift)
    wide_x, wide_dy, wide_shift = (np.asarray(a, np.float64) for a in (x, dy, shift))
    for found, terms in ((plain, wide_dy), (product, wide_dy * (wide_x - wide_shift))):
        exact = terms.sum((0, 1, 2))
        assert (np.abs(found - exact) <= 2**-24 * np.abs(exact) + 1e-13 * np.abs(terms).sum((0, 1, 2))).all()
    mean, variance = jax.jit(lambda x: kernels.channel_moments(x))(x)
    np.testing.assert_allclose(mean, wide_x.mean((0, 1, 2)), rtol=2**-23)
    np.testing.assert_allclose(variance, wide_x.var((0, 1, 2)), rtol=2**-23)


@pytest.mark.parametrize("seed", range(3))
def test_roundings_of_the_input_gradient_do_not_add_up(instruction_set, seed):
    """The sum of dx over a channel, which is exactly zero, is no more than so many independent roundings leave.

    Roundings that are the same in all elements would add up to far more (some 30 in place of the 8 below, a few roundings an
    element), and with them the error of a bias gradient below.
    """
    x, dy = gradients_that_cancel(seed)
    run = jax.jit(lambda x, dy: jax.vjp(lambda x: batch_norm(x, jnp.ones(5), jnp.zeros(5), 1e-5, None)[0], x)[1](dy)[0])
    dx = np.asarray(run(x, dy), np.float64)
    assert (np.abs(dx.sum((0, 1, 2))) <= 8 * 2**-24 * np.sqrt(np.square(dx).sum((0, 1, 2)))).all()


def test_devices_share_their_statistics():
    x, scale, bias, dy = operands(1, 8, 3, 3, 4)
    mesh = parallel.make_mesh()

    def per_device(x, dy):
        (y, mean, variance), pullback = jax.vjp(lambda x: batch_norm(x, scale, bias, 1e-5, parallel.AXIS), x)
        return y, mean, variance, pullback((dy, jnp.zeros_like(mean), jnp.zeros_like(variance)))[0]

    split, whole = parallel.SPLIT, parallel.REPLICATED
    run = jax.shard_map(
        per_device, mesh=mesh, in_specs=(split, split), out_specs=(split, whole, whole, split), check_vma=False
    )
    found = jax.jit(run)(x, dy)
    expected, pullback = jax.vjp(lambda x: reference(x, scale, bias, 1e-5)[0], x)
    for ours, theirs in zip(found, (*reference(x, scale, bias, 1e-5), pullback(dy)[0]), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
    assert expected.shape == x.shape


@pytest.mark.skipif(kernels.backend() != "native", reason="the CPU kernels were not compiled: no C++ compiler")
def test_native_sums_under_vmap():
    xs = jnp.stack([operands(i, 19, 4, 5, 3)[0] for i in range(3)])
    means, variances = jax.jit(jax.vmap(kernels.channel_moments))(xs)
    np.testing.assert_allclose(means, xs.mean((1, 2, 3)), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(variances, xs.var((1, 2, 3)), rtol=1e-5)
    shift = jnp.array([1.0, -2.0, 0.5])
    plain, product = jax.jit(jax.vmap(kernels.channel_sums, in_axes=(0, None, None)))(xs, xs[0], shift)
    np.testing.assert_allclose(plain, xs.sum((1, 2, 3)), rtol=1e-4, atol=1e-3)
    expected = (xs * (xs[0] - shift.reshape(1, 1, 1, 3))[None]).sum((1, 2, 3))
    np.testing.assert_allclose(product, expected, rtol=1e-4, atol=1e-3)


def test_bfloat16_is_normalized_in_float32():
    """Values, statistics and gradients of bfloat16 images are those of the same numbers in float32, rounded at the end."""
    rng = np.random.default_rng(0)
    x = jnp.asarray(100 + rng.normal(size=(64, 5, 5, 8)), jnp.bfloat16)
    scale, bias = jnp.asarray(rng.uniform(0.5, 2, 8), jnp.float32), jnp.asarray(rng.normal(size=8), jnp.float32)
    weight = jnp.asarray(rng.normal(size=x.shape), jnp.float32)

    def loss(x, scale, bias):
        y, mean, variance = batch_norm(x, scale, bias, 1e-5, None)
        return (y.astype(jnp.float32) * weight).sum(), (y, mean, variance)

    run = jax.jit(jax.value_and_grad(loss, (0, 1, 2), has_aux=True))
    half, full = run(x, scale, bias), run(x.astype(jnp.float32), scale, bias)
    (_, (y, mean, variance)), (dx, dscale, dbias) = half
    assert (y.dtype, dx.dtype) == (jnp.bfloat16, jnp.bfloat16)
    assert {v.dtype for v in (mean, variance, dscale, dbias)} == {jnp.dtype("float32")}
    (_, (y32, mean32, variance32)), (dx32, dscale32, dbias32) = full
    np.testing.assert_allclose(mean, mean32, rtol=1e-6)
    np.testing.assert_allclose(variance, variance32, rtol=1e-4)
    np.testing.assert_allclose(y.astype(jnp.float32), y32, rtol=2**-7, atol=1e-2)
    for ours, theirs in ((dx.astype(jnp.float32), dx32), (dscale, dscale32), (dbias, dbias32)):
        assert np.linalg.norm(ours - theirs) < 0.02 * np.linalg.norm(theirs)
