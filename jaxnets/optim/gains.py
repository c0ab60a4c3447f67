"""SPSA's gains, chosen from the loss itself: before the start, or in its first steps."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxnets.optim.spsa import ABOVE_0, COUNT, Schedule, check, loss_of, spsa_gradient

Array = jax.Array


class Gains(NamedTuple):
    """What `spsa` takes."""

    a: float
    c: float


class CalibrationState(NamedTuple):
    """State of `scale_by_calibrated_gain`."""

    count: Array  # type: ignore[assignment]
    """Steps so far, with those of the calibration."""
    magnitude: Array
    """Mean size of a component of the estimates so far, then of those of the calibration."""
    measured: Array
    """Estimates in that mean."""


def gain(a: Any, big_a: Any, alpha: Any) -> Callable[[Any], Any]:
    """Spall's step lengths by the number of steps taken, a / (k + A)^alpha with k = count + 1, as `spsa` has them.

    >>> gain(6.0, 2.0, 1.0)(0), gain(6.0, 2.0, 1.0)(3)
    (2.0, 1.0)
    """
    return lambda count: a / (count + 1.0 + big_a) ** alpha


def value_at(number: float | Schedule, count: Array) -> Any:
    """A number, or what a schedule gives after so many steps.

    >>> value_at(0.5, 3), value_at(lambda count: 1 / (count + 1), 3)
    (0.5, 0.25)
    """
    return number(count) if callable(number) else number


def calibrate(
    value_fn: Callable[[Any], Array],
    params: Any,
    key: Array,
    *,
    first_step: float,
    c: float | None = None,
    big_a: float = 0.0,
    alpha: float = 0.602,
    number: int = 25,
) -> Gains:
    r"""Chooses a such that parameters move by about `first_step` in the first step, and c by the loss's noise.

    .. math::

        a = \frac{s\,(A + 1)^\alpha}{\mathrm{mean}\,|\hat g|}

    over a number of estimates at the start. Spall's rule takes for s the smallest move that is wanted early, for A a tenth
    of the steps, and for c the standard deviation of the loss's noise; Qiskit's takes s = 2π/10, c = 0.2 and A = 0.

    >>> import jax, jax.numpy as jnp
    >>> gains = calibrate(lambda x: 3 * x[0], jnp.zeros(1), jax.random.key(0), first_step=0.6, c=0.2)
    >>> print(round(float(gains.a), 3))  # the slope is 3
    0.2

    Args:
      value_fn: from parameters to the loss. Repeated values are taken outside jit.
      params: where the run starts.
      key: of the directions.
      first_step: s, above 0: the size of each parameter's first move.
      c: size of the perturbations. Without it, the standard deviation of repeated values at the start.
      big_a: A, 0 or more.
      alpha: decay exponent of the step length, in [0, 1].
      number: estimates, two evaluations each; and of repeated values, where c is not given.

    Raises ValueError where the loss has no noise and c is not given, is not finite or does not change.

    References:
      Spall, J. C. (1998), Implementation of the simultaneous perturbation algorithm for stochastic optimization, IEEE
      Transactions on Aerospace and Electronic Systems 34(3).
    """
    _check(first_step, big_a, alpha)
    check("number of estimates", number, *COUNT)
    if c is None:
        function = loss_of("calibrate", params, {"value_fn": value_fn})
        values = jnp.stack([function(params) for _ in range(number)])
        c = float(jnp.std(values, ddof=1)) if number > 1 else 0.0
        if not c > 0:
            what = "do not differ" if jnp.isfinite(values).all() else "are not finite"
            raise ValueError(f"spsa: the loss's values at the start {what}, so its noise cannot choose c: give c")
    tx = spsa_gradient(key, c=c, gamma=0.0)

    def measure(state: Any, _: None) -> tuple[Any, Array]:
        estimate, state = tx.update(None, state, params, value_fn=value_fn)
        return state, _magnitude(estimate)

    state, sizes = jax.lax.scan(measure, tx.init(params), length=number)
    magnitude = float(sizes.mean())
    if int(state.refused) or not magnitude > 0:
        what = "is not finite" if int(state.refused) else "does not change"
        raise ValueError(
            f"spsa: the loss {what} within {c:g} of the start, so a cannot be calibrated: choose another c or start"
        )
    return Gains(first_step * (big_a + 1) ** alpha / magnitude, c)


def scale_by_calibrated_gain(
    first_step: float, big_a: float = 100.0, alpha: float = 0.602, steps: int = 25
) -> optax.GradientTransformation:
    r"""Scales estimates by :math:`-a / (k + A)^\alpha`, with a by the rule of `calibrate` from the first of them.

    The first `steps` updates are 0, while the estimates are measured where the parameters start; then k counts from 1.
    All of it is arithmetic, so that it works under jit, scan and vmap over seeds, each with a gain of its own.

    >>> import jax, jax.numpy as jnp, optax
    >>> from jaxnets import spsa_gradient
    >>> tx = optax.chain(spsa_gradient(jax.random.key(0)), scale_by_calibrated_gain(0.5, big_a=0.0, steps=2))
    >>> x, state = jnp.ones(1), tx.init(jnp.ones(1))
    >>> for _ in range(3):
    ...     updates, state = tx.update(None, state, x, value_fn=lambda x: 7 * x[0])
    ...     print(jnp.round(updates, 3) + 0)
    [0.]
    [0.]
    [-0.5]

    Args:
      first_step: the size of each parameter's first move, above 0.
      big_a: A, 0 or more.
      alpha: decay exponent of the step length, in [0, 1].
      steps: of the calibration, at least 1.

    References:
      Spall, J. C. (1998), Implementation of the simultaneous perturbation algorithm for stochastic optimization, IEEE
      Transactions on Aerospace and Electronic Systems 34(3).
    """
    _check(first_step, big_a, alpha)
    check("steps of the calibration", steps, *COUNT)

    def init(params: Any) -> CalibrationState:
        return CalibrationState(jnp.zeros((), jnp.int32), jnp.zeros(()), jnp.zeros((), jnp.int32))

    def update(updates: Any, state: CalibrationState, params: Any = None) -> tuple[Any, CalibrationState]:
        size = _magnitude(updates)
        is_calibrating = state.count < steps
        is_measured = is_calibrating & (size > 0)  # An estimate that was refused is 0.
        measured = state.measured + is_measured
        magnitude = state.magnitude + jnp.where(is_measured, (size - state.magnitude) / jnp.maximum(measured, 1), 0)
        a = first_step * (big_a + 1.0) ** alpha / jnp.where(magnitude > 0, magnitude, jnp.inf)
        length = jnp.where(is_calibrating, 0.0, -gain(a, big_a, alpha)(jnp.maximum(state.count - steps, 0)))
        scaled = jax.tree.map(lambda u: (length * u).astype(u.dtype), updates)
        return scaled, CalibrationState(optax.safe_increment(state.count), magnitude, measured)

    return optax.GradientTransformation(init, update)


def _check(first_step: float, big_a: float, alpha: float) -> None:
    check("first_step", first_step, *ABOVE_0)
    check("big_a", big_a, "0 or more", lambda value: 0 <= value < jnp.inf)
    check("alpha", alpha, "in [0, 1]", lambda value: 0 <= value <= 1)


def _magnitude(estimate: Any) -> Array:
    """The mean absolute value of the components that are not 0, as those that are masked out are."""
    leaves = [jnp.abs(leaf).astype(jnp.float32) for leaf in jax.tree.leaves(estimate)]
    total = jnp.asarray(sum(leaf.sum() for leaf in leaves), jnp.float32)
    return total / jnp.maximum(sum((leaf > 0).sum() for leaf in leaves), 1)
