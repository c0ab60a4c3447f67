"""Simultaneous perturbation stochastic approximation (SPSA) as optax transforms."""

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
    key: Array | None
    """The root of all perturbations, if the factory was given one; estimate k uses fold_in(key, k)."""


def rademacher(key: Array, shape: tuple[int, ...], dtype: Any) -> Array:
    """Plus or minus one with equal probability: the usual distribution of perturbations."""
    return jax.random.rademacher(key, shape, dtype)


def spsa_gradient(
    key: Array | None = None,
    c: float = 0.01,
    gamma: float = 0.101,
    num_perturbations: int = 1,
    distribution: Distribution = rademacher,
) -> optax.GradientTransformationExtraArgs:
    r"""Replaces incoming gradients by SPSA's estimate, to be followed by any optimizer.

    Step :math:`k = 1, 2, \dots` draws a random perturbation :math:`\Delta_k` with independent components, evaluates the
    loss on both sides, and estimates the gradient of :math:`J` as

    .. math::

        \hat g_k = \frac{J(\theta + c_k \Delta_k) - J(\theta - c_k \Delta_k)}{2 c_k}\, \Delta_k^{-1}, \qquad
        c_k = c / k^\gamma,

    with :math:`\Delta^{-1}` taken element by element. Two evaluations serve all parameters at once; the price is noise.
    With m perturbations averaged and n parameters, the cosine between the estimate and the gradient is about
    :math:`\sqrt{m / (m + n + 1)}`.

    The incoming gradients are never read, so under jit the compiler removes the backward pass that would make them.

    >>> import jax, jax.numpy as jnp, optax
    >>> loss = lambda x: jnp.sum(x**2)
    >>> tx = optax.chain(spsa_gradient(jax.random.key(0), num_perturbations=2000), optax.sgd(0.25))
    >>> x = jnp.array([1.0, -2.0])
    >>> updates, _ = tx.update(jnp.zeros(2), tx.init(x), x, value_fn=loss)
    >>> print(jnp.round(x + updates, 1))  # half of x, up to the estimate's noise
    [ 0.5 -1. ]

    Args:
      key: root of the random perturbations. Without it, `update` needs one as the extra argument `key`.
      c: size of the first perturbation; about the standard deviation of the loss's noise.
      gamma: decay exponent of the perturbation's size.
      num_perturbations: number m of perturbations averaged, evaluated together by vmap; 2 m loss evaluations a step.
      distribution: function (key, shape, dtype) drawing a perturbation's components. They must be independent, symmetric
        about 0 and have finite inverse moments, which rules out the normal and the uniform distribution.

    Returns:
      A transform whose `update` needs `params` and the extra argument `value_fn`, a function from parameters to the loss.
      Both evaluations of a perturbation must see the same batch and the same randomness.

    References:
      Spall, J. C. (1992), Multivariate stochastic approximation using a simultaneous perturbation gradient approximation,
      IEEE Transactions on Automatic Control 37(3).
    """

    def init(params: Any) -> SpsaState:
        del params
        return SpsaState(jnp.zeros((), jnp.int32), key)

    def update(
        updates: Any,
        state: SpsaState,
        params: Any = None,
        *,
        value_fn: Callable[[Any], Array],
        key: Array | None = None,
        **extra_args: Any,
    ) -> tuple[Any, SpsaState]:
        del updates, extra_args
        root = state.key if state.key is not None else key
        if params is None:
            raise ValueError("spsa needs the parameters: call update(updates, state, params, value_fn=...)")
        if root is None:
            raise ValueError("spsa needs a key: give it to the factory, or call update(..., key=...)")
        count = optax.safe_increment(state.count)
        size = c / count.astype(jnp.float32) ** gamma

        def estimate(perturbation_key: Array) -> Any:
            delta = optax.tree.random_like(perturbation_key, params, distribution)
            perturbed = lambda side: jax.tree.map(lambda p, d: p + (side * size * d).astype(p.dtype), params, delta)
            slope = (value_fn(perturbed(1.0)) - value_fn(perturbed(-1.0))) / (2 * size)
            return jax.tree.map(lambda d: (slope / d).astype(d.dtype), delta)

        keys = jax.random.split(jax.random.fold_in(root, count), num_perturbations)
        estimates = jax.vmap(estimate)(keys)
        return jax.tree.map(lambda g: g.mean(0), estimates), SpsaState(count, state.key)

    return optax.GradientTransformationExtraArgs(init, update)


def spsa(
    key: Array | None = None,
    a: float = 0.05,
    big_a: float = 100.0,
    c: float = 0.01,
    alpha: float = 0.602,
    gamma: float = 0.101,
    num_perturbations: int = 1,
    distribution: Distribution = rademacher,
) -> optax.GradientTransformationExtraArgs:
    r"""Simultaneous perturbation stochastic approximation: descends a loss that it can only evaluate.

    With the gradient estimate :math:`\hat g_k` of `spsa_gradient`, step :math:`k = 1, 2, \dots` is

    .. math::

        \theta \leftarrow \theta - a_k\, \hat g_k, \qquad a_k = a / (k + A)^\alpha, \qquad c_k = c / k^\gamma.

    Spall's practical exponents, 0.602 and 0.101, are the defaults; 1 and 1/6 are optimal in the limit.

    >>> import jax, jax.numpy as jnp, optax
    >>> loss = lambda x: jnp.sum((x - 3.0) ** 2)
    >>> tx = spsa(jax.random.key(0), a=0.2, big_a=10.0)
    >>> x = jnp.zeros(5)
    >>> state = tx.init(x)
    >>> for _ in range(300):
    ...     updates, state = tx.update(None, state, x, value_fn=loss)
    ...     x = optax.apply_updates(x, updates)
    >>> bool(jnp.allclose(x, 3.0, atol=0.05))
    True

    Args:
      key: root of the random perturbations. Without it, `update` needs one as the extra argument `key`.
      a: numerator of the step length.
      big_a: A, the stability constant; about a tenth of the number of steps.
      c: size of the first perturbation; about the standard deviation of the loss's noise.
      alpha: decay exponent of the step length, in (0, 1].
      gamma: decay exponent of the perturbation's size, in (0, 1/2].
      num_perturbations: perturbations averaged in a step; each costs two loss evaluations.
      distribution: of the perturbations' components; see `spsa_gradient`.

    Returns:
      A transform whose `update` needs `params` and the extra argument `value_fn`, a function from parameters to the loss.

    References:
      Spall, J. C. (1992), Multivariate stochastic approximation using a simultaneous perturbation gradient approximation,
      IEEE Transactions on Automatic Control 37(3).
      Spall, J. C. (1998), Implementation of the simultaneous perturbation algorithm for stochastic optimization, IEEE
      Transactions on Aerospace and Electronic Systems 34(3): the choice of gains.
    """
    return optax.chain(
        spsa_gradient(key, c, gamma, num_perturbations, distribution),
        optax.scale_by_schedule(lambda count: -a / (count + 1.0 + big_a) ** alpha),
    )
