"""Second-order SPSA: a Hessian from values of the loss alone, full or its diagonal."""

from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.flatten_util import ravel_pytree

from jaxnets.optim.gains import value_at
from jaxnets.optim.low_rank import require_real
from jaxnets.optim.spsa import ABOVE_0, COUNT, Schedule, check, key_of, loss_of, perturbation_size

Array = jax.Array


class HessianState(NamedTuple):
    """State of `scale_by_spsa_hessian`."""

    count: Array  # type: ignore[assignment]
    """Estimates made so far."""
    key: Array | None
    hessian: Array
    """The smoothed estimate, before regularization: [n, n], or the diagonal [n]."""


def scale_by_spsa_hessian(
    key: Array | None = None,
    c: float | Schedule = 0.05,
    gamma: float = 0.101,
    num_perturbations: int = 1,
    kind: Literal["full", "diagonal"] = "full",
    decay: float | Schedule | None = None,
    floor: float | Schedule = 1e-2,
) -> optax.GradientTransformationExtraArgs:
    r"""Multiplies updates by the inverse of a Hessian that is estimated from four values of the loss.

    With random signs :math:`\Delta, \tilde\Delta` step :math:`k = 1, 2, \dots` estimates

    .. math::

        \hat h_k = \frac{J(\theta + c_k \Delta + c_k \tilde\Delta) - J(\theta + c_k \Delta)
        - J(\theta - c_k \Delta + c_k \tilde\Delta) + J(\theta - c_k \Delta)}{2 c_k^2}, \qquad
        \hat H_k = \frac{\hat h_k}{2} \left(\Delta \tilde\Delta^\top + \tilde\Delta \Delta^\top\right), \qquad
        \bar H_k = \frac{k \bar H_{k-1} + \hat H_k}{k + 1},

    from :math:`\bar H_0 = I`. The updates become :math:`(|\bar H_k| + \epsilon I)^{-1}` times the updates, where
    :math:`|\bar H|` has the absolute eigenvalues. `kind` "diagonal" keeps :math:`\hat h_k\, \Delta \odot \tilde\Delta`, the
    size of the parameters, for nets. After `spsa_gradient` and before the gains this is 2-SPSA. The first estimates are
    poor: let the gains begin small or some steps later, or give a larger floor.

    >>> import jax, jax.numpy as jnp, optax
    >>> from jaxnets import spsa_gradient
    >>> curvature = jnp.array([100.0, 1.0])
    >>> loss = lambda x: jnp.sum(curvature * x**2) / 2
    >>> keys = jax.random.split(jax.random.key(0))
    >>> newton = scale_by_spsa_hessian(keys[0], num_perturbations=64, decay=0.0)
    >>> tx = optax.chain(spsa_gradient(keys[1], num_perturbations=2000), newton, optax.scale(-1.0))
    >>> x = jnp.array([1.0, 1.0])
    >>> updates, _ = tx.update(None, tx.init(x), x, value_fn=loss)
    >>> bool(jnp.abs(x + updates)[0] < 0.2)  # one step, though the curvatures differ a hundredfold
    True

    Args:
      key: root of the directions. Without it, `update` needs one as the extra argument `key`.
      c: size of the first perturbation, above 0, or a schedule of the sizes. Larger than the gradient's: the noise is
        divided by its square.
      gamma: decay exponent of the perturbation's size, in [0, 1/2].
      num_perturbations: estimates averaged, four evaluations each.
      kind: "full", n² numbers and an eigendecomposition a step, or "diagonal".
      decay: of an exponential average in place of the mean of all steps, in [0, 1), or a schedule of it.
      floor: ε, above 0: what the curvature is raised by, or a schedule of it.

    Returns:
      A transform whose `update` needs `params` and the extra argument `value_fn` or `obj_fn`. An estimate that is not finite
      is left out. Parameters must be real and of a floating type.

    References:
      Spall, J. C. (2000), Adaptive stochastic approximation by the simultaneous perturbation method, IEEE Transactions on
      Automatic Control 45(10).
    """
    check("c", c, *ABOVE_0)
    check("gamma", gamma, "in [0, 1/2]", lambda value: 0 <= value <= 0.5)
    check("num_perturbations", num_perturbations, *COUNT)
    check("decay", decay, "in [0, 1)", lambda value: value is None or 0 <= value < 1)
    check("floor", floor, *ABOVE_0)
    check("kind", kind, "full or diagonal", lambda value: value in ("full", "diagonal"))
    is_full = kind == "full"

    def init(params: Any) -> HessianState:
        if jax.tree.leaves(params):  # optax.tree.map_params asks for the state of none.
            require_real("scale_by_spsa_hessian", params)
        size = optax.tree.size(params)
        start = jnp.eye(size) if is_full else jnp.ones(size)
        return HessianState(jnp.zeros((), jnp.int32), key, start)

    def update(updates: Any, state: HessianState, params: Any = None, **extra_args: Any) -> tuple[Any, HessianState]:
        name = "scale_by_spsa_hessian"
        function, root = loss_of(name, params, extra_args), key_of(name, state.key, extra_args)
        require_real(name, params)
        count = optax.safe_increment(state.count)
        size = perturbation_size(c, gamma, count)
        center, unravel = ravel_pytree(params)
        loss = lambda flat: function(unravel(flat.astype(center.dtype))).astype(jnp.float32)

        def one(key: Array) -> tuple[Array, Array, Array]:
            first, second = jax.random.rademacher(key, (2, center.size), jnp.float32)
            above, below = center + size * first, center - size * first
            change = loss(above + size * second) - loss(above) - loss(below + size * second) + loss(below)
            return change / (2 * size**2), first, second

        # No step of a gradient has this number, whose directions would else come from the same keys.
        step_key = jax.random.fold_in(jax.random.fold_in(root, 2**32 - 1), count)
        slopes, first, second = jax.vmap(one)(jax.random.split(step_key, num_perturbations))
        if is_full:
            half = jnp.einsum("m,mi,mj->ij", slopes, first, second) / (2 * num_perturbations)
            estimate = half + half.T
        else:
            estimate = jnp.mean(slopes[:, None] * first * second, 0)
        kept = count / (count + 1.0) if decay is None else value_at(decay, state.count)
        smoothed = kept * state.hessian + (1 - kept) * estimate
        smoothed = jnp.where(jnp.isfinite(slopes).all(), smoothed, state.hessian)
        flat, unravel_updates = ravel_pytree(updates)
        return unravel_updates(_solve(smoothed, flat, value_at(floor, state.count)).astype(flat.dtype)), HessianState(
            count, state.key, smoothed
        )

    return optax.GradientTransformationExtraArgs(init, update)


def _solve(hessian: Array, vector: Array, floor: Any) -> Array:
    """(|H| + floor I)⁻¹ v, for a matrix or a diagonal."""
    if hessian.ndim == 1:
        return vector / (jnp.abs(hessian) + floor)
    values, vectors = jnp.linalg.eigh(hessian)
    return vectors @ ((vectors.T @ vector) / (jnp.abs(values) + floor))
