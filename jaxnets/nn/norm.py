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

    Statistics are computed in float32 whatever the dtype of x. The gradient is written by hand: it needs two sums over
    the batch, where automatic differentiation takes several more.

    >>> import jax.numpy as jnp
    >>> x = jnp.asarray([1.0, 3.0, 5.0, 7.0]).reshape(1, 2, 2, 1)
    >>> y, mean, variance = batch_norm(x, jnp.ones(1), jnp.zeros(1), 1e-5, None)
    >>> y.shape, mean.tolist(), variance.tolist()
    ((1, 2, 2, 1), [4.0], [5.0])

    Args:
      x: [N, H, W, C].
      scale: [C].
      bias: [C].
      epsilon: added to the variance.
      axis_name: the mesh axis over which a per-device program shares its statistics; None if x is the whole batch.

    Returns:
      y [N, H, W, C], of the dtype of x, and the batch's mean and biased variance, float32 [C]. The statistics carry no
      gradient.

    References:
      Ioffe, S. and Szegedy, C. (2015), Batch normalization: accelerating deep network training by reducing internal
      covariate shift.
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
        # The global variance is the mean of the devices' variances plus the variance of their means.
        global_mean = lax.pmean(mean, axis_name)
        variance = lax.pmean(variance + jnp.square(mean - global_mean), axis_name)
        mean = global_mean
    inverse = lax.rsqrt(variance + epsilon)
    y = (x - _channels(mean)) * _channels(inverse * scale) + _channels(bias)
    return (y.astype(x.dtype), mean, variance), (x, mean, inverse, scale)


def _backward(
    epsilon: float, axis_name: str | None, residuals: tuple[Array, ...], cotangents: tuple[Array, Array, Array]
) -> tuple[Array, Array, Array]:
    x, mean, inverse, scale = residuals
    dy = cotangents[0]
    dy_sum, dy_x_sum = channel_sums(dy, x, mean)
    dscale, dbias = dy_x_sum * inverse, dy_sum  # This device's share; the step sums gradients over devices.
    count = math.prod(x.shape[:-1])
    if axis_name:
        dy_sum, dy_x_sum = lax.psum((dy_sum, dy_x_sum), axis_name)
        count *= lax.axis_size(axis_name)
    # The subtracted terms are summed first. The mean of dy is often far smaller than dy. Subtracted alone, it would be
    # rounded to the coarser grid of dy, by the same amount in all elements: an error that grows with their number in every
    # sum over dx, such as a bias gradient below, where independent roundings grow with its square root.
    shared = _channels(dy_sum / count) + (x - _channels(mean)) * _channels(jnp.square(inverse) * dy_x_sum / count)
    dx = _channels(scale * inverse) * (dy - shared)
    return dx.astype(x.dtype), dscale, dbias


_batch_norm.defvjp(_forward, _backward)


def _channels(values: Array) -> Array:
    return values.reshape(1, 1, 1, -1)
