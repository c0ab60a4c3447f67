"""Bits of dropout: those of jax.random.bits, whoever makes them."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxnets.nn import kernels
from jaxnets.nn.random import dropout_bits

SHAPES = [
    (1,),
    (0, 4),
    (7, 3),
    (128, 120),
    (35, 20, 7),
    (3, 5, 5, 6),
    (33, 14, 14, 6),
    (128, 5, 5, 16),
    (2, 3, 3, 1),
    (2, 1, 1, 2),
]
"""The last but one has an odd number of features, the longest ones more than one item of work."""


def reference(key, shape):
    """In NumPy, from the words that JAX draws."""
    size = math.prod(shape)
    words = np.asarray(jax.random.bits(key, ((size + 1) // 2,), "uint32"))
    return np.stack([words & 0xFFFF, words >> 16], -1).astype(np.uint16).reshape(-1)[:size].reshape(shape)


@pytest.mark.parametrize("shape", SHAPES)
def test_bits_are_those_of_jax(instruction_set, shape):
    key = jax.random.key(len(shape))
    np.testing.assert_array_equal(jax.jit(lambda key: dropout_bits(key, shape))(key), reference(key, shape))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.lists(st.integers(1, 20), min_size=1, max_size=4))
def test_any_key_and_shape(seed, shape):
    key = jax.random.key(seed)
    np.testing.assert_array_equal(dropout_bits(key, shape), reference(key, shape))


@pytest.mark.parametrize("shape", [(5, 3), (8, 4, 4, 6)])
def test_replicas_have_bits_of_their_own_keys(instruction_set, shape):
    keys = jax.random.split(jax.random.key(0), (2, 3))
    bits = jax.jit(jax.vmap(jax.vmap(lambda key: dropout_bits(key, shape))))(keys)
    for i, j in np.ndindex(2, 3):
        np.testing.assert_array_equal(bits[i, j], reference(keys[i, j], shape))


@pytest.mark.parametrize("impl", ["rbg", "unsafe_rbg"])
def test_other_generators_serve_themselves(impl):
    key = jax.random.key(0, impl=impl)
    np.testing.assert_array_equal(dropout_bits(key, (4, 3)), reference(key, (4, 3)))


def test_the_other_form_of_threefry_serves_itself():
    with jax.threefry_partitionable(False):
        key = jax.random.key(0)
        np.testing.assert_array_equal(dropout_bits(key, (4, 3)), reference(key, (4, 3)))


@pytest.mark.skipif(kernels.backend() != "native", reason="the CPU kernels were not compiled: no C++ compiler")
def test_programs_for_other_platforms_have_no_cpu_kernel():
    lower = lambda platform: jax.jit(lambda key: dropout_bits(key, (8, 4, 4, 6))).trace(jax.random.key(0)).lower(
        lowering_platforms=(platform,)
    )  # fmt: skip
    assert kernels.DROPOUT_BITS in lower("cpu").as_text()
    assert kernels.DROPOUT_BITS not in lower("cuda").as_text()


def test_shapes_that_do_not_fit_are_refused():
    if kernels.backend() != "native":
        pytest.skip("the CPU kernels were not compiled: no C++ compiler")
    odd = kernels.call(kernels.DROPOUT_BITS, jax.ShapeDtypeStruct((2, 3), jnp.uint16), None, None)
    with pytest.raises(Exception, match="an odd number of features"):
        odd(jnp.zeros(2, jnp.uint32), batch_minor=True).block_until_ready()
    with pytest.raises(Exception, match="shapes do not fit together"):
        odd(jnp.zeros(3, jnp.uint32), batch_minor=False).block_until_ready()
