"""The exponential moving average of a model's weights."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

Array = jax.Array


class AverageState(NamedTuple):
    """State of a rule that also averages the weights."""

    average: Any
    """As the parameters: their weighted mean since the first step; before it, the initial ones."""
    count: Array  # type: ignore[assignment]
    """Steps averaged."""
    inner: Any
    """State of the rule."""


def with_average(rule: optax.GradientTransformation, decay: float | Array) -> optax.GradientTransformationExtraArgs:
    r"""The rule, unchanged, with an average of the weights in its state.

    After step :math:`t` the weights :math:`\theta_1, \dots, \theta_t` have the average

    .. math::

        \bar\theta_t = \frac{1 - d}{1 - d^t} \sum_{k=1}^t d^{t-k}\, \theta_k,

    which is that of `optax.ema` with `debias`: initial weights have no part in it. A step whose weights are not finite is
    left out.

    >>> import jax.numpy as jnp, optax
    >>> tx = with_average(optax.sgd(1.0), decay=0.5)
    >>> state = tx.init(jnp.asarray(4.0))
    >>> for weights in (4.0, 3.0):
    ...     _, state = tx.update(jnp.asarray(1.0), state, jnp.asarray(weights))
    >>> round(float(state.average), 4)  # (3 / 4 + 2 / 2) / (3 / 4)
    2.3333

    Args:
      rule: an optax transform.
      decay: d, in [0, 1). With 0 the average is the last weights.

    Raises ValueError for another decay.

    References:
      Polyak, B. T. and Juditsky, A. B. (1992), Acceleration of stochastic approximation by averaging, SIAM Journal on
      Control and Optimization 30(4): plain means, where recent weights count no more than others.
    """
    if not isinstance(decay, Array) and not 0 <= decay < 1:
        raise ValueError(f"with_average: decay must be in [0, 1), got {decay}")
    rule = optax.with_extra_args_support(rule)

    def init(params: Any) -> AverageState:
        return AverageState(jax.tree.map(jnp.copy, params), jnp.zeros((), jnp.int32), rule.init(params))

    def update(updates: Any, state: AverageState, params: Any = None, **extra_args: Any) -> tuple[Any, AverageState]:
        updates, inner = rule.update(updates, state.inner, params, **extra_args)
        new = optax.apply_updates(params, updates)
        finite = jnp.asarray([jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(new)]).all()
        count = state.count + finite
        share = (1 - decay) / (1 - jnp.float32(decay) ** jnp.maximum(count, 1))
        mix = lambda old, new: jnp.where(finite, ((1 - share) * old + share * new).astype(old.dtype), old)
        return updates, AverageState(jax.tree.map(mix, state.average, new), count, inner)

    return optax.GradientTransformationExtraArgs(init, update)
