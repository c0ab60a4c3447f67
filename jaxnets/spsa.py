r"""Simultaneous perturbation stochastic approximation (SPSA) as an optax transform.

SPSA descends a loss that it can only evaluate. Step :math:`k = 1, 2, \dots` draws a random direction
:math:`\Delta_k` with independent components, evaluates the loss on both sides, and takes

.. math::

    \hat g_k = \frac{J(\theta + c_k \Delta_k) - J(\theta - c_k \Delta_k)}{2 c_k}\, \Delta_k^{-1}, \qquad
    \theta \leftarrow \theta - a_k\, \hat g_k,

with :math:`\Delta^{-1}` taken element by element and gains :math:`a_k = a / (k + A)^\alpha`,
:math:`c_k = c / k^\gamma`. Two evaluations serve all parameters at once; the price is noise. With m directions averaged
and n parameters, the cosine between the estimate and the gradient is about :math:`\sqrt{m / (m + n + 1)}`.

References:
  Spall, J. C. (1992), Multivariate stochastic approximation using a simultaneous perturbation gradient approximation,
  IEEE Transactions on Automatic Control 37(3).
  Spall, J. C. (1998), Implementation of the simultaneous perturbation algorithm for stochastic optimization, IEEE
  Transactions on Aerospace and Electronic Systems 34(3): the choice of gains.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

Array = jax.Array
Distribution = Callable[[Array, tuple[int, ...], Any], Array]


class SpsaState(NamedTuple):
    """State of `spsa_gradient`."""

    count: Array  # type: ignore[assignment]  # optax names it so
    """Estimates made so far."""
    key: Array
    """The root of all directions; estimate k uses fold_in(key, k)."""


def rademacher(key: Array, shape: tuple[int, ...], dtype: Any) -> Array:
    """Plus or minus one with equal probability: the usual distribution of directions."""
    return jax.random.rademacher(key, shape, dtype)


def spsa_gradient(
    key: Array,
    c: float = 0.01,
    gamma: float = 0.101,
    directions: int = 1,
    distribution: Distribution = rademacher,
) -> optax.GradientTransformationExtraArgs:
    """Replaces incoming gradients by SPSA's estimate, to be followed by any optimiser.

    The incoming gradients are never read, so under jit the compiler removes the backward pass that would make them.

    Args:
      key: root of the random directions.
      c: size of the first perturbation; about the standard deviation of the loss's noise.
      gamma: decay exponent of the perturbation.
      directions: number m of directions averaged, evaluated together by vmap; 2 m loss evaluations a step.
      distribution: function (key, shape, dtype) drawing a direction's components. They must be independent, symmetric
        about 0 and have finite inverse moments, which rules out the normal and the uniform distribution.

    Returns:
      A transform whose update needs `params` and the extra argument `value_fn`, a function from parameters to the loss.
      Both evaluations of a direction must see the same batch and the same randomness.

    >>> import jax, jax.numpy as jnp, optax
    >>> loss = lambda x: jnp.sum(x**2)
    >>> tx = optax.chain(spsa_gradient(jax.random.key(0), directions=2000), optax.sgd(0.25))
    >>> x = jnp.array([1.0, -2.0])
    >>> update, _ = tx.update(jnp.zeros(2), tx.init(x), x, value_fn=loss)
    >>> print(jnp.round(x + update, 1))  # half of x, up to the estimate's noise
    [ 0.5 -1. ]
    """

    def init(params: Any) -> SpsaState:
        del params
        return SpsaState(jnp.zeros((), jnp.int32), key)

    def update(
        updates: Any, state: SpsaState, params: Any = None, *, value_fn: Callable[[Any], Array], **extra: Any
    ) -> tuple[Any, SpsaState]:
        del updates, extra
        if params is None:
            raise ValueError("spsa needs the parameters: call update(updates, state, params, value_fn=...)")
        count = optax.safe_increment(state.count)
        width = c / count.astype(jnp.float32) ** gamma

        def estimate(direction_key: Array) -> Any:
            delta = _draw(direction_key, params, distribution)
            moved = lambda side: jax.tree.map(lambda p, d: p + (side * width * d).astype(p.dtype), params, delta)
            above, below = value_fn(moved(1.0)), value_fn(moved(-1.0))
            slope = (above - below) / (2 * width)
            return jax.tree.map(lambda d: (slope / d).astype(d.dtype), delta)

        keys = jax.random.split(jax.random.fold_in(state.key, count), directions)
        estimates = jax.vmap(estimate)(keys)
        return jax.tree.map(lambda g: g.mean(0), estimates), SpsaState(count, state.key)

    return optax.GradientTransformationExtraArgs(init, update)


def spsa(
    key: Array,
    a: float = 0.05,
    big_a: float = 100.0,
    c: float = 0.01,
    alpha: float = 0.602,
    gamma: float = 0.101,
    directions: int = 1,
    distribution: Distribution = rademacher,
) -> optax.GradientTransformationExtraArgs:
    """The whole algorithm: `spsa_gradient` followed by a step of length a / (k + A)^alpha against the estimate.

    Args:
      key: see `spsa_gradient`, also for c, gamma, directions and distribution.
      a: numerator of the step length.
      big_a: A, the stability constant; about a tenth of the number of steps.
      c: size of the first perturbation.
      alpha: decay exponent of the step length.
      gamma: decay exponent of the perturbation.
      directions: perturbations averaged in a step.
      distribution: of the directions' components.

    Spall's practical exponents, 0.602 and 0.101, are the defaults; 1 and 1/6 are optimal in the limit.

    >>> import jax, jax.numpy as jnp, optax
    >>> loss = lambda x: jnp.sum((x - 3.0) ** 2)
    >>> tx = spsa(jax.random.key(0), a=0.2, big_a=10.0)
    >>> x = jnp.zeros(5)
    >>> state = tx.init(x)
    >>> for _ in range(300):
    ...     update, state = tx.update(None, state, x, value_fn=loss)
    ...     x = optax.apply_updates(x, update)
    >>> bool(jnp.allclose(x, 3.0, atol=0.05))
    True
    """
    return optax.chain(
        spsa_gradient(key, c, gamma, directions, distribution),
        optax.scale_by_schedule(lambda count: -a / (count + 1.0 + big_a) ** alpha),
    )


def _draw(key: Array, params: Any, distribution: Distribution) -> Any:
    """One direction: a tree like `params`, each leaf from a key of its own."""
    keys = iter(jax.random.split(key, len(jax.tree.leaves(params))))
    return jax.tree.map(lambda p: distribution(next(keys), p.shape, p.dtype), params)
