"""What optax asks of every transform in its own test suite, asked of every one of ours."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxnets.optim.average import with_average
from jaxnets.optim.directions import NAMED, subset
from jaxnets.optim.gains import scale_by_calibrated_gain
from jaxnets.optim.guards import blocking, keep_within
from jaxnets.optim.layerwise import layerwise_gradient
from jaxnets.optim.low_rank import Perturbed, low_rank_gradient
from jaxnets.optim.second_order import scale_by_spsa_hessian
from jaxnets.optim.spsa import spsa, spsa_gradient

KEY = jax.random.key(0)
TRANSFORMS = {
    "spsa": lambda **options: spsa(KEY, a=0.1, big_a=10.0, **options),
    "spsa_gradient": lambda **options: spsa_gradient(KEY, **options),
    "spsa_gradient and adam": lambda **options: optax.chain(spsa_gradient(KEY, **options), optax.adam(0.05)),
}


def after_an_estimate(rule):
    return lambda: optax.chain(spsa_gradient(KEY), rule)


ALL = {
    **TRANSFORMS,
    "in turn": lambda: spsa_gradient(KEY, num_perturbations=3, at_once=2),
    "one_sided": lambda: spsa_gradient(KEY, num_perturbations=3, difference="one_sided"),
    **{name: lambda of=of: spsa_gradient(KEY, num_perturbations=2, directions=of) for name, of in NAMED.items()},
    "subset": lambda: spsa_gradient(KEY, directions=subset(0.5)),
    "low_rank_gradient": lambda: low_rank_gradient(KEY, num_perturbations=2),
    "layerwise_gradient": layerwise_gradient,
    "calibrated": after_an_estimate(scale_by_calibrated_gain(0.1, steps=1)),
    "2-SPSA": after_an_estimate(scale_by_spsa_hessian(KEY)),
    "2-SPSA, diagonal": after_an_estimate(scale_by_spsa_hessian(KEY, kind="diagonal")),
    "blocking": after_an_estimate(blocking(optax.adam(0.05))),
    "keep_within": after_an_estimate(keep_within(-3.0, {"w": 3.0, "b": 1.0})),
    "averaged": lambda: with_average(spsa(KEY), 0.9),
}
"""Every public transform, in a chain with what makes its estimates."""
QUICK = ("spsa", "one_sided", "low_rank_gradient", "calibrated", "2-SPSA", "blocking")
"""Those that every run of the tests asks."""
PARAMS = {"w": jnp.array([[1.0, -2.0], [0.5, 3.0]]), "b": jnp.array([0.1, -0.2])}


def whole(leaf):
    return leaf.array() if isinstance(leaf, Perturbed) else leaf


def loss(params):
    leaves = jax.tree.leaves(params, is_leaf=lambda leaf: isinstance(leaf, Perturbed))
    return sum(jnp.sum(jnp.square(whole(leaf).astype(jnp.float32))) for leaf in leaves)


def rosenbrock(x):
    return (1 - x[0]) ** 2 + 10 * (x[1] - x[0] ** 2) ** 2


@pytest.fixture(params=[name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in ALL])
def make(request):
    return ALL[request.param]


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
    """Adam's moments and averages are mapped; what belongs to no parameter, such as counts and the key, stays."""
    tx = make()
    _, state = tx.update(None, tx.init(PARAMS), PARAMS, value_fn=loss)
    doubled = optax.tree.map_params(tx, lambda leaf: 2 * leaf, state)
    of = lambda tree, name: [value for _, value in optax.tree.get_all_with_path(tree, name)]
    mapped = [name for name in ("mu", "nu", "average") if of(state, name)]
    for name in mapped:
        chex.assert_trees_all_equal(of(doubled, name), jax.tree.map(lambda leaf: 2 * leaf, of(state, name)))
    rest = lambda tree: optax.tree.set(tree, **dict.fromkeys(mapped)) if mapped else tree
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


def test_a_trust_region_may_shrink():
    radius = optax.inject_hyperparams(optax.clip_by_global_norm)(max_norm=lambda count: 0.1 / (count + 1.0))
    tx = optax.chain(spsa(KEY, a=100.0), radius)
    state, norms = tx.init(PARAMS), []
    for _ in range(3):
        updates, state = tx.update(None, state, PARAMS, value_fn=loss)
        norms.append(float(optax.tree.norm(updates)))
    np.testing.assert_allclose(norms, [0.1, 0.05, 0.1 / 3], rtol=1e-4)


def test_updates_and_states_keep_their_dtypes(make):
    """Parameters of few bits stay so, and scan can carry a state: its types do not change from step to step."""
    params = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), PARAMS)
    tx = optax.with_extra_args_support(make())

    def step(carry, _):
        updates, state = tx.update(None, carry[1], carry[0], value_fn=loss)
        chex.assert_trees_all_equal_shapes_and_dtypes(updates, params)
        return (optax.apply_updates(carry[0], updates), state), None

    (end, _), _ = jax.jit(lambda params: jax.lax.scan(step, (params, tx.init(params)), length=2))(params)
    chex.assert_tree_all_finite(end)
    chex.assert_trees_all_equal_shapes_and_dtypes(end, params)


def test_leaves_without_elements_and_kinds_of_trees(make):
    """Lists, tuples, None and leaves of shape () or (0, 3)."""
    tx = optax.with_extra_args_support(make())
    params = {"w": [jnp.ones((2, 3)), jnp.ones((0, 3))], "b": (jnp.float32(0.5), None, jnp.ones(0))}
    updates, state = jax.jit(lambda params: tx.update(None, tx.init(params), params, value_fn=loss))(params)
    chex.assert_trees_all_equal_shapes_and_dtypes(updates, params)
    chex.assert_tree_all_finite(updates)
    assert jax.tree.structure(state) == jax.tree.structure(tx.init(params))


def test_seeds_can_be_mapped_with_their_states(make):
    """As each alone, for the parameters of both."""
    tx = optax.with_extra_args_support(make())

    def two_steps(params):
        state = tx.init(params)
        for _ in range(2):
            updates, state = tx.update(None, state, params, value_fn=loss)
            params = optax.apply_updates(params, updates)
        return params

    both = jax.tree.map(lambda leaf: jnp.stack([leaf, 1 - leaf]), PARAMS)
    together, alone = jax.jit(jax.vmap(two_steps))(both), jax.jit(two_steps)
    for i in range(2):
        own = jax.tree.map(lambda leaf: leaf[i], both)  # noqa: B023
        # Differences of losses have their rounding, which a Hessian's divides by c².
        chex.assert_trees_all_close(jax.tree.map(lambda leaf: leaf[i], together), alone(own), rtol=0.02, atol=0.02)  # noqa: B023


NEEDS_NO_LOSS = {"calibrated": scale_by_calibrated_gain(0.1, steps=1), "keep_within": keep_within(-1.0, 1.0)}


@pytest.mark.parametrize("name", NEEDS_NO_LOSS)
def test_what_needs_no_loss_can_be_masked_and_partitioned(name):
    rule = NEEDS_NO_LOSS[name]
    for part in (
        optax.masked(rule, {"w": False, "b": True}),
        optax.partition({"own": rule, "rest": optax.identity()}, {"w": "rest", "b": "own"}),
    ):
        grads, state = PARAMS, part.init(PARAMS)
        alone, own = {"b": PARAMS["b"]}, rule.init({"b": PARAMS["b"]})
        for _ in range(2):
            updates, state = part.update(grads, state, PARAMS)
            expected, own = rule.update(alone, own, alone)
        chex.assert_trees_all_equal(updates, {"w": grads["w"], **expected})


@pytest.mark.parametrize(
    "rule",
    [
        spsa_gradient(KEY),
        low_rank_gradient(KEY),
        layerwise_gradient(),
        scale_by_spsa_hessian(KEY),
        blocking(optax.sgd(0.1)),
    ],
    ids=["spsa_gradient", "low_rank_gradient", "layerwise_gradient", "scale_by_spsa_hessian", "blocking"],
)
def test_what_needs_the_loss_says_why_it_cannot_be_masked(rule):
    for part in (
        optax.masked(rule, {"w": False, "b": True}),
        optax.partition({"own": rule, "rest": optax.identity()}, {"w": "rest", "b": "own"}),
    ):
        with pytest.raises(ValueError, match="w is hidden by optax.masked or multi_transform, but value_fn needs all"):
            part.update(PARAMS, part.init(PARAMS), PARAMS, value_fn=loss)


@pytest.mark.parametrize("name", TRANSFORMS)
def test_sharded_parameters_give_sharded_updates(name):
    mesh = Mesh(np.asarray(jax.devices()[:4]), ("x",))
    split = NamedSharding(mesh, PartitionSpec("x"))
    params = jax.device_put(jnp.arange(8.0), split)
    tx = TRANSFORMS[name]()
    state = tx.init(params)
    updates, _ = jax.jit(lambda state, params: tx.update(None, state, params, value_fn=loss))(state, params)
    expected, _ = tx.update(None, tx.init(jnp.arange(8.0)), jnp.arange(8.0), value_fn=loss)
    # The difference of two losses has the rounding of their sums, whose order is the compiler's.
    np.testing.assert_allclose(updates, expected, rtol=1e-3)
    assert updates.sharding.is_equivalent_to(split, 1)


def test_a_key_may_be_given_to_the_factory_or_to_the_update():
    expected, _ = spsa(KEY).update(None, spsa(KEY).init(PARAMS), PARAMS, value_fn=loss)
    tx = spsa()
    updates, _ = tx.update(None, tx.init(PARAMS), PARAMS, value_fn=loss, key=KEY)
    chex.assert_trees_all_equal(updates, expected)
    with pytest.raises(ValueError, match="needs a key"):
        tx.update(None, tx.init(PARAMS), PARAMS, value_fn=loss)
