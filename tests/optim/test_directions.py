"""Directions: their second moment, and what makes each its own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnets.optim.directions import NAMED, coordinates, gaussian, low_rank, orthogonal, subset
from jaxnets.optim.spsa import spsa_gradient

KEY = jax.random.key(0)
LEAVES = [jnp.zeros((3, 4)), jnp.zeros(5)]
ALL = {**NAMED, "subset": subset(0.3), "low_rank 2": low_rank(2)}


def drawn(directions, number, leaves=LEAVES, key=KEY):
    """[number, n]"""
    seeds = directions.seeds(key, number, leaves)
    deltas = jax.jit(jax.vmap(lambda seed: directions.draw(seed, leaves)))(seeds)
    return np.concatenate([np.reshape(delta, (number, -1)) for delta in deltas], axis=1)


@pytest.mark.parametrize("name", ALL)
def test_the_second_moment_is_the_identity(name):
    """So the estimate of a linear function has no bias. Directions drawn together are not independent: hence many keys."""
    keys = jax.random.split(KEY, 3000)
    draw = lambda key: jax.vmap(lambda seed: ALL[name].draw(seed, LEAVES))(ALL[name].seeds(key, 8, LEAVES))
    deltas = jax.jit(jax.vmap(draw))(keys)
    rows = np.concatenate([np.reshape(delta, (3000 * 8, -1)) for delta in deltas], axis=1)
    np.testing.assert_allclose(rows.T @ rows / len(rows), np.eye(17), atol=0.15)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("at_once", [None, 1])
def test_the_estimate_of_a_linear_function_is_its_projection(name, at_once):
    """(1/m) Σ Δ Δᵀ g, in NumPy, from the same directions."""
    m, slopes = 6, np.linspace(-1, 2, 17, dtype=np.float32)
    params = {"a": LEAVES[0] + 1, "b": LEAVES[1] - 1}
    function = lambda p: jnp.concatenate([p["a"].ravel(), p["b"]]) @ slopes
    tx = spsa_gradient(KEY, c=0.1, num_perturbations=m, directions=ALL[name], at_once=at_once)
    found, _ = tx.update(None, tx.init(params), params, value_fn=function)
    deltas = drawn(ALL[name], m, key=jax.random.fold_in(KEY, 1))
    expected = deltas.T @ (deltas @ slopes) / m
    np.testing.assert_allclose(np.concatenate([found["a"].ravel(), found["b"]]), expected, rtol=1e-3, atol=2e-3)


@pytest.mark.parametrize("n", [16, 64])
def test_orthogonal_directions(n):
    deltas = drawn(orthogonal, n // 2, [jnp.zeros((4, n // 8)), jnp.zeros(n // 2)])
    np.testing.assert_array_equal(deltas @ deltas.T, n * np.eye(n // 2))
    assert set(deltas.ravel()) == {-1.0, 1.0}


def test_all_rows_of_orthogonal_directions_average_to_the_gradient():
    deltas = drawn(orthogonal, 32)  # 17 parameters: the first columns of 32 rows.
    np.testing.assert_array_equal(deltas.T @ deltas / 32, np.eye(17))
    twice = drawn(orthogonal, 48)
    assert len(np.unique(twice, axis=0)) > 32


def test_orthogonal_directions_have_less_noise():
    """The squared cosine is m/n and not m/(m + n + 1)."""
    n, m = 64, 32
    gradient = jnp.linspace(-1, 1, n)

    def squared_cosine(directions, key):
        leaves = [jnp.zeros(n)]
        (deltas,) = jax.vmap(lambda seed: directions.draw(seed, leaves))(directions.seeds(key, m, leaves))
        found = deltas.T @ (deltas @ gradient)
        return (found @ gradient) ** 2 / (found @ found) / (gradient @ gradient)

    mean = lambda directions: float(jax.vmap(lambda key: squared_cosine(directions, key))(jax.random.split(KEY, 400)).mean())
    assert mean(orthogonal) == pytest.approx(m / n, rel=0.04)
    assert mean(gaussian) == pytest.approx(m / (m + n + 1), rel=0.08)


def test_all_coordinates_give_central_differences():
    x, c = jnp.array([0.5, -1.0, 2.0]), 0.1
    tx = spsa_gradient(KEY, c=c / 3**0.5, num_perturbations=3, directions=coordinates)
    found, _ = tx.update(None, tx.init(x), x, value_fn=lambda x: jnp.sum(x**3))
    np.testing.assert_allclose(found, 3 * np.square(x) + c**2, rtol=1e-3)
    assert sorted(drawn(coordinates, 34).argmax(1)) == sorted([*range(17), *range(17)])


@pytest.mark.parametrize("rank", [1, 2])
def test_low_rank_directions(rank):
    (delta,) = low_rank(rank).draw(KEY, [jnp.zeros((3, 6, 5))])
    assert list(np.linalg.matrix_rank(delta)) == [rank] * 3


def test_a_subset_is_perturbed():
    deltas = drawn(subset(0.25), 400)
    assert (deltas != 0).mean() == pytest.approx(0.25, abs=0.03)
    np.testing.assert_array_equal(np.unique(np.abs(deltas)), [0, 2])


def test_gaussian_directions_smooth_the_loss():
    """E (x + c u)³ = x³ + 3 c² x, whose slope is 3 x² + 3 c²; signs give 3 x² + c²."""
    x, c = jnp.float32(1), 0.5
    tx = spsa_gradient(KEY, c=c, num_perturbations=200_000, directions=gaussian)
    found, _ = tx.update(None, tx.init(x), x, value_fn=lambda x: x**3)
    assert float(found) == pytest.approx(3 + 3 * c**2, rel=0.03)


@pytest.mark.parametrize(("make", "value"), [(subset, 0.0), (subset, 1.5), (low_rank, 0)])
def test_sizes_out_of_range_are_named(make, value):
    with pytest.raises(ValueError, match="spsa: (fraction|rank) must be"):
        make(value)
