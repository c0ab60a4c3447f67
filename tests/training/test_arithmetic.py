"""Operations counted in jaxprs, against counts by hand."""

import jax
import jax.numpy as jnp
from jax import lax

from jaxnets.training.arithmetic import jaxpr_flops


def flops(function, *shapes):
    return jaxpr_flops(jax.make_jaxpr(function)(*(jnp.zeros(shape) for shape in shapes)).jaxpr)


def test_products():
    assert flops(jnp.matmul, (3, 4), (4, 5)) == 2 * 3 * 4 * 5
    assert flops(lambda a, b: jnp.einsum("bij,bjk->bik", a, b), (7, 3, 4), (7, 4, 5)) == 7 * 2 * 3 * 4 * 5


def test_loops_branches_and_calls():
    loop = lambda w: lax.scan(lambda h, _: (h @ w, None), jnp.ones((2, 3)), None, length=11)[0]
    assert flops(loop, (3, 3)) == 11 * 2 * 2 * 3 * 3
    assert flops(jax.jit(loop), (3, 3)) == 11 * 2 * 2 * 3 * 3
    choice = lambda w: lax.cond(w[0, 0] > 0, lambda: w @ w, lambda: w @ w @ w)
    assert flops(choice, (4, 4)) == 2 * 2 * 4**3


def test_forms_for_platforms():
    """The one without products stands for a native kernel, the longest for one with padding."""
    forms = {"cpu": lambda w: w, "cuda": lambda w: w @ w @ w, "default": lambda w: w @ w}
    assert flops(lambda w: lax.platform_dependent(w, **forms), (4, 4)) == 2 * 4**3
    assert flops(lambda w: lax.platform_dependent(w, cpu=lambda w: w, default=jnp.sin), (4, 4)) == 0


def test_what_nobody_uses_does_not_count():
    both = lambda w: (w @ w @ w, w @ w)
    assert flops(lambda w: both(w)[1], (4, 4)) == 2 * 4**3
    inside = lambda w: lax.scan(lambda h, _: (both(h)[1], both(h)[0].sum()), w, None, length=5)[0]
    assert flops(inside, (4, 4)) == 5 * 2 * 4**3
    forms = lambda w: lax.platform_dependent(w, cpu=lambda w: (w, w), default=both)
    assert flops(lambda w: forms(w)[1], (4, 4)) == 2 * 4**3


def test_convolutions():
    convolve = lambda x, w: lax.conv_general_dilated(x, w, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))
    assert flops(convolve, (2, 8, 8, 3), (5, 5, 3, 6)) == 2 * 2 * 4 * 4 * 6 * 5 * 5 * 3
