"""Dropout, BatchNorm and dense layers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnets.config.model import Init
from jaxnets.nn.layers import Activation, BatchNorm, Dense, Dropout, _tanh_slope


@pytest.mark.parametrize("rate", [0.1, 0.2, 0.5])
def test_dropout_keeps_the_mean_and_drops_the_stated_share(rate):
    x = jnp.ones((301, 333))  # An odd number of elements: the last random word serves one.
    y = Dropout(rate).apply({}, x, train=True, rngs={"dropout": jax.random.key(0)})
    assert float((y == 0).mean()) == pytest.approx(rate, abs=0.005)
    assert float(y.mean()) == pytest.approx(1, abs=0.01)
    np.testing.assert_allclose(jnp.unique(y), [0, 1 / (1 - rate)], rtol=1e-4)


def test_the_largest_rate_leaves_finite_values():
    y = Dropout(0.9999999).apply({}, jnp.ones(100), train=True, rngs={"dropout": jax.random.key(0)})
    assert jnp.isfinite(y).all()


def test_dropout_is_idle_in_evaluation_and_differs_by_key():
    x = jnp.ones((8, 8))
    assert Dropout(0.5).apply({}, x, train=False) is x
    first, second = (Dropout(0.5).apply({}, x, train=True, rngs={"dropout": jax.random.key(i)}) for i in range(2))
    assert not jnp.array_equal(first, second)


def test_neighbors_drop_independently():
    y = Dropout(0.5).apply({}, jnp.ones((400, 500)), train=True, rngs={"dropout": jax.random.key(3)}) > 0
    bits = np.asarray(y).ravel()
    for lag in (1, 2, 3, 250, 500):
        assert abs(np.corrcoef(bits[:-lag], bits[lag:])[0, 1]) < 0.01


def test_batch_norm_running_statistics_and_evaluation():
    x = 3 + 2 * jax.random.normal(jax.random.key(0), (50, 4))
    module = BatchNorm()
    variables = module.init(jax.random.key(0), x, train=False)
    _, updated = module.apply(variables, x, train=True, mutable=["batch_stats"])
    np.testing.assert_allclose(updated["batch_stats"]["mean"], 0.1 * x.mean(0), rtol=1e-5)
    np.testing.assert_allclose(updated["batch_stats"]["var"], 0.9 + 0.1 * x.var(0), rtol=1e-5)
    y = module.apply({"params": variables["params"], **updated}, x, train=False)
    stats = updated["batch_stats"]
    np.testing.assert_allclose(y, (x - stats["mean"][None]) / jnp.sqrt(stats["var"] + 1e-5)[None], rtol=1e-4, atol=1e-5)


def test_dense_is_affine_over_the_last_axis():
    x = jax.random.normal(jax.random.key(0), (2, 3, 5))
    module = Dense(4, Init("torch"))
    variables = module.init(jax.random.key(1), x)
    p = variables["params"]
    np.testing.assert_allclose(
        module.apply(variables, x), np.asarray(x) @ np.asarray(p["kernel"]) + np.asarray(p["bias"]), rtol=1e-5, atol=1e-6
    )


def test_both_forms_of_the_gradient_of_tanh_are_right():
    x = np.linspace(-12, 12, 97)
    slopes = 1 / np.cosh(x) ** 2
    of_cpus = jax.vmap(jax.grad(lambda x: Activation("tanh").apply({}, x)))(jnp.asarray(x, jnp.float32))
    np.testing.assert_allclose(of_cpus, slopes, atol=1e-6)
    np.testing.assert_allclose(_tanh_slope(jnp.asarray(x, jnp.float32)), slopes, rtol=2e-5)
    assert _tanh_slope(jnp.asarray([-1e30, 1e30])).tolist() == [0, 0]
    # On a GPU the gradient asks for no output of tanh that would have to be kept.
    traced = jax.jit(jax.grad(lambda x: Activation("tanh").apply({}, x).sum())).trace(jnp.ones(3))
    assert "stablehlo.tanh" in traced.lower(lowering_platforms=("cpu",)).as_text()
    assert "stablehlo.exponential" in traced.lower(lowering_platforms=("cuda",)).as_text()
