"""2-SPSA: the Hessian's estimate, its smoothing and its inverse."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxnets.optim.second_order import scale_by_spsa_hessian
from jaxnets.optim.spsa import spsa_gradient

KEY = jax.random.key(0)
A = np.array([[4.0, 1.0, 0.0], [1.0, 3.0, -1.0], [0.0, -1.0, -2.0]], np.float32)
PARAMS = {"w": jnp.array([0.5, -1.0]), "b": jnp.array(0.3)}


def quadratic(p):
    x = jnp.concatenate([p["b"][None], p["w"]])  # The order of jax's flattening: b, w.
    return x @ A @ x / 2 + x.sum()


@pytest.mark.parametrize(("kind", "expected"), [("full", A), ("diagonal", np.diag(A))])
def test_the_mean_of_many_estimates_is_the_hessian(kind, expected):
    tx = scale_by_spsa_hessian(KEY, num_perturbations=20_000, kind=kind, decay=0.0)
    _, state = tx.update(PARAMS, tx.init(PARAMS), PARAMS, value_fn=quadratic)
    np.testing.assert_allclose(state.hessian, expected, atol=0.3)
    if kind == "full":
        np.testing.assert_array_equal(state.hessian, state.hessian.T)


def test_single_estimates_and_their_smoothing():
    """On x1 x2, whose Hessian has 1 off the diagonal, ĥ is Δ1 Δ̃2 + Δ2 Δ̃1: estimates have 0 or 2 there, and 0 or ±2 on it."""
    tx = scale_by_spsa_hessian(KEY, c=0.5)
    x, state, mean, found = jnp.array([0.3, -0.2]), tx.init(jnp.zeros(2)), np.eye(2), []
    update = jax.jit(lambda state: tx.update(x, state, x, value_fn=lambda x: x[0] * x[1])[1])
    for k in range(1, 17):
        state = update(state)
        found.append((k + 1) * np.asarray(state.hessian) - k * mean)
        mean = np.asarray(state.hessian)
    np.testing.assert_allclose(found, np.round(found), atol=1e-3)
    assert set(np.round(found)[:, 0, 1]) == {0, 2}
    assert set(np.abs(np.round(found)[:, 0, 0])) == {0, 2}


@pytest.mark.parametrize("kind", ["full", "diagonal"])
def test_updates_are_divided_by_absolute_curvature(kind):
    tx = scale_by_spsa_hessian(KEY, kind=kind, floor=0.1)
    state = tx.init(PARAMS)
    new, state = tx.update(PARAMS, state, PARAMS, value_fn=quadratic)
    hessian = np.asarray(state.hessian) if kind == "full" else np.diag(state.hessian)
    values, vectors = np.linalg.eigh(hessian)
    flat = np.concatenate([PARAMS["b"][None], PARAMS["w"]])
    expected = vectors @ np.diag(1 / (np.abs(values) + 0.1)) @ vectors.T @ flat
    np.testing.assert_allclose(np.concatenate([new["b"][None], new["w"]]), expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("kind", ["full", "diagonal"])
def test_an_ill_conditioned_quadratic_is_descended_faster(kind):
    curvature = jnp.array([100.0, 10.0, 1.0, 0.3])
    loss = lambda x: jnp.sum(curvature * x**2) / 2

    def train(*second):
        keys = jax.random.split(KEY, 2)
        scaled = [scale_by_spsa_hessian(keys[0], kind=kind, num_perturbations=64, floor=0.1)] if second else []
        rate = 0.1 if second else 0.015  # The longest at which the plain rule does not diverge is near 2/100.
        # The Hessian is estimated before it is used.
        gain = optax.scale_by_schedule(lambda count: -rate * (count >= (100 if second else 0)))
        tx = optax.chain(spsa_gradient(keys[1], num_perturbations=64), *scaled, gain)

        def step(carry, _):
            x, state = carry
            updates, state = tx.update(None, state, x, value_fn=loss)
            return (optax.apply_updates(x, updates), state), None

        x = jnp.ones(4)
        return float(loss(jax.jit(lambda x: jax.lax.scan(step, (x, tx.init(x)), length=400))(x)[0][0]))

    assert train("second") < train() / 5


@pytest.mark.parametrize("kind", ["full", "diagonal"])
def test_gains_may_be_schedules(kind):
    """Sizes of Spall's form, and a decay that makes the mean of all steps, are what the numbers give."""
    cubic = lambda p: jnp.sum(p["w"] ** 3) + quadratic(p)
    schedules = {
        "c": lambda count: 0.3 / (count + 1.0) ** 0.2,
        "decay": lambda count: (count + 1.0) / (count + 2.0),
        "floor": lambda count: 0.5 / 2.0**count,
    }
    tx, state = scale_by_spsa_hessian(KEY, kind=kind, **schedules), None
    for count, floor in enumerate((0.5, 0.25, 0.125)):
        plain = scale_by_spsa_hessian(KEY, c=0.3, gamma=0.2, kind=kind, floor=floor)
        state = tx.init(PARAMS) if state is None else state
        expected, after = plain.update(PARAMS, state, PARAMS, value_fn=cubic)
        found, state = tx.update(PARAMS, state, PARAMS, value_fn=cubic)
        chex.assert_trees_all_close((found, state.hessian), (expected, after.hessian), rtol=1e-3, atol=1e-3)
        assert int(state.count) == count + 1


def test_a_loss_that_is_not_finite_leaves_the_estimate():
    tx = scale_by_spsa_hessian(KEY)
    _, state = tx.update(PARAMS, tx.init(PARAMS), PARAMS, value_fn=lambda p: jnp.nan * p["b"])
    np.testing.assert_array_equal(state.hessian, np.eye(3))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"c": 0.0}, "c must be above 0"),
        ({"gamma": 1.0}, "gamma must be in"),
        ({"num_perturbations": 0}, "num_perturbations must be a whole number, at least 1, got 0"),
        ({"c": float("inf")}, "c must be above 0 and finite, got inf"),
        ({"kind": "banded"}, "kind must be full or diagonal"),
        ({"decay": 1.0}, "decay must be in"),
        ({"floor": 0.0}, "floor must be above 0"),
    ],
)
def test_numbers_out_of_range_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        scale_by_spsa_hessian(KEY, **options)


def test_what_has_no_real_hessian_is_named():
    with pytest.raises(ValueError, match="real and of a floating type; z has the type complex64"):
        scale_by_spsa_hessian(KEY).init({"w": jnp.ones(2), "z": jnp.ones(2, complex)})
    with pytest.raises(ValueError, match="n has the type int32"):
        scale_by_spsa_hessian(KEY).init({"w": jnp.ones(2), "n": jnp.arange(2)})
    tx = scale_by_spsa_hessian()
    with pytest.raises(ValueError, match="floating type; there are none"):
        tx.update({}, tx.init({}), {}, value_fn=quadratic, key=KEY)
    with pytest.raises(ValueError, match="key="):
        tx.update(PARAMS, tx.init(PARAMS), PARAMS, value_fn=quadratic)
    with pytest.raises(ValueError, match="the loss alone"):
        tx.update(PARAMS, tx.init(PARAMS), PARAMS, value_fn=lambda p: (quadratic(p), {}), key=KEY)
