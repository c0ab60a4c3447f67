"""SPSA: gains, the estimate's angle to the gradient, and what it costs."""

import ast
import inspect
import runpy
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxnets.optim.spsa import SpsaState, spsa, spsa_gradient

N = 400


def quadratic(x):
    return jnp.sum(jnp.arange(1, N + 1) * x**2) / N


@pytest.mark.parametrize("directions", [1, 20, 400])
def test_cosine_with_the_gradient(directions):
    """For m directions and n parameters the cosine is about sqrt(m / (m + n + 1))."""
    x = jnp.ones(N)
    gradient = jax.grad(quadratic)(x)

    def cosine(key):
        tx = spsa_gradient(key, c=1e-3, num_perturbations=directions)
        estimate, _ = tx.update(None, tx.init(x), x, value_fn=quadratic)
        return estimate @ gradient / jnp.linalg.norm(estimate) / jnp.linalg.norm(gradient)

    cosines = jax.lax.map(cosine, jax.random.split(jax.random.key(0), 60))
    expected = (directions / (directions + N + 1)) ** 0.5
    # The estimate is unbiased, so cosines are positive on average; a single direction's scatter a good deal.
    assert float(jnp.sqrt((cosines**2).mean())) == pytest.approx(expected, rel=0.15)


@pytest.mark.parametrize("m", [1, 4])
def test_the_variance_of_the_estimate(m):
    """Of a linear function: E |ĝ - g|² = |g|² (n - 1) / m."""
    n = 10
    slopes = jnp.linspace(-1.0, 1.0, n)

    def error(key):
        tx = spsa_gradient(key, num_perturbations=m)
        estimate, _ = tx.update(None, tx.init(slopes), jnp.zeros(n), value_fn=lambda x: x @ slopes)
        return jnp.sum((estimate - slopes) ** 2)

    errors = jax.jit(jax.vmap(error))(jax.random.split(jax.random.key(0), 4000))
    assert float(errors.mean()) == pytest.approx(float(slopes @ slopes) * (n - 1) / m, rel=0.1)


def test_the_asymptotic_rate_on_a_noisy_quadratic():
    """With alpha = 1 and gamma = 1/6 the error falls as k^(-1/3) (Spall 1992, proposition 2)."""
    tx = spsa(a=1.0, big_a=0.0, c=1.0, alpha=1.0, gamma=1 / 6)

    def train(key):
        def step(carry, k):
            x, state = carry

            def noisy(x):
                own = jax.random.fold_in(jax.random.fold_in(key, k), jax.lax.bitcast_convert_type(x[0], jnp.uint32))
                return jnp.sum(x**2) / 2 + jax.random.normal(own)

            updates, state = tx.update(None, state, x, value_fn=noisy, key=key)
            return (x + updates, state), jnp.sum(x**2)

        return jax.lax.scan(step, (jnp.ones(2), tx.init(jnp.ones(2))), jnp.arange(3201))[1]

    squares = jax.jit(jax.vmap(train))(jax.random.split(jax.random.key(0), 300)).mean(0)
    rate = np.log(squares[3200] / squares[200]) / np.log(3200 / 200) / 2
    assert rate == pytest.approx(-1 / 3, abs=0.06)


def test_the_mean_of_many_estimates_is_the_gradient():
    x = {"a": jnp.array([1.0, -2.0]), "b": jnp.array(0.5)}
    loss = lambda p: jnp.sum(p["a"] ** 2) * p["b"]
    tx = spsa_gradient(jax.random.key(1), c=1e-2, num_perturbations=20_000)
    estimate, _ = tx.update(None, tx.init(x), x, value_fn=loss)
    expected = jax.grad(loss)(x)
    np.testing.assert_allclose(estimate["a"], expected["a"], atol=0.15)
    np.testing.assert_allclose(estimate["b"], expected["b"], atol=0.15)


def test_gains_follow_their_formulas():
    """On J(x) = s·x every estimate is ±s along each axis, so the update's size is a_k and the probes' distance is c_k."""
    probes = []

    def loss(x):
        jax.debug.callback(lambda v: probes.append(float(v)), x[0])
        return 2 * x[0]

    a, big_a, c, alpha, gamma = 0.3, 5.0, 0.1, 0.602, 0.101
    tx = spsa(jax.random.key(0), a, big_a, c, alpha, gamma)
    x = jnp.zeros(1)
    state = tx.init(x)
    for k in range(1, 6):
        probes.clear()
        updates, state = tx.update(None, state, x, value_fn=loss)
        jax.effects_barrier()
        assert abs(probes[0] - probes[1]) / 2 == pytest.approx(c / k**gamma, rel=1e-4)
        assert float(updates[0]) == pytest.approx(-2 * a / (k + big_a) ** alpha, rel=1e-3)


def test_directions_change_from_step_to_step_and_repeat_from_the_same_state():
    x = jnp.ones(8)
    tx = spsa_gradient(jax.random.key(0))
    loss = lambda x: jnp.sum(x * jnp.arange(8))
    first, state = tx.update(None, tx.init(x), x, value_fn=loss)
    second, _ = tx.update(None, state, x, value_fn=loss)
    again, _ = tx.update(None, tx.init(x), x, value_fn=loss)
    assert not jnp.array_equal(first, second)
    assert jnp.array_equal(first, again)


def test_other_distributions():
    def two_sided(key, shape, dtype):
        signs, sizes = jax.random.split(key)
        return jax.random.rademacher(signs, shape, dtype) * jax.random.uniform(sizes, shape, dtype, 0.5, 1.5)

    x = jnp.array([1.0, 2.0, 3.0])
    tx = spsa_gradient(jax.random.key(0), num_perturbations=20_000, directions=two_sided)
    estimate, _ = tx.update(None, tx.init(x), x, value_fn=lambda x: jnp.sum(x**2))
    np.testing.assert_allclose(estimate, 2 * x, atol=0.4)


def test_no_backward_pass_remains():
    w, x = jnp.ones((64, 64)), jnp.ones((2048, 64))

    def step(tx, params, state):
        loss = lambda p: jnp.sum(jnp.tanh(jnp.tanh(x @ p) @ p))
        value, grads = jax.value_and_grad(loss)(params)
        updates, state = tx.update(grads, state, params, value=value, value_fn=loss)
        return optax.apply_updates(params, updates), state

    def products(tx):
        tx = optax.with_extra_args_support(tx)
        flops = jax.jit(lambda p, s: step(tx, p, s)).lower(w, tx.init(w)).compile().cost_analysis()["flops"]
        return flops / (2 * 2048 * 64 * 64)

    two_probes, with_backward = 4, 9  # Matrix products: 2 in a forward pass, 3 more in a backward pass.
    key = jax.random.key(0)
    assert products(spsa(key)) == pytest.approx(two_probes, abs=0.5)
    read = optax.chain(optax.clip_by_global_norm(1.0), optax.stateless(lambda g, p: g))
    assert products(optax.chain(read, optax.sgd(0.1))) == pytest.approx(with_backward - two_probes, abs=0.5)


def estimate(params, loss, jit=True, **options):
    tx = spsa_gradient(jax.random.key(0), num_perturbations=4000, **options)
    update = lambda params: tx.update(None, tx.init(params), params, value_fn=loss)[0]
    return (jax.jit(update) if jit else update)(params)


@pytest.mark.parametrize("jit", [True, False])
@pytest.mark.parametrize("value", [0.01, 1.0, 100.0, -300.0])
@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16, jnp.float32])
def test_slopes_in_few_bits(dtype, value, jit):
    """A perturbation that rounding would change or remove has the slope of what happened."""
    found = estimate(jnp.full(3, value, dtype), lambda p: jnp.sum(p.astype(jnp.float32) ** 2), jit)
    assert found.dtype == dtype
    np.testing.assert_allclose(found.astype(jnp.float32), 2 * value, rtol=0.12)


def test_leaves_that_are_not_floating_stay():
    params = {"w": jnp.array([1.0, -2.0]), "on": jnp.array([True, False]), "count": jnp.array([3, 7]), "scale": 2.0}

    def loss(p):
        assert p["on"].dtype == bool
        return jnp.where(p["on"], p["scale"] * p["w"] ** 2, 0.0).sum() + 0 * p["count"].sum()

    found = estimate(params, loss)
    np.testing.assert_allclose(found["w"], [4.0, 0.0], atol=0.3)
    assert float(found["scale"]) == pytest.approx(1.0, abs=0.3)
    tx = spsa(
        jax.random.key(0), a=2.0, big_a=10.0, directions=lambda key, shape, dtype: jax.random.rademacher(key, shape, dtype)
    )
    state = tx.init(params)
    for _ in range(3):
        updates, state = tx.update(None, state, params, value_fn=loss)
        params = optax.apply_updates(params, updates)
    np.testing.assert_array_equal(params["on"], [True, False])
    np.testing.assert_array_equal(params["count"], [3, 7])


@pytest.mark.parametrize(
    ("params", "loss", "message"),
    [
        ({"w": jnp.ones(2), "key": jax.random.key(0)}, lambda p: p["w"].sum(), "key is a random key"),
        (jnp.ones(2), lambda p: (p.sum(), {"accuracy": 1.0}), "the loss alone"),
        (jnp.ones(2), lambda p: p, "the loss alone"),
        (jnp.ones(2), lambda p: 1j * p.sum(), "the loss alone, a scalar array of a real type"),
        (jnp.ones(2), lambda p: 1.0, "the loss alone"),
    ],
)
def test_what_cannot_be_estimated_is_named(params, loss, message):
    with pytest.raises(ValueError, match=message):
        estimate(params, loss)


def test_parts_of_the_parameters():
    """Hidden by optax.masked, the rest of the parameters would be missing from the loss: said by name, with a way."""
    params = {"a": jnp.ones(2), "b": jnp.ones(2)}
    loss = lambda p: (p["a"] * p["b"]).sum()
    hidden = optax.masked(spsa(jax.random.key(0)), {"a": True, "b": False})
    with pytest.raises(ValueError, match="b is hidden by optax.masked"):
        hidden.update(params, hidden.init(params), params, value_fn=loss)
    labels, rules = {"a": "train", "b": "freeze"}, {"train": optax.sgd(0.1), "freeze": optax.set_to_zero()}
    tx = optax.chain(spsa_gradient(jax.random.key(0), num_perturbations=4000), optax.multi_transform(rules, labels))
    updates, _ = tx.update(params, tx.init(params), params, value_fn=loss)
    np.testing.assert_allclose(updates["a"], -0.1, atol=0.01)
    np.testing.assert_array_equal(updates["b"], 0)


def test_the_file_stands_alone():
    """It can be offered to optax as it is: it imports the standard library, jax and optax, and loads outside the package."""
    path = Path(inspect.getfile(spsa))
    nodes = list(ast.walk(ast.parse(path.read_text("utf-8"))))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in nodes if isinstance(node, ast.ImportFrom) and not node.level}
    assert not any(isinstance(node, ast.ImportFrom) and node.level for node in nodes)
    assert {name.partition(".")[0] for name in names} - sys.stdlib_module_names == {"jax", "optax"}
    alone = runpy.run_path(str(path))
    tx, x = alone["spsa"](jax.random.key(0)), jnp.ones(2)
    updates, _ = tx.update(None, tx.init(x), x, value_fn=lambda x: x[0])
    assert (updates != 0).all()


def test_state_is_a_named_tuple_and_params_are_required():
    tx = spsa_gradient(jax.random.key(0))
    assert isinstance(tx.init(jnp.ones(2)), SpsaState)
    with pytest.raises(ValueError, match="needs params"):
        tx.update(None, tx.init(jnp.ones(2)), value_fn=jnp.sum)
