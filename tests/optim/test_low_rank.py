"""Low-rank perturbations inside the products: the same estimates as of whole matrices, in the memory of their factors."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxnets import models
from jaxnets.config import LeNetConfig
from jaxnets.optim.low_rank import Perturbed, low_rank_gradient

KEY = jax.random.key(0)
RNG = np.random.default_rng(0)
X = jnp.asarray(RNG.normal(size=(7, 5)), jnp.float32)
PARAMS = {"w": jnp.asarray(RNG.normal(size=(5, 4)), jnp.float32), "b": jnp.asarray(RNG.normal(size=4), jnp.float32)}


def loss(params):
    return jnp.mean(jnp.tanh(X @ params["w"] + params["b"][None]) ** 2)


def estimate(params, function, **options):
    tx = low_rank_gradient(KEY, **options)
    return tx.update(None, tx.init(params), params, value_fn=function)[0]


def perturbed(dtype=jnp.float32):
    return Perturbed(*(jnp.asarray(RNG.normal(size=shape), dtype) for shape in ((5, 4), (5, 2), (4, 2))))


def test_the_product_of_a_perturbed_matrix():
    w = perturbed()
    whole = np.asarray(w.matrix, float) + np.asarray(w.left, float) @ np.asarray(w.right, float).T
    np.testing.assert_allclose(w.array(), whole, rtol=1e-5, atol=1e-6)
    for x in (X, np.asarray(X)):
        np.testing.assert_allclose(x @ w, np.asarray(x) @ whole, rtol=1e-4, atol=1e-5)
    assert w.astype(jnp.bfloat16).array().dtype == jnp.bfloat16
    with pytest.raises(TypeError):
        jnp.tanh(w)


@pytest.mark.parametrize("rank", [1, 3])
def test_the_formula_in_numpy(rank):
    """From the perturbed parameters as the function saw them."""
    seen, c, m = [], 0.01, 6

    def function(params):
        value = loss(params)
        jax.debug.callback(lambda w, b, value: seen.append((w, b, value)), params["w"].array(), params["b"], value)
        return value

    found = estimate(PARAMS, function, c=c, num_perturbations=m, rank=rank)
    jax.effects_barrier()
    expected = {name: np.zeros(leaf.shape) for name, leaf in PARAMS.items()}
    for w, b, value in seen:  # Both sides of each direction: their sum is the two-sided difference.
        expected["w"] += value * (w - PARAMS["w"]) / (2 * c * c * m)
        expected["b"] += value * (b - PARAMS["b"]) / (2 * c * c * m)
        np.testing.assert_array_equal(np.linalg.svd(w - PARAMS["w"], compute_uv=False)[rank:] < 1e-6, True)
    assert len(seen) == 2 * m
    for name, leaf in expected.items():
        np.testing.assert_allclose(found[name], leaf, rtol=0.02, atol=0.02)


@pytest.mark.parametrize("rank", [1, 2])
def test_the_mean_of_many_is_the_gradient(rank):
    found = estimate(PARAMS, loss, num_perturbations=60_000, rank=rank)
    chex.assert_trees_all_close(found, jax.grad(loss)(PARAMS), atol=0.03)


def test_no_perturbed_matrix_is_made():
    """For 32 directions in a layer of 64 by 48 units: in no form of the program is there an array of that size."""
    params, x = {"w": jnp.ones((64, 48))}, jnp.ones((3, 64))
    tx = low_rank_gradient(KEY, num_perturbations=32)
    function = lambda params: jnp.mean((x @ params["w"]) ** 2)
    step = jax.jit(lambda state, params: tx.update(None, state, params, value_fn=function)[0])
    lowered = step.lower(tx.init(params), params)
    for text in (lowered.as_text(), lowered.compile().as_text()):
        assert not any(size in text for size in ("32x64x48", "32,64,48", "64,48,32", "64x48x32", "98304"))
    assert lowered.compile().memory_analysis().temp_size_in_bytes < 32 * 64 * 48 * 4


def test_a_net_of_ours_takes_perturbed_matrices():
    model = models.build(LeNetConfig(), {"classes": 10})
    images = jnp.asarray(RNG.normal(size=(2, 32, 32, 3)), jnp.float32)
    params = model.init(KEY, images, train=False)["params"]
    function = lambda params: jnp.mean(model.apply({"params": params}, images, train=False) ** 2)
    whole = lambda params: function(
        jax.tree.map(
            lambda leaf: leaf.array() if isinstance(leaf, Perturbed) else leaf,
            params,
            is_leaf=lambda leaf: isinstance(leaf, Perturbed),
        )
    )
    found, expected = (estimate(params, f, num_perturbations=2, c=0.1) for f in (function, whole))
    chex.assert_trees_all_close(found, expected, rtol=0.01, atol=1e-3)


def test_steps_can_be_scanned_and_seeds_mapped():
    tx = optax.chain(low_rank_gradient(num_perturbations=16), optax.sgd(0.3))
    start = loss(PARAMS)

    def train(key):
        def step(carry, _):
            params, state = carry
            updates, state = tx.update(None, state, params, value_fn=loss, key=key)
            return (optax.apply_updates(params, updates), state), None

        return loss(jax.lax.scan(step, (PARAMS, tx.init(PARAMS)), length=60)[0][0])

    assert (jax.jit(jax.vmap(train))(jax.random.split(KEY, 2)) < 0.8 * start).all()


def test_a_value_that_is_not_finite_is_refused_and_counted():
    tx = low_rank_gradient(KEY, num_perturbations=4)
    updates, state = tx.update(None, tx.init(PARAMS), PARAMS, obj_fn=lambda params: loss(params) + jnp.nan)
    assert int(state.refused) == 1
    np.testing.assert_array_equal(updates["w"], 0)


@pytest.mark.parametrize("options", [{"rank": 0}, {"c": 0.0}, {"gamma": 1.0}, {"num_perturbations": 0}])
def test_arguments_out_of_range_are_named(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        low_rank_gradient(KEY, **options)


@pytest.mark.parametrize(
    ("params", "function", "message"),
    [
        (PARAMS, None, "value_fn"),
        ({"n": jnp.arange(3)}, loss, "of a floating type; n has the type int32"),
        ({}, loss, "of a floating type; there are none"),
        (PARAMS, lambda params: params["b"], "a scalar array"),
    ],
)
def test_what_cannot_be_done_is_named(params, function, message):
    with pytest.raises(ValueError, match=message):
        estimate(params, function)
