"""Numerical checks of what report S2 asks to be proved on paper (Q1, Q2).

Softmax does not change if all its inputs are shifted; the derivatives of sigmoid and tanh are bounded by 1/4 and 1, so
gradients vanish over many layers; units that start equal stay equal.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxnets import models
from jaxnets.config.model import Init, MLPConfig
from jaxnets.nn.layers import ACTIVATIONS
from jaxnets.tasks import losses

Array = jax.Array

SATURATING = ("sigmoid", "tanh", "relu")
_INPUTS, _CLASSES, _EXAMPLES = 64, 10, 128


def softmax_shifts(key: Array, shifts: Sequence[float] = (0.0, 10.0, 100.0, 1000.0)) -> dict[float, tuple[float, float]]:
    """The largest change of the softmax of 1,000 random rows of 10 when `shift` is added to all inputs.

    Returns:
      {shift: (change of jax.nn.softmax, which first subtracts the largest input, change of exp(x) / sum exp(x))}. The second
      is NaN where it overflows.
    """
    x = jax.random.normal(key, (1000, _CLASSES))
    naive = lambda x: jnp.exp(x) / jnp.exp(x).sum(-1, keepdims=True)
    change = lambda softmax, shift: float(np.abs(np.asarray(softmax(x + shift) - softmax(x))).max())
    return {shift: (change(jax.nn.softmax, shift), change(naive, shift)) for shift in shifts}


def steepest(activation: str) -> tuple[float, float]:
    """(largest derivative of an activation function on [-8, 8], its position)."""
    x = jnp.linspace(-8.0, 8.0, 1601)
    slopes = jax.vmap(jax.grad(ACTIVATIONS[activation]))(x)
    return float(slopes.max()), float(x[slopes.argmax()])


def gradient_norms(activation: str, depth: int, key: Array, seeds: int = 8) -> np.ndarray:
    """Gradient norm of each layer's kernel, first layer first: [depth + 1], geometric mean over seeds.

    The nets have `depth` hidden layers of 64 units with Xavier weights. Inputs and labels are random.
    """
    config = MLPConfig(hidden=(_INPUTS,) * depth, activation=activation, init=Init("xavier_uniform", bias=0.0))  # type: ignore[arg-type]
    model = models.build(config, {"classes": _CLASSES})

    def norms(key: Array) -> Array:
        params, images, labels = _start(model, key)
        grads = jax.grad(_loss, argnums=1)(model, params, images, labels)
        return jnp.stack(
            [jnp.linalg.norm(grads[name]["kernel"]) for name in (*(f"Dense_{i}" for i in range(depth)), "head")]
        )

    return np.exp(np.log(np.asarray(jax.vmap(norms)(jax.random.split(key, seeds)))).mean(0))


def distinct_units(zero: bool, key: Array, steps: int = 200) -> tuple[int, float]:
    """(number of distinct units among 32 hidden ones, loss) after training from all-zero or from Xavier weights.

    Units are distinct from a tenth of the largest weight on. Sums over several units at once may round the rest of a vector
    otherwise, depending on the processor, and equality is unstable: the difference grows.
    """
    model = models.build(MLPConfig(hidden=(32,), init=Init("xavier_uniform", bias=0.0)), {"classes": _CLASSES})
    params, images, labels = _start(model, key)
    if zero:
        params = jax.tree.map(jnp.zeros_like, params)
    tx = optax.sgd(1.0)

    def step(carry: tuple, _: None) -> tuple:
        params, state = carry
        loss, grads = jax.value_and_grad(_loss, argnums=1)(model, params, images, labels)
        updates, state = tx.update(grads, state)
        return (optax.apply_updates(params, updates), state), loss

    step_losses: Array
    (params, _), step_losses = jax.lax.scan(step, (params, tx.init(params)), length=steps)
    units = np.concatenate([params["Dense_0"]["kernel"].T, params["head"]["kernel"]], axis=1)
    equal = np.abs(units[:, None] - units).max(-1) < 0.1 * np.abs(units).max()
    return int((~np.tril(equal, -1).any(1)).sum()), float(step_losses[-1])


def _start(model: Any, key: Array) -> tuple[Mapping, Array, Array]:
    """Initial parameters, and random images and labels."""
    weights, pixels, classes = jax.random.split(key, 3)
    images = jax.random.normal(pixels, (_EXAMPLES, 8, 8, 1))
    params = model.init(weights, images, train=False)["params"]
    return params, images, jax.random.randint(classes, (_EXAMPLES,), 0, _CLASSES)


def _loss(model: Any, params: Mapping, images: Array, labels: Array) -> Array:
    logits = model.apply({"params": params}, images, train=False)
    return losses.cross_entropy(logits, labels, jnp.ones(len(labels))).value
