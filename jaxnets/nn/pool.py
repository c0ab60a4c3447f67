"""Average and maximum over windows, with gradients that are fast on CPUs."""

import functools

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax

from jaxnets.nn import kernels

Array = jax.Array


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def avg_pool(x: Array, window: int = 2) -> Array:
    """Mean over non-overlapping windows: [N, H, W, C] -> [N, H // window, W // window, C]."""
    height, width = (size // window for size in x.shape[1:3])
    slices = [
        x[:, i : i + (height - 1) * window + 1 : window, j : j + (width - 1) * window + 1 : window]
        for i in range(window)
        for j in range(window)
    ]
    return functools.reduce(jnp.add, slices) / window**2


def _avg_pool_bwd(window: int, x: Array, dy: Array) -> tuple[Array]:
    # Each window's gradient spread evenly: one pass, where the gradient of a sum of slices takes a padded copy a slice.
    n, h, w, c = dy.shape
    spread = jnp.broadcast_to((dy / window**2)[:, :, None, :, None], (n, h, window, w, window, c))
    spread = spread.reshape(n, h * window, w * window, c)
    return (jnp.pad(spread, [(0, whole - part) for whole, part in zip(x.shape, spread.shape, strict=True)]),)


avg_pool.defvjp(lambda x, window: (avg_pool(x, window), x), _avg_pool_bwd)


def max_pool(x: Array, window: int = 2, stride: int | None = None) -> Array:
    """Maximum over windows, without padding: [N, H, W, C] -> [N, (H - window) // stride + 1, …, C].

    Where elements of a window tie, the first, row by row, has the gradient, as in PyTorch.
    """
    return (_max_pool if kernels.is_supported(x) else _xla_max_pool)(window, stride or window, x)


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
