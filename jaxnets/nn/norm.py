"""Batch normalization (Ioffe and Szegedy 2015)."""

import functools
import math

import jax
import jax.numpy as jnp
from jax import lax

from jaxnets.nn.kernels import channel_moments, channel_sums, promote_varying

Array = jax.Array


def batch_norm(x: Array, scale: Array, bias: Array, epsilon: float, axis_name: str | None) -> tuple[Array, Array, Array]:
    """Normalizes each channel over the batch: y = (x - mean) / sqrt(variance + epsilon) · scale + bias.

    Args:
      x: [N, H, W, C].
      scale, bias: [C].
      epsilon: added to the variance.
      axis_name: a mesh axis over which a per-device program shares its statistics; None if x is the whole batch.

    Returns:
      y [N, H, W, C] of the type of x, and the mean and biased variance [C] of the batch, which carry no gradient.
      Computed in float32 throughout, whatever the type of x.

    The gradient is written out because it needs just two sums over the batch, where differentiating the formulas above
    step by step takes several more.
    """
    return _batch_norm(*promote_varying(x, scale, bias), epsilon, axis_name)


@functools.partial(jax.custom_vjp, nondiff_argnums=(3, 4))
def _batch_norm(x: Array, scale: Array, bias: Array, epsilon: float, axis_name: str | None) -> tuple[Array, Array, Array]:
    return _forward(x, scale, bias, epsilon, axis_name)[0]


def _forward(
    x: Array, scale: Array, bias: Array, epsilon: float, axis_name: str | None
) -> tuple[tuple[Array, Array, Array], tuple[Array, ...]]:
    mean, variance = channel_moments(x)
    if axis_name:
        # The variance of the whole is the mean of the parts' variances plus the variance of their means.
        whole = lax.pmean(mean, axis_name)
        variance = lax.pmean(variance + jnp.square(mean - whole), axis_name)
        mean = whole
    inverse = lax.rsqrt(variance + epsilon)
    y = (x - _channels(mean)) * _channels(inverse * scale) + _channels(bias)
    return (y.astype(x.dtype), mean, variance), (x, mean, inverse, scale)


def _backward(
    epsilon: float, axis_name: str | None, residuals: tuple[Array, ...], cotangents: tuple[Array, Array, Array]
) -> tuple[Array, Array, Array]:
    x, mean, inverse, scale = residuals
    dy = cotangents[0]
    plain, product = channel_sums(dy, x, mean)
    dscale, dbias = product * inverse, plain  # This device's share; the step sums gradients over devices.
    count = math.prod(x.shape[:-1])
    if axis_name:
        plain, product = lax.psum((plain, product), axis_name)
        count *= lax.axis_size(axis_name)
    # What is subtracted is summed first. The mean of dy is often far smaller than dy. Subtracted alone, this constant would
    # be rounded to the coarser grid of dy, by the same amount in all elements alike: an error that grows with their number
    # in every sum over dx, such as a bias gradient below, where independent roundings grow with its square root.
    shared = _channels(plain / count) + (x - _channels(mean)) * _channels(jnp.square(inverse) * product / count)
    dx = _channels(scale * inverse) * (dy - shared)
    return dx.astype(x.dtype), dscale, dbias


_batch_norm.defvjp(_forward, _backward)


def _channels(values: Array) -> Array:
    return values.reshape(1, 1, 1, -1)
