"""SPSA's options: one-sided differences, evaluations in turn, parts of the tree, devices, gains, and what is refused."""

import re

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import Mesh, PartitionSpec

from jaxnets.optim.spsa import spsa, spsa_gradient

KEY = jax.random.key(0)
PARAMS = {"w": jnp.array([[1.0, -2.0], [0.5, 3.0]]), "b": jnp.array([0.1, -0.2])}
ONE_SIDED = {"difference": "one_sided"}


def loss(params):
    return jnp.sum(jnp.sin(params["w"])) + jnp.sum(params["b"] ** 2) * params["w"][0, 0]


def estimate(params, function, state=None, **options):
    tx = spsa_gradient(KEY, **options)
    return tx.update(None, tx.init(params), params, value_fn=function)[0]


@pytest.mark.parametrize("options", [{}, ONE_SIDED], ids=["two_sided", "one_sided"])
def test_the_formula_in_numpy(options):
    delta, x, c = np.array([1.0, -1.25, 0.5], np.float32), np.array([0.3, -1.0, 2.0], np.float32), 0.1
    function = lambda x: x[0] * x[1] + x[2] ** 3
    found = estimate(jnp.asarray(x), function, c=c, directions=lambda key, shape, dtype: jnp.asarray(delta), **options)
    below, width = (x, c) if options else (x - c * delta, 2 * c)
    np.testing.assert_allclose(found, (function(x + c * delta) - function(below)) / width / delta, rtol=1e-4)


@pytest.mark.parametrize("c", [0.1, 0.2])
def test_the_bias_is_of_second_order_and_one_sided_of_first(c):
    """On x³ at 1 with a step of ±c: 3 + c², and 3 ± 3 c + c²."""
    cube = lambda x: x**3
    assert float(estimate(jnp.float32(1), cube, c=c)) == pytest.approx(3 + c**2, rel=1e-4)
    assert abs(float(estimate(jnp.float32(1), cube, c=c, **ONE_SIDED)) - 3 - c**2) == pytest.approx(3 * c, rel=1e-3)


@pytest.mark.parametrize("options", [{}, ONE_SIDED], ids=["two_sided", "one_sided"])
@pytest.mark.parametrize("at_once", [None, 1, 3])
def test_evaluations_in_turn_give_the_same_and_are_as_many(at_once, options):
    calls = []

    def counted(params):
        value = loss(params)
        jax.debug.callback(lambda value: calls.append(float(value)), value)
        return value

    found = estimate(PARAMS, counted, num_perturbations=4, at_once=at_once, **options)
    jax.effects_barrier()
    assert len(calls) == (5 if options else 8)
    chex.assert_trees_all_close(found, estimate(PARAMS, loss, num_perturbations=4, **options), rtol=1e-3, atol=1e-4)


def test_evaluations_in_turn_need_the_memory_of_one_direction():
    x = jnp.ones(100_000)

    def scratch(**options):
        tx = spsa_gradient(KEY, num_perturbations=16, **options)
        step = lambda state, x: tx.update(None, state, x, value_fn=lambda x: jnp.sum(x**2))[0]
        return jax.jit(step).lower(tx.init(x), x).compile().memory_analysis().temp_size_in_bytes

    assert scratch() > 16 * x.nbytes
    assert scratch(at_once=1) < scratch() / 3


def test_steps_can_be_scanned_and_seeds_mapped():
    tx = spsa(a=0.2, big_a=10.0, num_perturbations=3, at_once=2)

    def train(key):
        def step(carry, _):
            x, state = carry
            updates, state = tx.update(None, state, x, value_fn=lambda x: jnp.sum((x - 3) ** 2), key=key)
            return (optax.apply_updates(x, updates), state), None

        return jax.lax.scan(step, (jnp.zeros(4), tx.init(jnp.zeros(4))), length=200)[0][0]

    keys = jax.random.split(KEY, 2)
    together = jax.jit(jax.vmap(train))(keys)
    np.testing.assert_allclose(together, 3, atol=0.05)
    np.testing.assert_allclose(together[1], jax.jit(train)(keys[1]), rtol=1e-4)


@pytest.mark.parametrize("options", [{}, {"at_once": 1}, ONE_SIDED], ids=["together", "in_turn", "one_sided"])
def test_devices_share_the_directions_and_exchange_a_number_for_each(options):
    mesh = Mesh(np.asarray(jax.devices()[:4]), ("x",))
    params, m = jnp.linspace(-1.0, 1.0, 500), 8
    function = lambda x: jnp.sum(jnp.sin(x))
    tx = spsa_gradient(KEY, num_perturbations=m, axis_name="x", **options)
    step = lambda state, x: tx.update(None, state, x, value_fn=function)
    whole = PartitionSpec()
    shared = jax.jit(jax.shard_map(step, mesh=mesh, in_specs=(whole, whole), out_specs=(whole, whole)))
    compiled = shared.lower(tx.init(params), params).compile()
    found, _ = compiled(tx.init(params), params)
    np.testing.assert_allclose(found, estimate(params, function, num_perturbations=m, **options), rtol=1e-3, atol=1e-3)
    exchanged = re.findall(r"= (\w+)\[([\d,]*)\]\S* (?:all-|collective-|reduce-scatter)", compiled.as_text())
    assert exchanged == [("f32", str(m))]  # 32 bytes, of 500 parameters.
    uneven = spsa_gradient(KEY, num_perturbations=6, axis_name="x")
    step = lambda x: uneven.update(None, uneven.init(x), x, value_fn=function)[0]
    with pytest.raises(ValueError, match="6 cannot be divided among the 4 devices"):
        jax.shard_map(step, mesh=mesh, in_specs=whole, out_specs=whole)(params)


@pytest.mark.parametrize("mask", [{"w": False, "b": True}, lambda params: {"w": False, "b": [True]}])
def test_a_mask_leaves_the_rest_where_it_is(mask):
    params = {"w": PARAMS["w"], "b": [PARAMS["b"]]}
    seen = lambda p: loss({"w": p["w"], "b": p["b"][0]}) + jnp.where((p["w"] == params["w"]).all(), 0, jnp.nan)
    found = estimate(params, seen, num_perturbations=4000, mask=mask)
    np.testing.assert_array_equal(found["w"], 0)
    np.testing.assert_allclose(found["b"][0], 2 * params["b"][0], atol=0.05)


def test_complex_leaves_have_the_conjugate_gradient():
    params = {"z": jnp.array([0.5 + 0.8j, -0.5 + 0.3j]), "x": jnp.array([0.7])}
    function = lambda p: jnp.sum(jnp.abs(p["z"] ** 2 + p["x"]) ** 2)
    found = estimate(params, function, num_perturbations=20_000)
    expected = jax.tree.map(jnp.conj, jax.grad(function)(params))
    chex.assert_trees_all_equal_shapes_and_dtypes(found, expected)
    chex.assert_trees_all_close(found, expected, atol=0.3)
    tx = spsa(KEY, a=0.05, big_a=0.0, num_perturbations=8)
    z, state = params["z"], tx.init(params["z"])
    for _ in range(60):
        updates, state = tx.update(None, state, z, value_fn=lambda z: jnp.sum(jnp.abs(z - 1j) ** 2))
        z = optax.apply_updates(z, updates)
    assert float(jnp.abs(z - 1j).max()) < float(jnp.abs(params["z"] - 1j).max()) / 2


def test_gains_may_be_schedules():
    schedule = lambda start, power: lambda count: start / (count + 1.0) ** power
    tx = spsa(KEY, a=schedule(0.3, 1.0), c=schedule(0.1, 0.25))
    expected = spsa(KEY, a=0.3, big_a=0.0, alpha=1.0, c=0.1, gamma=0.25)
    states = [rule.init(PARAMS) for rule in (tx, expected)]
    for _ in range(3):
        (found, states[0]), (wanted, states[1]) = (
            rule.update(None, state, PARAMS, value_fn=loss) for rule, state in zip((tx, expected), states, strict=True)
        )
        chex.assert_trees_all_close(found, wanted, rtol=1e-4, atol=1e-5)


def test_leaves_have_scales_of_their_own():
    probes = []

    def function(p):
        jax.debug.callback(lambda w, b: probes.append((w, b)), p["w"], p["b"])
        return loss(p)

    found = estimate(PARAMS, function, c=0.01, num_perturbations=1, scales={"w": 1.0, "b": 5.0})
    jax.effects_barrier()
    (w, b), (other_w, other_b) = probes
    np.testing.assert_allclose(np.abs(w - other_w), 0.02, rtol=1e-3)
    np.testing.assert_allclose(np.abs(b - other_b), 0.1, rtol=1e-3)
    np.testing.assert_allclose(np.abs(found["w"]), 5 * np.abs(found["b"][0]), rtol=1e-2)


@pytest.mark.parametrize("bad", [jnp.nan, jnp.inf])
def test_a_step_with_a_value_that_is_not_finite_is_refused_and_counted(bad):
    tx = spsa(KEY, num_perturbations=3)
    wall = lambda x: jnp.where(x[0] > 1.0, bad, jnp.sum(x**2))
    x, state = jnp.array([1.0, 2.0]), tx.init(jnp.zeros(2))
    for count in (1, 2):  # Of three directions one at least leads over the wall, on one side or the other.
        updates, state = tx.update(None, state, x, value_fn=wall)
        np.testing.assert_array_equal(updates, 0)
        assert int(state[0].refused) == count
    updates, state = tx.update(None, state, x - 0.4, value_fn=wall)
    assert (updates != 0).all()
    assert int(state[0].refused) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"c": 0.0}, "c must be above 0 and finite, got 0.0"),
        ({"c": float("nan")}, "c must be above 0 and finite, got nan"),
        ({"c": float("inf")}, "c must be above 0 and finite, got inf"),
        ({"a": float("inf")}, "a must be above 0 and finite, got inf"),
        ({"big_a": float("inf")}, "big_a must be 0 or more, got inf"),
        ({"gamma": 0.6}, r"gamma must be in \[0, 1/2\]"),
        ({"num_perturbations": 0}, "num_perturbations must be a whole number, at least 1, got 0"),
        ({"num_perturbations": 2.5}, "num_perturbations must be a whole number, at least 1, got 2.5"),
        ({"at_once": 0}, "at_once must be a whole number, at least 1, got 0"),
        ({"directions": "orthogonal"}, "directions must be a distribution or Directions, got orthogonal"),
        ({"difference": "both"}, "difference must be two_sided or one_sided, got both"),
        ({"difference": None}, "difference must be two_sided or one_sided, got None"),
        ({"a": -1.0}, "a must be above 0"),
        ({"big_a": -1.0}, "big_a must be 0 or more"),
        ({"alpha": 1.5}, r"alpha must be in \[0, 1\]"),
    ],
)
def test_gains_out_of_range_are_named(options, message):
    with pytest.raises(ValueError, match=message) as error:
        spsa(KEY, **options)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("params", "mask", "message"),
    [
        ({"n": jnp.arange(3)}, None, "no leaf of a floating type"),
        ({"w": jnp.ones(2)}, {"w": False}, "no leaf of a floating type"),
        ({"n": jnp.arange(3), "w": jnp.ones(2)}, True, "n has the type int32"),
        ({"on": jnp.array([True]), "w": jnp.ones(2)}, {"on": True, "w": True}, "on has the type bool"),
        ({"few": jnp.ones(2, jnp.float8_e4m3fn)}, None, "few has the type float8_e4m3fn, which cannot be perturbed"),
    ],
)
def test_what_cannot_be_perturbed_is_named(params, mask, message):
    with pytest.raises(ValueError, match=message):
        estimate(params, lambda p: 0.0, mask=mask)


@pytest.mark.parametrize("dtype", [bool, jnp.uint8, jnp.int32])
def test_a_count_may_be_of_any_type(dtype):
    """Differences of unsigned numbers would wrap around, and truth values have none."""
    function = lambda params: params["w"].sum() > 0
    params = {"w": jnp.array([0.5, -0.5])}
    counted = estimate(params, lambda params: function(params).astype(dtype), c=0.1, num_perturbations=4)
    expected = estimate(params, lambda params: function(params).astype(jnp.float32), c=0.1, num_perturbations=4)
    chex.assert_trees_all_close(counted, expected)
    assert (counted["w"] != 0).all()


def test_the_function_may_have_either_name_of_optax():
    tx = spsa_gradient(KEY)
    by_value_fn, _ = tx.update(None, tx.init(PARAMS), PARAMS, value_fn=loss)
    by_obj_fn, _ = tx.update(None, tx.init(PARAMS), PARAMS, obj_fn=loss)
    chex.assert_trees_all_equal(by_value_fn, by_obj_fn)
    with pytest.raises(ValueError, match="the function to minimize"):
        tx.update(None, tx.init(PARAMS), PARAMS)
