"""What optax asks of every transform in its own test suite, asked of ours."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxnets.optim.spsa import spsa, spsa_gradient

KEY = jax.random.key(0)
TRANSFORMS = {
    "spsa": lambda **options: spsa(KEY, a=0.1, big_a=10.0, **options),
    "spsa_gradient": lambda **options: spsa_gradient(KEY, **options),
    "spsa_gradient and adam": lambda **options: optax.chain(spsa_gradient(KEY, **options), optax.adam(0.05)),
}
PARAMS = {"w": jnp.array([[1.0, -2.0], [0.5, 3.0]]), "b": jnp.array([0.1, -0.2])}


def loss(params):
    return sum(jnp.sum(jnp.square(leaf.astype(jnp.float32))) for leaf in jax.tree.leaves(params))


def rosenbrock(x):
    return (1 - x[0]) ** 2 + 10 * (x[1] - x[0] ** 2) ** 2


@pytest.fixture(params=TRANSFORMS)
def make(request):
    return TRANSFORMS[request.param]


def test_extra_arguments_are_tolerated(make):
    tx = optax.with_extra_args_support(make())
    grads = jax.tree.map(jnp.zeros_like, PARAMS)
    updates, _ = tx.update(grads, tx.init(PARAMS), PARAMS, value_fn=loss, value=1.0, grad=grads, epoch=3)
    chex.assert_trees_all_equal_shapes_and_dtypes(updates, PARAMS)


def test_one_compilation_serves_all_steps(make):
    chex.clear_trace_counter()
    tx = optax.with_extra_args_support(make())

    @jax.jit
    @chex.assert_max_traces(n=1)
    def step(params, state):
        updates, state = tx.update(None, state, params, value_fn=loss)
        return optax.apply_updates(params, updates), state

    params, state = PARAMS, tx.init(PARAMS)
    for _ in range(4):
        params, state = step(params, state)


@pytest.mark.parametrize(("target", "start", "bound"), [(loss, [1.0, -2.0, 0.5], 1e-2), (rosenbrock, [-0.5, 0.5], 0.2)])
@pytest.mark.parametrize("name", ["spsa", "spsa_gradient and adam"])
def test_it_converges(name, target, start, bound):
    tx = TRANSFORMS[name](num_perturbations=8)

    def step(carry, _):
        params, state = carry
        updates, state = tx.update(None, state, params, value_fn=target)
        return (optax.apply_updates(params, updates), state), None

    x = jnp.array(start)
    (x, _), _ = jax.jit(lambda x: jax.lax.scan(step, (x, tx.init(x)), length=600))(x)
    assert float(target(x)) < bound


def test_states_of_parameters_can_be_mapped(make):
    """Adam's moments are mapped; what belongs to no parameter, such as counts and the key, stays."""
    tx = make()
    _, state = tx.update(None, tx.init(PARAMS), PARAMS, value_fn=loss)
    doubled = optax.tree.map_params(tx, lambda leaf: 2 * leaf, state)
    moments = lambda tree: [value for name in ("mu", "nu") for _, value in optax.tree.get_all_with_path(tree, name)]
    chex.assert_trees_all_equal(moments(doubled), jax.tree.map(lambda leaf: 2 * leaf, moments(state)))
    rest = lambda tree: optax.tree.set(tree, mu=None, nu=None) if any(moments(tree)) else tree
    chex.assert_trees_all_equal(rest(doubled), rest(state))


def test_hyperparameters_can_be_injected():
    tx = optax.inject_hyperparams(spsa, static_args=("num_perturbations", "directions"))(KEY, a=0.1, big_a=10.0)
    plain = spsa(KEY, a=0.1, big_a=10.0)
    state = tx.init(PARAMS)
    injected, _ = tx.update(None, state, PARAMS, value_fn=loss)
    expected, _ = plain.update(None, plain.init(PARAMS), PARAMS, value_fn=loss)
    chex.assert_trees_all_close(injected, expected, rtol=1e-5)
    state.hyperparams["a"] *= 2
    doubled, _ = tx.update(None, state, PARAMS, value_fn=loss)
    chex.assert_trees_all_close(doubled, jax.tree.map(lambda leaf: 2 * leaf, expected), rtol=1e-5)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16, jnp.float16])
def test_updates_have_the_dtype_of_the_parameters(make, dtype):
    params = jax.tree.map(lambda leaf: leaf.astype(dtype), PARAMS)
    tx = make()
    updates, _ = tx.update(None, tx.init(params), params, value_fn=loss)
    chex.assert_trees_all_equal_dtypes(updates, params)


def test_sharded_parameters_give_sharded_updates(make):
    mesh = Mesh(np.asarray(jax.devices()[:4]), ("x",))
    split = NamedSharding(mesh, PartitionSpec("x"))
    params = jax.device_put(jnp.arange(8.0), split)
    tx = make()
    state = tx.init(params)
    updates, _ = jax.jit(lambda state, params: tx.update(None, state, params, value_fn=loss))(state, params)
    expected, _ = tx.update(None, tx.init(jnp.arange(8.0)), jnp.arange(8.0), value_fn=loss)
    np.testing.assert_allclose(updates, expected, rtol=1e-5)
    assert updates.sharding.is_equivalent_to(split, 1)


def test_a_key_may_be_given_to_the_factory_or_to_the_update():
    expected, _ = spsa(KEY).update(None, spsa(KEY).init(PARAMS), PARAMS, value_fn=loss)
    tx = spsa()
    updates, _ = tx.update(None, tx.init(PARAMS), PARAMS, value_fn=loss, key=KEY)
    chex.assert_trees_all_equal(updates, expected)
    with pytest.raises(ValueError, match="needs a key"):
        tx.update(None, tx.init(PARAMS), PARAMS, value_fn=loss)


def test_seeds_can_be_mapped():
    tx = spsa()
    step = lambda key: tx.update(None, tx.init(PARAMS), PARAMS, value_fn=loss, key=key)[0]
    keys = jax.random.split(KEY, 3)
    together = jax.vmap(step)(keys)
    for i in range(3):
        chex.assert_trees_all_close(jax.tree.map(lambda x: x[i], together), step(keys[i]), rtol=1e-5)  # noqa: B023
