"""Steps that are taken only where they may be: blocking, and bounds of the parameters."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxnets.optim.gains import value_at
from jaxnets.optim.spsa import Schedule, check, loss_of

Array = jax.Array


class BlockingState(NamedTuple):
    """State of `blocking`."""

    inner: Any
    """State of the rule."""
    value: Array
    """The loss of the parameters as the last step left them."""
    variance: Array
    """The noise's measured variance: σ²."""
    count: Array  # type: ignore[assignment]
    """Steps so far."""
    refused: Array
    """How many of them were refused."""


def blocking(
    rule: optax.GradientTransformation, deviations: float | Schedule = 2.0, decay: float | Schedule = 0.95
) -> optax.GradientTransformationExtraArgs:
    r"""A rule whose steps are refused if they make the loss worse by more than its noise explains.

    Step u at :math:`\theta_k` is taken if :math:`J_k(\theta_k + u)` is finite and

    .. math::

        J_k(\theta_k + u) \le J_k(\theta_k) + d\,\sigma_k,

    and otherwise replaced by 0 and counted. Each step's loss has noise of its own, such as its batch, so the noise is
    measured on the way: step k evaluates the same parameters as the step before it, with other noise, and
    :math:`\sigma_k^2` is an exponential average of :math:`(J_k(\theta_k) - J_{k-1}(\theta_k))^2 / 2`. The first step has no
    such measure and is only looked at for being finite. An estimate that is 0, as `spsa_gradient` makes it of a loss that is
    not finite, is no step either, whatever momentum the rule has. What the rule learned from other estimates it keeps,
    though their step is refused, unless its updates are not finite.

    >>> import jax.numpy as jnp, optax
    >>> tx = blocking(optax.sgd(2.0))  # too long: overshoots further every step
    >>> x, state = jnp.float32(1.0), tx.init(jnp.float32(1.0))
    >>> for _ in range(3):
    ...     updates, state = tx.update(2 * x, state, x, value_fn=lambda x: x**2)
    ...     x = optax.apply_updates(x, updates)
    >>> print(x, state.refused)
    -3.0 2

    Args:
      rule: what makes steps of estimates, such as `optax.adam`; in a chain after `spsa_gradient`.
      deviations: d, 0 or more, or a schedule of it.
      decay: of the average, in [0, 1), or a schedule of it.

    Returns:
      A transform whose `update` needs `params` and the extra argument `value_fn` or `obj_fn`; it evaluates the new
      parameters, and the old ones if their loss is not given as `value`.

    References:
      Spall, J. C. (1998), Implementation of the simultaneous perturbation algorithm for stochastic optimization, IEEE
      Transactions on Aerospace and Electronic Systems 34(3).
    """
    check("deviations of blocking", deviations, "0 or more", lambda value: value >= 0)
    check("decay of blocking", decay, "in [0, 1)", lambda value: 0 <= value < 1)
    rule = optax.with_extra_args_support(rule)

    def init(params: Any) -> BlockingState:
        zero, count = jnp.zeros(()), jnp.zeros((), jnp.int32)
        return BlockingState(rule.init(params), zero, zero, count, count)

    def update(updates: Any, state: BlockingState, params: Any = None, **extra_args: Any) -> tuple[Any, BlockingState]:
        function, value = loss_of("blocking", params, extra_args), extra_args.get("value")
        before = jnp.asarray(function(params) if value is None else value, jnp.float32)
        steps, inner = rule.update(updates, state.inner, params, **{**extra_args, "value_fn": function, "value": before})
        after = jnp.asarray(function(optax.apply_updates(params, steps)), jnp.float32)

        is_first = state.count == 0
        # The average starts with its first square, not with 0.
        share = jnp.where(is_first, 0.0, jnp.where(state.count == 1, 1.0, 1 - value_at(decay, state.count)))
        square = (before - state.value) ** 2 / 2
        variance = jnp.where(jnp.isfinite(square), state.variance + share * (square - state.variance), state.variance)
        is_worse = after > before + value_at(deviations, state.count) * jnp.sqrt(variance)
        ok = jnp.isfinite(after) & (is_first | ~is_worse)
        learned = jnp.asarray([jnp.any(leaf != 0) for leaf in jax.tree.leaves(updates)]).any()
        learned &= jnp.asarray([jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(steps)]).all()
        ok &= learned
        inner = jax.tree.map(lambda new, old: jnp.where(learned, new, old), inner, state.inner)
        taken = jax.tree.map(lambda step: jnp.where(ok, step, jnp.zeros_like(step)), steps)
        left, count = jnp.where(ok, after, before), optax.safe_increment(state.count)
        return taken, BlockingState(inner, left, variance, count, state.refused + ~ok)

    return optax.GradientTransformationExtraArgs(init, update)


def keep_within(lower: Any, upper: Any) -> optax.GradientTransformation:
    r"""Cuts updates such that parameters stay in a box, up to rounding: the last transform of a chain.

    The parameters' next values are projected onto the box, :math:`\theta + u \leftarrow \min(\max(\theta + u, l), h)`.

    >>> import jax.numpy as jnp, optax
    >>> tx = optax.chain(optax.sgd(1.0), keep_within(0.0, 1.0))
    >>> x = jnp.array([0.25, 0.5])
    >>> updates, _ = tx.update(jnp.array([1.0, 0.125]), tx.init(x), x)
    >>> print(x + updates)
    [0.    0.375]

    Args:
      lower: smallest values: a number, or a tree that is a prefix of the parameters.
      upper: largest values, none of them below the smallest.

    References:
      Sadegh, P. (1997), Constrained optimization via stochastic approximation with a simultaneous perturbation gradient
      approximation, Automatica 33(5).
    """

    def update(updates: Any, state: optax.EmptyState, params: Any = None) -> tuple[Any, optax.EmptyState]:
        if params is None:
            raise ValueError("keep_within needs the parameters: update(updates, state, params)")
        low, high = (jax.tree.broadcast(bound, params) for bound in (lower, upper))
        for pair in zip(jax.tree.leaves(low), jax.tree.leaves(high), strict=True):
            is_traced = any(isinstance(bound, jax.core.Tracer) for bound in pair)
            if not is_traced and not np.less_equal(*map(np.asarray, pair)).all():
                raise ValueError("keep_within: a lower bound is above its upper one, or not a number")
        project = lambda p, u, low, high: (jnp.clip(p + u, low, high) - p).astype(u.dtype)
        return jax.tree.map(project, params, updates, low, high), state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)
