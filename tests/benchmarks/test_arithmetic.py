"""Operations counted in jaxprs, against counts by hand."""

import jax
import jax.numpy as jnp
import pytest
from jax import lax

from benchmarks import arithmetic, train_step, workloads


def flops(function, *shapes):
    return arithmetic.jaxpr_flops(jax.make_jaxpr(function)(*(jnp.zeros(shape) for shape in shapes)).jaxpr)


def test_products():
    assert flops(jnp.matmul, (3, 4), (4, 5)) == 2 * 3 * 4 * 5
    assert flops(lambda a, b: jnp.einsum("bij,bjk->bik", a, b), (7, 3, 4), (7, 4, 5)) == 7 * 2 * 3 * 4 * 5


def test_loops_branches_and_calls():
    loop = lambda w: lax.scan(lambda h, _: (h @ w, None), jnp.ones((2, 3)), None, length=11)[0]
    assert flops(loop, (3, 3)) == 11 * 2 * 2 * 3 * 3
    assert flops(jax.jit(loop), (3, 3)) == 11 * 2 * 2 * 3 * 3
    choice = lambda w: lax.cond(w[0, 0] > 0, lambda: w @ w, lambda: w @ w @ w)
    assert flops(choice, (4, 4)) == 2 * 2 * 4**3


def test_convolutions():
    convolve = lambda x, w: lax.conv_general_dilated(x, w, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))
    assert flops(convolve, (2, 8, 8, 3), (5, 5, 3, 6)) == 2 * 2 * 4 * 4 * 6 * 5 * 5 * 3


@pytest.mark.parametrize("name", ["rows_gru_128", "char_rnn", "lenet"])
def test_a_training_step_is_about_three_forward_passes(name):
    workload = workloads.prepare(workloads.WORKLOADS[name]._replace(changes={"data.batch_size": 4}))
    batch_size = len(workload.batch["mask"])
    counted = arithmetic.step_flops(*train_step.build(workload), workload.batch)
    products = {
        "rows_gru_128": 28 * (28 * 384 + 128 * 384) + 1280,
        "char_rnn": 13 * ((59 + 128) * (128 + 59) + 187 * 59),
        "lenet": 28 * 28 * 6 * 75 + 10 * 10 * 16 * 150 + 400 * 120 + 120 * 84 + 840,
    }[name]
    # The first layer's inputs need no gradient, so it is somewhat less.
    assert 2 * 2 * batch_size * products < counted < 3.02 * 2 * batch_size * products
