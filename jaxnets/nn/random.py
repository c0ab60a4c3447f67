"""Random bits of dropout, which are most of what it costs on a CPU."""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import lax

from jaxnets.nn import kernels

Array = jax.Array


def dropout_bits(key: Array, shape: Sequence[int]) -> Array:
    """16 random bits for each element of an array, uint16 [*shape].

    A word of jax.random.bits serves two elements: its low half the first one. Where a program is lowered for a CPU, a native
    kernel makes the same bits, those for images in the order in which they are stored.

    >>> import jax
    >>> dropout_bits(jax.random.key(0), (2, 3)).tolist() == dropout_bits(jax.random.key(0), (6,)).reshape(2, 3).tolist()
    True

    Args:
      key: a typed key, of any generator.
      shape: of the array; images are [N, H, W, C].
    """
    shape = tuple(shape)
    size = math.prod(shape)

    def xla(key: Array) -> Array:
        words = jax.random.bits(key, ((size + 1) // 2,))
        return lax.bitcast_convert_type(words, jnp.uint16).reshape(-1)[:size].reshape(shape)

    def native(key: Array) -> Array:
        batch_minor = len(shape) == 4 and size // max(shape[0], 1) % 2 == 0
        layouts = ((kernels.VECTOR,), kernels.BATCH_MINOR) if batch_minor else (None, None)
        bits = kernels.call(kernels.DROPOUT_BITS, jax.ShapeDtypeStruct(shape, jnp.uint16), *layouts)
        return bits(jax.random.key_data(key), batch_minor=batch_minor)

    # The kernel knows one generator, and counts in 32 bits.
    threefry = str(jax.random.key_impl(key)) == "threefry2x32" and jax.config.values["jax_threefry_partitionable"]
    if not threefry or size >= 2**32 or kernels.backend() != "native":
        return xla(key)
    return lax.platform_dependent(key, cpu=native, default=xla)
