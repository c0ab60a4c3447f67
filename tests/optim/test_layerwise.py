"""Differences from the layer on: the same numbers as from whole evaluations, one parameter at a time."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn

from jaxnets.config import Optim, Spsa
from jaxnets.config.model import Init
from jaxnets.nn.layers import Activation, BatchNorm, Conv, Dense, Dropout
from jaxnets.nn.pool import avg_pool
from jaxnets.optim import layerwise, optimizer
from jaxnets.optim.layerwise import layerwise_gradient

IMAGES = jax.random.normal(jax.random.key(0), (3, 9, 9, 2))
LABELS = jnp.array([0, 2, 1])
NARROW = ("Conv_0", "Conv_1", "Dense_0")
"""Layers whose channels reach the next layer each on its own."""


class Net(nn.Module):
    """Two convolutions and two dense layers, with what may stand between them."""

    between: str = "activation"

    @nn.compact
    def __call__(self, x, *, train=True):
        def follow(x):
            if self.between == "batch_norm":
                return BatchNorm()(Activation()(x), train=train)
            if self.between == "dropout":
                return Dropout(0.5)(Activation()(x), train=train)
            if self.between == "softmax":
                return jax.nn.softmax(x)
            return Activation("tanh")(x)

        x = avg_pool(follow(Conv(4, 3, Init(), padding=1)(x)))
        y = follow(Conv(4, 3, Init(), stride=2, bias=False)(x))
        if self.between == "skip":
            y = y + x[:, :1, :1]
        y = follow(Dense(5, Init())(y.reshape(len(y), -1)))
        return Dense(3, Init(), name="head")(y)


def loss_and_params(between):
    model = Net(between)
    rngs = {"params": jax.random.key(1), "dropout": jax.random.key(2)}
    variables = dict(jax.jit(model.init)(rngs, IMAGES))
    params = variables.pop("params")

    def loss(params):
        logits, _ = model.apply({"params": params, **variables}, IMAGES, rngs=rngs, mutable=["batch_stats"])
        return optax.softmax_cross_entropy_with_integer_labels(logits, LABELS).mean()

    return loss, params


def estimate(loss, params, **options):
    tx = layerwise_gradient(**options)
    return jax.jit(lambda params: tx.update(None, tx.init(params), params, value_fn=loss))(params)


@pytest.mark.parametrize("between", ["activation", "batch_norm", "dropout", "softmax", "skip"])
def test_the_differences_are_those_of_whole_evaluations(between):
    """Large steps, of which no derivative gives the differences."""
    loss, params = loss_and_params(between)
    found, _ = estimate(loss, params, c=0.5)
    flat, unravel = jax.flatten_util.ravel_pytree(params)
    moved = jax.jit(jax.vmap(lambda i: loss(unravel(flat.at[i].add(0.5)))))(jnp.arange(flat.size))
    chex.assert_trees_all_close(found, unravel((moved - loss(params)) / 0.5), rtol=1e-3, atol=2e-5)


def test_two_sides_are_closer_to_the_gradient_than_one():
    loss, params = loss_and_params("activation")
    gradient = jax.grad(loss)(params)
    distance = lambda found: float(optax.tree.norm(optax.tree.sub(found, gradient)) / optax.tree.norm(gradient))
    one, two = (distance(estimate(loss, params, c=0.1, difference=kind)[0]) for kind in ("one_sided", "two_sided"))
    assert two < one / 5
    assert one < 0.2


@pytest.mark.parametrize(
    ("between", "narrow"),
    [("activation", NARROW), ("batch_norm", ()), ("dropout", ()), ("softmax", ()), ("skip", NARROW[2:])],
)
def test_which_layers_hand_on_one_channel(between, narrow):
    loss, params = loss_and_params(between)

    def find(params):
        _, calls = layerwise._recorded(loss, params)
        pairs = list(zip(list(calls), list(calls)[1:], strict=False))
        found.extend(path[0] for path, after in pairs if layerwise._is_channelwise(loss, params, calls, path, after))
        return 0

    found = []
    jax.eval_shape(find, params)
    # A BatchNorm, a dropout and a softmax need all channels; what a skip leaves out or joins is seen elsewhere too.
    assert set(found) == set(narrow)


def test_a_layer_called_twice_and_parameters_outside_layers_are_moved_one_by_one():
    layer = Dense(2, Init())

    def loss(params):
        x = IMAGES[:, 0, 0]
        for _ in range(2):
            x = jnp.tanh(layer.apply({"params": params["layer"]}, x))
        return jnp.square(x * params["scale"][None]).mean()

    params = {"layer": layer.init(jax.random.key(0), jnp.ones((1, 2)))["params"], "scale": jnp.array([1.0, -2.0])}
    found, _ = estimate(loss, params, c=1e-2, difference="two_sided")
    chex.assert_trees_all_close(found, jax.grad(loss)(params), rtol=1e-2, atol=1e-3)


def test_a_loss_that_is_not_finite_gives_no_step_and_is_counted():
    loss, params = loss_and_params("activation")
    found, state = estimate(lambda params: loss(params) / 0, params)
    assert float(optax.tree.norm(found)) == 0
    assert int(state.refused) == 1


def test_what_cannot_be_used_is_named():
    loss, params = loss_and_params("activation")
    tx = layerwise_gradient()
    with pytest.raises(ValueError, match="a scalar array"):
        tx.update(None, tx.init(params), params, value_fn=lambda params: (loss(params), {}))
    with pytest.raises(ValueError, match="value_fn"):
        tx.update(None, tx.init(params), params)
    with pytest.raises(ValueError, match="c must be above 0 and finite, got 0"):
        layerwise_gradient(c=0)
    with pytest.raises(ValueError, match="difference must be two_sided or one_sided, got central"):
        layerwise_gradient(difference="central")
    for params, what in (({"n": jnp.arange(3)}, "n has the type int32"), ({}, "there are none")):
        with pytest.raises(ValueError, match=f"of a floating type; {what}"):
            tx.update(None, tx.init(params), params, value_fn=loss)
    half = lambda params: Dense(1, Init()).apply({"params": params}, jnp.ones((2, 2), jnp.bfloat16)).sum()
    with pytest.raises(ValueError, match="bfloat16"):
        tx.update(None, tx.init({}), {"kernel": jnp.ones((2, 1)), "bias": jnp.ones(1)}, value_fn=half)


def test_the_head_alone():
    loss, params = loss_and_params("activation")
    config = Optim("spsa", lr=0.1, trainable="head", spsa=Spsa(directions="layerwise", rule="adam"))
    tx = optimizer.build(config, steps=10, steps_per_epoch=10)
    updates, _ = jax.jit(lambda params: tx.update(params, tx.init(params), params, value_fn=loss))(params)
    gradient = jax.grad(loss)(params)["head"]
    # Adam's first step has the sign of the estimate.
    large = jax.tree.map(lambda g: np.abs(g) > 1e-3, gradient)
    same = jax.tree.map(lambda u, g, on: bool(np.all((np.sign(u) == -np.sign(g))[on])), updates["head"], gradient, large)
    assert all(jax.tree.leaves(same))
    assert float(optax.tree.norm({k: u for k, u in updates.items() if k != "head"})) == 0
