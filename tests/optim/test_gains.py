"""Calibrated gains: Spall's rule and Qiskit's, before the start and in the first steps."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxnets.optim.gains import calibrate, scale_by_calibrated_gain
from jaxnets.optim.spsa import spsa, spsa_gradient

KEY = jax.random.key(0)
SLOPES = jnp.array([3.0, -1.0, 0.5])


def linear(x):
    return x @ SLOPES


def test_the_rule_in_numpy():
    """On a linear function the estimates are s·Δ/Δ_i: their mean size from the same directions."""
    x, number, (first_step, big_a, alpha) = jnp.ones(3), 10, (2 * np.pi / 10, 7.0, 0.602)
    found = calibrate(linear, x, KEY, first_step=first_step, c=0.2, big_a=big_a, alpha=alpha, number=number)
    tx = spsa_gradient(KEY, c=0.2, gamma=0.0)
    state, sizes, update = tx.init(x), [], jax.jit(lambda state: tx.update(None, state, x, value_fn=linear))
    for _ in range(number):
        estimate, state = update(state)
        signs = np.sign(estimate) * np.sign(estimate[0])
        sizes.append(abs(signs @ SLOPES))  # |J+ - J-| / (2 c)
    assert found.a == pytest.approx(first_step * (big_a + 1) ** alpha / np.mean(sizes), rel=1e-3)
    assert found.c == 0.2


def test_c_is_the_noise_where_it_is_not_given():
    noise = iter(0.3 * np.random.default_rng(0).standard_normal(200))
    found = calibrate(lambda x: linear(x) + next(noise), jnp.ones(3), KEY, first_step=0.1, number=60)
    assert found.c == pytest.approx(0.3, rel=0.2)


@pytest.mark.parametrize("scale", [0.01, 1.0, 1000.0])
def test_the_first_move_is_as_wanted_at_any_scale(scale):
    loss = lambda x: scale * jnp.sum(x**2)
    gains = calibrate(loss, jnp.ones(50), KEY, first_step=0.01, c=0.05, big_a=5.0)
    tx = spsa(a=gains.a, c=gains.c, big_a=5.0)
    first = lambda key: tx.update(None, tx.init(jnp.ones(50)), jnp.ones(50), value_fn=loss, key=key)[0]
    moves = jax.jit(jax.vmap(first))(jax.random.split(jax.random.key(1), 60))
    assert float(jnp.abs(moves).mean()) == pytest.approx(0.01, rel=0.4)


def test_calibration_in_the_first_steps_equals_the_rule():
    """Nothing moves for 4 steps; then a / (k + A)^alpha with a from the mean size of the four estimates."""
    big_a, alpha, steps = 3.0, 0.602, 4
    scaling = scale_by_calibrated_gain(0.5, big_a, alpha, steps)
    estimates = [jnp.array([size, -size, 0.0]) for size in (1.0, 2.0, 0.0, 3.0, 5.0, 7.0)]  # The third was refused.
    state = scaling.init(estimates[0])
    a = 0.5 * (big_a + 1) ** alpha / 2.0
    update = jax.jit(scaling.update)
    for k, estimate in enumerate(estimates):
        updates, state = update(estimate, state)
        expected = np.zeros(3) if k < steps else -a / (k - steps + 1 + big_a) ** alpha * estimate
        np.testing.assert_allclose(updates, expected, rtol=1e-5)


def test_seeds_have_gains_of_their_own():
    tx = optax.chain(spsa_gradient(), scale_by_calibrated_gain(0.1, big_a=0.0, steps=3))

    def train(key, scale):
        def step(carry, _):
            x, state = carry
            updates, state = tx.update(None, state, x, value_fn=lambda x: scale * x[0], key=key)
            return (x + updates, state), updates[0]

        return jax.lax.scan(step, (jnp.ones(1), tx.init(jnp.ones(1))), length=4)[1]

    moves = jax.vmap(train)(jax.random.split(KEY, 2), jnp.array([1.0, 50.0]))
    np.testing.assert_allclose(moves, [[0, 0, 0, -0.1]] * 2, rtol=1e-3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: calibrate(linear, jnp.ones(3), KEY, first_step=0.0), "first_step must be above 0"),
        (lambda: calibrate(linear, jnp.ones(3), KEY, first_step=0.1), "give c"),
        (lambda: calibrate(lambda x: 0 * x[0], jnp.ones(3), KEY, first_step=0.1, c=0.1), "does not change"),
        (lambda: calibrate(lambda x: x[0] / 0, jnp.ones(3), KEY, first_step=0.1, c=0.1), "is not finite"),
        (lambda: scale_by_calibrated_gain(-1.0), "first_step must be above 0"),
        (lambda: calibrate(lambda x: x[0] / 0, jnp.ones(3), KEY, first_step=0.1), "are not finite"),
        (lambda: calibrate(lambda x: x, jnp.ones(3), KEY, first_step=0.1), "the loss alone"),
        (lambda: calibrate(lambda x: x, jnp.ones(3), KEY, first_step=0.1, c=0.1), "the loss alone"),
        (lambda: calibrate(linear, jnp.ones(3), KEY, first_step=0.1, c=-0.1), "c must be above 0"),
        (lambda: calibrate(linear, jnp.ones(3), KEY, first_step=0.1, number=0), "number of estimates must be a whole"),
        (lambda: calibrate(linear, jnp.ones(3), KEY, first_step=0.1, big_a=-1.0), "big_a must be 0 or more"),
        (lambda: calibrate(linear, jnp.arange(3), KEY, first_step=0.1, c=0.1), "no leaf of a floating type"),
        (lambda: scale_by_calibrated_gain(1.0, steps=0), "at least 1"),
        (lambda: scale_by_calibrated_gain(1.0, big_a=-1.0), "big_a must be 0 or more"),
        (lambda: scale_by_calibrated_gain(1.0, alpha=2.0), "alpha must be in"),
    ],
)
def test_what_cannot_be_calibrated_is_said(call, message):
    with pytest.raises(ValueError, match=message) as error:
        call()
    assert "\n" not in str(error.value)
