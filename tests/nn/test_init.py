"""Initializers against their formulas."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnets.config.model import Init
from jaxnets.nn.init import bias_init, fans, kernel_init

DENSE, CONV = (300, 500), (5, 5, 40, 60)


@pytest.mark.parametrize("shape", [DENSE, CONV])
@pytest.mark.parametrize(
    ("init", "variance"),
    [
        (Init("xavier_normal", gain=5 / 3), lambda i, o: (5 / 3) ** 2 * 2 / (i + o)),
        (Init("xavier_uniform"), lambda i, o: 2 / (i + o)),
        (Init("kaiming_normal", gain=2**0.5), lambda i, o: 2 / i),
        (Init("torch"), lambda i, o: 1 / (3 * i)),
        (Init("normal", std=1.5), lambda i, o: 1.5**2),
    ],
    ids=lambda v: getattr(v, "scheme", ""),
)
def test_weights_have_the_stated_variance_and_no_mean(init, variance, shape):
    weights = kernel_init(init)(jax.random.key(0), shape)
    expected = variance(*fans(shape))
    assert float(weights.var()) == pytest.approx(expected, rel=0.02)
    assert abs(float(weights.mean())) < 4 * (expected / weights.size) ** 0.5


def test_fans_count_the_receptive_field():
    assert fans(CONV) == (25 * 40, 25 * 60)
    assert fans(DENSE) == DENSE


@pytest.mark.parametrize("scheme", ["torch", "xavier_uniform"])
def test_uniform_schemes_are_bounded(scheme):
    fan_in, fan_out = fans(DENSE)
    bound = fan_in**-0.5 if scheme == "torch" else (6 / (fan_in + fan_out)) ** 0.5
    weights = np.abs(kernel_init(Init(scheme))(jax.random.key(1), DENSE))
    assert 0.99 * bound < weights.max() <= bound


def test_dense_std_replaces_the_scheme_for_dense_layers_only():
    init = Init("kaiming_normal", dense_std=0.01)
    assert float(kernel_init(init)(jax.random.key(0), DENSE).std()) == pytest.approx(0.01, rel=0.02)
    assert float(kernel_init(init)(jax.random.key(0), CONV).std()) == pytest.approx(1000**-0.5, rel=0.02)


def test_biases():
    key = jax.random.key(0)
    assert jnp.all(bias_init(Init("kaiming_normal"), 10)(key, (7,)) == 0)
    assert jnp.all(bias_init(Init("torch", bias=0.01), 10)(key, (7,)) == 0.01)
    drawn = np.abs(bias_init(Init("torch"), 16)(key, (5000,)))
    assert 0.24 < drawn.max() <= 0.25
