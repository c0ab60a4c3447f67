"""Blocking and bounds: which steps are taken."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxnets.optim.guards import blocking, keep_within
from jaxnets.optim.spsa import spsa_gradient

KEY = jax.random.key(0)


def run(tx, x, values, grads):
    """Steps whose loss is values[k](x); the state after each."""
    state, states = tx.init(x), []
    for value_fn, grad in zip(values, grads, strict=True):
        updates, state = tx.update(grad, state, x, value_fn=value_fn)
        x = optax.apply_updates(x, updates)
        states.append((x, state))
    return states


def test_the_rule_in_numpy():
    """Steps down a slope whose values have an offset of their own in every step: σ² by hand, and what is refused."""
    offsets = np.array([0.0, 1.0, 0.5, 0.7, 0.2, 0.4, 0.3, 0.0])
    grads = np.array([1.0, -0.5, 1.0, -3.0, -0.2, 1.0, -0.9, 2.0], np.float32)
    d, decay = 1.5, 0.5
    functions = [lambda x, offset=offset: x + offset for offset in offsets]
    states = run(blocking(optax.sgd(1.0), d, decay), jnp.float32(10), functions, grads)

    x, variance, previous, refused = 10.0, 0.0, None, 0
    for k, (grad, offset) in enumerate(zip(grads, offsets, strict=True)):
        before, after = x + offset, x - grad + offset
        if previous is not None:
            square = (before - previous) ** 2 / 2
            variance = square if k == 1 else decay * variance + (1 - decay) * square
        if previous is not None and after > before + d * variance**0.5:
            refused, previous = refused + 1, before
        else:
            x, previous = x - grad, after
        found, state = states[k]
        assert float(found) == pytest.approx(x, abs=1e-5)
        assert float(state.variance) == pytest.approx(variance, abs=1e-5)
        assert int(state.refused) == refused
    assert 0 < refused < 4


def test_the_measured_noise_is_that_of_the_loss():
    noise = 0.3 * np.random.default_rng(0).standard_normal(400)
    functions = [lambda x, e=e: x**2 + e for e in noise]
    (_, state) = run(blocking(optax.sgd(1e-3), 2.0, decay=0.99), jnp.float32(1), functions, np.full(400, 0.1, np.float32))[
        -1
    ]
    assert float(state.variance) ** 0.5 == pytest.approx(0.3, rel=0.2)


def test_what_is_not_finite_is_refused_with_its_state():
    tx = blocking(optax.adam(0.1))
    functions = [lambda x: x**2, lambda x: x**2, lambda x: jnp.nan * x]
    states = run(tx, jnp.float32(1), functions, [jnp.float32(1), jnp.float32(jnp.nan), jnp.float32(1)])
    assert [float(x) for x, _ in states] == [pytest.approx(0.9)] * 3
    assert [int(state.refused) for _, state in states] == [0, 1, 2]
    chex.assert_trees_all_equal(states[1][1].inner, states[0][1].inner)


def test_an_estimate_of_0_is_no_step_in_spite_of_momentum():
    tx = blocking(optax.adam(0.1))
    states = run(tx, jnp.float32(1), [lambda x: x**2] * 2, [jnp.float32(2), jnp.float32(0)])
    assert float(states[1][0]) == float(states[0][0])
    assert int(states[1][1].refused) == 1


def test_gains_that_diverge_are_held():
    """Under jit and scan, and with seeds mapped: too long a step leaves SPSA where it is, one that is not goes down."""
    loss = lambda x: jnp.sum(x**2)

    def train(key, rule):
        tx = optax.chain(spsa_gradient(key), rule)

        def step(carry, _):
            x, state = carry
            updates, state = tx.update(None, state, x, value_fn=loss)
            return (optax.apply_updates(x, updates), state), None

        return jax.lax.scan(step, (jnp.ones(4), tx.init(jnp.ones(4))), length=60)[0][0]

    keys = jax.random.split(KEY, 3)
    trained = lambda rule: jax.vmap(loss)(jax.jit(jax.vmap(lambda key: train(key, rule)))(keys))
    assert (trained(optax.sgd(0.3)) > 100).all()
    assert (trained(blocking(optax.sgd(0.3))) < 8.0).all()  # The first step is not measured against any noise.
    assert (trained(blocking(optax.sgd(0.05))) < 0.1).all()


def test_the_loss_that_is_given_is_not_evaluated_again():
    tx, calls = blocking(optax.sgd(0.1)), []

    def counted(x):
        calls.append(x)
        return x**2

    x = jnp.float32(1)
    tx.update(2 * x, tx.init(x), x, value_fn=counted, value=jnp.float32(1))
    assert len(calls) == 1
    tx.update(2 * x, tx.init(x), x, obj_fn=counted)
    assert len(calls) == 3


def test_deviations_and_decay_may_be_schedules():
    """The last difference is the measure of noise where the decay is 0. Steps go up by 0.5: within 1 σ, not within 0.1 σ."""
    functions = [lambda x, offset=offset: x + offset for offset in (0.0, 1.0, 0.0, 3.0, 0.0)]
    schedules = {"deviations": lambda count: jnp.where(count < 3, 1.0, 0.1), "decay": lambda count: 0.0}
    states = run(blocking(optax.sgd(1.0), **schedules), jnp.float32(0), functions, [jnp.float32(-0.5)] * 5)
    assert [int(state.refused) for _, state in states] == [0, 0, 0, 1, 2]
    np.testing.assert_allclose([float(state.variance) for _, state in states], [0.0, 0.5, 0.5, 4.5, 4.5], rtol=1e-5)


def test_bounds_that_leave_no_room_are_named():
    for lower, upper in ((1.0, 0.0), (float("nan"), 1.0), (jnp.array([0.0, 2.0]), 1.0)):
        tx = keep_within(lower, upper)
        with pytest.raises(ValueError, match="keep_within: a lower bound is above its upper one"):
            jax.jit(lambda x, tx=tx: tx.update(x, tx.init(x), x)[0])(jnp.zeros(2))
    with pytest.raises(ValueError, match="keep_within needs the parameters"):
        keep_within(0.0, 1.0).update(jnp.zeros(2), optax.EmptyState())


def test_parameters_stay_in_a_box():
    params = {"a": jnp.array([0.5, -0.5]), "b": jnp.array([2.0])}
    tx = optax.chain(optax.sgd(1.0), keep_within({"a": -1.0, "b": 0.0}, jnp.inf))
    updates, _ = tx.update({"a": jnp.array([3.0, -1.0]), "b": jnp.array([1.5])}, tx.init(params), params)
    chex.assert_trees_all_close(optax.apply_updates(params, updates), {"a": jnp.array([-1.0, 0.5]), "b": jnp.array([0.5])})


@pytest.mark.parametrize(("options", "message"), [({"deviations": -1.0}, "deviations"), ({"decay": 1.0}, "decay")])
def test_numbers_out_of_range_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        blocking(optax.sgd(1.0), **options)
    tx = blocking(optax.sgd(1.0))
    with pytest.raises(ValueError, match="value_fn"):
        tx.update(jnp.ones(1), tx.init(jnp.ones(1)), jnp.ones(1))
    with pytest.raises(ValueError, match="blocking's value_fn must return the loss alone"):
        tx.update(jnp.ones(1), tx.init(jnp.ones(1)), jnp.ones(1), value_fn=lambda x: x)
