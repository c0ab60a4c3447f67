"""Average and maximum over windows, with gradients that are fast on CPUs."""

import functools

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax

from jaxnets.nn import kernels

Array = jax.Array


def avg_pool(x: Array, window: int = 2) -> Array:
    """Mean over non-overlapping windows. Rows and columns that fill no window are dropped.

    >>> import jax.numpy as jnp
    >>> avg_pool(jnp.arange(16.0).reshape(1, 4, 4, 1))[0, ..., 0].tolist()
    [[2.5, 4.5], [10.5, 12.5]]

    Args:
      x: images [N, H, W, C].
      window: side of the windows and distance between them.

    Returns:
      [N, H // window, W // window, C].
    """
    return _avg_pool(x, window)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def _avg_pool(x: Array, window: int) -> Array:
    height, width = (size // window for size in x.shape[1:3])
    slices = [
        x[:, i : i + (height - 1) * window + 1 : window, j : j + (width - 1) * window + 1 : window]
        for i in range(window)
        for j in range(window)
    ]
    return functools.reduce(jnp.add, slices) / window**2


def _avg_pool_bwd(window: int, x: Array, dy: Array) -> tuple[Array]:
    # One pass spreads each window's gradient evenly. The gradient of a sum of slices would make a padded copy per slice.
    n, h, w, c = dy.shape
    spread = jnp.broadcast_to((dy / window**2)[:, :, None, :, None], (n, h, window, w, window, c))
    spread = spread.reshape(n, h * window, w * window, c)
    return (jnp.pad(spread, [(0, size - pooled) for size, pooled in zip(x.shape, spread.shape, strict=True)]),)


_avg_pool.defvjp(lambda x, window: (_avg_pool(x, window), x), _avg_pool_bwd)


def max_pool(x: Array, window: int = 2, stride: int | None = None) -> Array:
    """Maximum over windows, without padding.

    If elements of a window tie, the gradient goes to the first in row-major order, as in PyTorch.

    >>> import jax, jax.numpy as jnp
    >>> x = jnp.asarray([[1.0, 5.0], [5.0, 2.0]]).reshape(1, 2, 2, 1)
    >>> max_pool(x).shape, float(max_pool(x)[0, 0, 0, 0])
    ((1, 1, 1, 1), 5.0)
    >>> jax.grad(lambda x: max_pool(x).sum())(x)[0, ..., 0].tolist()
    [[0.0, 1.0], [0.0, 0.0]]

    Args:
      x: images [N, H, W, C].
      window: side of the windows.
      stride: distance between windows; None: `window`, so that they do not overlap.

    Returns:
      [N, (H - window) // stride + 1, (W - window) // stride + 1, C].
    """
    return (_max_pool if kernels.is_supported(x) else _xla_max_pool)(window, stride or window, x)


def global_max_pool(x: Array) -> Array:
    """Maximum over each image; the gradient goes to the first pixel that has it.

    That of jnp.max is shared by all elements that equal the maximum, and XLA may compute them once more to compare them:
    where they are rounded differently then, none is equal, and the gradient is 0 / 0.

    >>> import jax, jax.numpy as jnp
    >>> x = jnp.asarray([[1.0, 5.0], [5.0, 2.0]]).reshape(1, 2, 2, 1)
    >>> global_max_pool(x).tolist(), jax.grad(lambda x: global_max_pool(x).sum())(x)[0, ..., 0].tolist()
    ([[5.0]], [[0.0, 1.0], [0.0, 0.0]])

    Args:
      x: images [N, H, W, C].

    Returns:
      [N, C].
    """
    pixels = x.reshape(x.shape[0], -1, x.shape[-1])
    places = jnp.arange(pixels.shape[1]).reshape(1, -1, 1)
    return jnp.where(places == pixels.argmax(1, keepdims=True), pixels, 0).sum(1)


def _xla_max_pool(window: int, stride: int, x: Array) -> Array:
    return nn.max_pool(x, (window, window), (stride, stride))


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _max_pool(window: int, stride: int, x: Array) -> Array:
    xla = functools.partial(_xla_max_pool, window, stride)

    def native(x: Array) -> Array:
        pool = kernels.call(kernels.MAX_POOL, jax.eval_shape(xla, x), (kernels.BATCH_MINOR,), kernels.BATCH_MINOR)
        return pool(x, window=window, stride=stride)

    return lax.platform_dependent(x, cpu=native, default=xla)


def _max_pool_bwd(window: int, stride: int, x: Array, dy: Array) -> tuple[Array]:
    def xla(x: Array, dy: Array) -> Array:
        return jax.vjp(functools.partial(_xla_max_pool, window, stride), x)[1](dy)[0]

    def native(x: Array, dy: Array) -> Array:
        layouts = (kernels.BATCH_MINOR, kernels.BATCH_MINOR)
        return kernels.call(kernels.MAX_POOL_GRAD, jax.eval_shape(xla, x, dy), layouts, kernels.BATCH_MINOR)(
            x, dy, window=window, stride=stride
        )

    return (lax.platform_dependent(x, dy, cpu=native, default=xla),)


_max_pool.defvjp(lambda window, stride, x: (_max_pool(window, stride, x), x), _max_pool_bwd)
