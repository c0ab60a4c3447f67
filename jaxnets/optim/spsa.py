"""Simultaneous perturbation stochastic approximation (SPSA) as optax transforms."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax

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


def _is_masked(leaf: Any) -> bool:
    return isinstance(leaf, optax.MaskedNode)


def _checked(path: Any, leaf: Any) -> Array:
    """A leaf of the parameters as an array. Raises ValueError, which names it, for one that cannot be perturbed or kept."""
    name = jax.tree_util.keystr(path, simple=True, separator="/") or "the parameters"
    if _is_masked(leaf):
        raise ValueError(
            f"spsa: {name} is hidden by optax.masked or multi_transform, but value_fn needs all parameters: estimate "
            "outside, with optax.chain(spsa_gradient(…), optax.multi_transform(…))"
        )
    leaf = jnp.asarray(leaf)
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        raise ValueError(f"spsa: {name} is a random key, which has no update; keep it out of the parameters")
    if jnp.issubdtype(leaf.dtype, jnp.complexfloating):
        raise ValueError(f"spsa: {name} is complex; give its real and imaginary parts as two leaves")
    return leaf


def _moved(p: Array, size: Array, delta: Array) -> Array:
    """p + size · delta, rounded to the type of p, where size is large enough for p to change."""
    wide = jnp.promote_types(p.dtype, jnp.float32)
    kind = jnp.finfo(p.dtype)
    p_wide = p.astype(wide)
    least = kind.eps * jnp.abs(p_wide) + kind.tiny
    sized = jnp.sign(size).astype(wide) * jnp.maximum(jnp.abs(size).astype(wide), least)
    # Under jit, XLA may leave out a mere conversion to fewer bits and back.
    return lax.reduce_precision(p_wide + sized * delta.astype(wide), kind.nexp, kind.nmant).astype(p.dtype)


def _quotient(difference: Array, above: Array, below: Array) -> Array:
    """The slope along each component, from the perturbation that happened; 0 where none did."""
    wide = jnp.promote_types(above.dtype, jnp.float32)
    step = above.astype(wide) - below.astype(wide)
    return jnp.where(step == 0, 0, difference.astype(wide) / jnp.where(step == 0, 1, step))


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

    with :math:`\Delta^{-1}` taken element by element. The quotient's denominator is the difference of the two parameters as
    they were rounded to their type, and a perturbation is at least one unit in the last place, so that those of few bits
    have right slopes too. Leaves that are not of a floating type, such as counts and switches, are left as they are. Two
    evaluations serve all parameters at once; the price is noise.
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

        params = jax.tree_util.tree_map_with_path(_checked, params, is_leaf=_is_masked)
        leaves, structure = jax.tree.flatten(params)
        floating = [i for i, leaf in enumerate(leaves) if jnp.issubdtype(leaf.dtype, jnp.floating)]

        def with_floating(values: list[Array], others: list[Array]) -> Any:
            new = dict(zip(floating, values, strict=True))
            return jax.tree.unflatten(structure, [new.get(i, other) for i, other in enumerate(others)])

        def loss(values: list[Array]) -> Array:
            value = value_fn(with_floating(values, leaves))
            if not hasattr(value, "shape") or value.shape:
                raise ValueError("spsa's value_fn must return the loss alone, a scalar array; leave out auxiliary values")
            return value

        def estimate(perturbation_key: Array) -> list[Array]:
            centers = [leaves[i] for i in floating]
            delta = optax.tree.random_like(perturbation_key, centers, distribution)
            above, below = ([_moved(p, side * size, d) for p, d in zip(centers, delta, strict=True)] for side in (1.0, -1.0))
            difference = loss(above) - loss(below)
            return [_quotient(difference, *pair) for pair in zip(above, below, strict=True)]

        keys = jax.random.split(jax.random.fold_in(root, count), num_perturbations)
        slopes = [slope.mean(0).astype(leaves[i].dtype) for i, slope in zip(floating, jax.vmap(estimate)(keys), strict=True)]
        return with_floating(slopes, [jnp.zeros_like(leaf) for leaf in leaves]), SpsaState(count, state.key)

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
