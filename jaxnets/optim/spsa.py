"""Simultaneous perturbation stochastic approximation (SPSA) as optax transforms."""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax

Array = jax.Array
Distribution = Callable[[Array, tuple[int, ...], Any], Array]
Schedule = Callable[[Array], Any]


class SpsaState(NamedTuple):
    """State of `spsa_gradient`."""

    count: Array  # type: ignore[assignment]  # optax names it so
    """Estimates made so far."""
    key: Array | None
    """The root of all perturbations, if the factory was given one; estimate k uses fold_in(key, k)."""
    refused: Array
    """How many of the estimates met a value of the function that is not finite, and so are 0."""


class Directions(NamedTuple):
    """Directions Δ with E[Δ Δᵀ] = I that are drawn together; `leaves` are the perturbed ones, a list of real arrays."""

    seeds: Callable[..., Any]
    """(key of the step, m, leaves) -> what each of m directions is drawn from: arrays with a leading axis m."""
    draw: Callable[[Any, list[Array]], list[Array]]
    """(a seed, leaves) -> the direction, always the same from the same seed."""


rademacher: Distribution = jax.random.rademacher
"""Plus or minus one with equal probability: the usual distribution of perturbations."""
ABOVE_0: Any = "above 0 and finite", lambda value: 0 < value < jnp.inf
COUNT: Any = "a whole number, at least 1", lambda value: value >= 1 and value % 1 == 0


def spsa_gradient(
    key: Array | None = None,
    c: float | Schedule = 0.01,
    gamma: float = 0.101,
    num_perturbations: int = 1,
    directions: Distribution | Directions = rademacher,
    *,
    difference: Literal["two_sided", "one_sided"] = "two_sided",
    at_once: int | None = None,
    mask: Any = None,
    scales: Any = 1.0,
    axis_name: str | None = None,
) -> optax.GradientTransformationExtraArgs:
    r"""Replaces incoming gradients by SPSA's estimate, to be followed by any optimizer.

    Step :math:`k = 1, 2, \dots` draws a random perturbation :math:`\Delta_k` with independent components, evaluates the
    loss on both sides, and estimates the gradient of :math:`J` as

    .. math::

        \hat g_k = \frac{J(\theta + c_k \Delta_k) - J(\theta - c_k \Delta_k)}{2 c_k}\, \Delta_k^{-1}, \qquad
        c_k = c / k^\gamma,

    with :math:`\Delta^{-1}` taken element by element; for `Directions` it is :math:`\Delta_k` in its place. One-sided, it is
    :math:`(J(\theta + c_k \Delta_k) - J(\theta)) / c_k`, with one :math:`J(\theta)` for all perturbations of a step. The
    denominator is the difference of the two parameters as they were rounded to their type, and a perturbation is at least
    one unit in the last place, so that those of few bits have right slopes too. Real and imaginary parts of complex
    parameters are perturbed each on its own; the estimate is the conjugate of `jax.grad`'s, which descent subtracts.
    Two evaluations serve all parameters; the price is noise: with m perturbations and n parameters, the cosine between
    estimate and gradient is about :math:`\sqrt{m / (m + n + 1)}`. The bias is :math:`O(c_k^2)`, one-sided :math:`O(c_k)`.

    The incoming gradients are never read, so under jit the compiler removes the backward pass that would make them. If a
    value of the loss is not finite, the estimate is 0, and the state counts it: descent then takes no step.

    >>> import jax, jax.numpy as jnp, optax
    >>> loss = lambda x: jnp.sum(x**2)
    >>> tx = optax.chain(spsa_gradient(jax.random.key(0), num_perturbations=2000), optax.sgd(0.25))
    >>> x = jnp.array([1.0, -2.0])
    >>> updates, _ = tx.update(jnp.zeros(2), tx.init(x), x, value_fn=loss)
    >>> print(jnp.round(x + updates, 1))  # half of x, up to the estimate's noise
    [ 0.5 -1. ]

    Args:
      key: root of the random perturbations. Without it, `update` needs one as the extra argument `key`.
      c: size of the first perturbation, above 0, about the standard deviation of the loss's noise; or a schedule of sizes.
      gamma: decay exponent of the perturbation's size, in [0, 1/2].
      num_perturbations: number m of perturbations averaged.
      directions: function (key, shape, dtype) drawing a perturbation's components. They must be independent, symmetric
        about 0 and have finite inverse moments, which rules out the normal and the uniform distribution. Or `Directions`.
      difference: "two_sided", 2 m loss evaluations a step, or "one_sided", m + 1.
      at_once: evaluations made together. The directions are then drawn anew from their keys where they are needed, so that
        no more than these are in memory (MeZO). By default all are, by vmap, and no direction is drawn twice.
      mask: which leaves to perturb: a tree of booleans, a prefix of the parameters, or a function from them to it. The
        others have the estimate 0. By default all leaves of a floating type, real or complex.
      scales: sizes of leaves' perturbations in terms of c: a tree of numbers, a prefix of the parameters.
      axis_name: an axis of shard_map, whose devices share the perturbations out and exchange one number for each.

    Returns:
      A transform whose `update` needs `params` and the extra argument `value_fn` or `obj_fn`, a function from parameters to
      the loss. All evaluations of a step must see the same batch and the same randomness.

    References:
      Spall, J. C. (1992), Multivariate stochastic approximation using a simultaneous perturbation gradient approximation,
      IEEE Transactions on Automatic Control 37(3).
      Malladi, S. et al. (2023), Fine-tuning language models with just forward passes, NeurIPS: MeZO, which redraws.
    """
    check("c", c, *ABOVE_0)
    check("gamma", gamma, "in [0, 1/2]", lambda value: 0 <= value <= 0.5)
    check("num_perturbations", num_perturbations, *COUNT)
    check("at_once", 1 if at_once is None else at_once, *COUNT)
    check("directions", directions, "a distribution or Directions", lambda value: isinstance(value, Directions))
    check("difference", difference, "two_sided or one_sided", lambda value: value in ("two_sided", "one_sided"))
    sides = [1.0, -1.0] if (is_two_sided := difference == "two_sided") else [1.0]
    is_inverted = not isinstance(directions, Directions)
    sample = lambda seed, leaves: optax.tree.random_like(seed, leaves, directions)
    seeds_of, draw = (lambda key, m, leaves: jax.random.split(key, m), sample) if callable(directions) else directions

    def init(params: Any) -> SpsaState:
        return SpsaState(jnp.zeros((), jnp.int32), key, jnp.zeros((), jnp.int32))

    def update(updates: Any, state: SpsaState, params: Any = None, **extra_args: Any) -> tuple[Any, SpsaState]:
        function, root = loss_of("spsa", params, extra_args), key_of("spsa", state.key, extra_args)
        count = optax.safe_increment(state.count)
        size = perturbation_size(c, gamma, count)
        leaves, structure, perturbed = _leaves(params, mask)
        split = lambda x: jnp.stack([x.real, x.imag], -1) if jnp.iscomplexobj(x) else x
        joined = lambda x, leaf: lax.complex(x[..., 0], x[..., 1]) if jnp.iscomplexobj(leaf) else x
        centers = [split(leaves[i]) for i in perturbed]
        factors = [jax.tree.leaves(jax.tree.broadcast(scales, params))[i] for i in perturbed]
        loss = lambda values: function(with_perturbed(values, leaves))

        def with_perturbed(values: list[Array], others: list[Array]) -> Any:
            new = {i: joined(value, leaves[i]) for i, value in zip(perturbed, values, strict=True)}
            return jax.tree.unflatten(structure, [new.get(i, other) for i, other in enumerate(others)])

        def moved(side: Any, delta: list[Array]) -> list[Array]:
            return [_moved(p, side * size * s, d) for p, s, d in zip(centers, factors, delta, strict=True)]

        def slopes_of(change: Array, delta: list[Array]) -> list[Array]:
            ends = zip(moved(1.0, delta), moved(-1.0, delta) if is_two_sided else centers, strict=True)
            widths = [len(sides) * _least(p, size * s) for p, s in zip(centers, factors, strict=True)]
            return [_slope(change, *pair, None if is_inverted else w) for pair, w in zip(ends, widths, strict=True)]

        share, gather = _division(num_perturbations, axis_name)
        seeds = seeds_of(jax.random.fold_in(root, count), num_perturbations, centers)
        base: Any = None if is_two_sided else loss(centers)
        if at_once is None:
            deltas = jax.vmap(lambda seed: draw(seed, centers))(seeds)
            below = lambda delta: loss(moved(-1.0, delta)) if is_two_sided else base
            differences = gather(jax.vmap(lambda delta: loss(moved(1.0, delta)) - below(delta))(share(deltas)))
        else:
            own = share(seeds)
            index = jnp.arange(len(sides) * len(jax.tree.leaves(own)[0]))
            points = jax.tree.map(lambda seed: seed[index // len(sides)], own), jnp.asarray(sides)[index % len(sides)]
            values = lax.map(lambda at: loss(moved(at[1], draw(at[0], centers))), points, batch_size=at_once)
            differences = gather(values[0::2] - values[1::2] if is_two_sided else values - base)
        differences = jnp.where(ok := jnp.isfinite(differences).all(), differences, 0)
        if at_once is None:
            slopes = [slope.mean(0) for slope in jax.vmap(slopes_of)(differences, deltas)]
        else:
            again = lambda seed: draw(lax.optimization_barrier(seed), centers)  # Not what is in memory from above.
            add = lambda total, item: (jax.tree.map(jnp.add, total, slopes_of(item[0], again(item[1]))), None)
            zeros = [jnp.zeros_like(p, jnp.promote_types(p.dtype, jnp.float32)) for p in centers]
            slopes = [total / num_perturbations for total in lax.scan(add, zeros, (differences, seeds))[0]]
        slopes = [slope.astype(p.dtype) for slope, p in zip(slopes, centers, strict=True)]
        return with_perturbed(slopes, [jnp.zeros_like(x) for x in leaves]), SpsaState(count, state.key, state.refused + ~ok)

    return optax.GradientTransformationExtraArgs(init, update)


def spsa(
    key: Array | None = None,
    a: float | Schedule = 0.05,
    big_a: float = 100.0,
    c: float | Schedule = 0.01,
    alpha: float = 0.602,
    gamma: float = 0.101,
    num_perturbations: int = 1,
    directions: Distribution | Directions = rademacher,
    *,
    difference: Literal["two_sided", "one_sided"] = "two_sided",
    at_once: int | None = None,
    mask: Any = None,
    scales: Any = 1.0,
    axis_name: str | None = None,
) -> optax.GradientTransformationExtraArgs:
    r"""Simultaneous perturbation stochastic approximation: descends a loss that it can only evaluate.

    With the gradient estimate :math:`\hat g_k` of `spsa_gradient`, step :math:`k = 1, 2, \dots` is

    .. math::

        \theta \leftarrow \theta - a_k\, \hat g_k, \qquad a_k = a / (k + A)^\alpha, \qquad c_k = c / k^\gamma.

    Spall's practical exponents, 0.602 and 0.101, are the defaults; 1 and 1/6 are optimal in the limit. A step in which the
    loss is not finite is not taken.

    >>> import jax, jax.numpy as jnp, optax
    >>> loss = lambda x: jnp.sum((x - 3.0) ** 2)
    >>> tx = spsa(jax.random.key(0), a=0.2, big_a=10.0)
    >>> x, state = jnp.zeros(5), tx.init(jnp.zeros(5))
    >>> for _ in range(300):
    ...     updates, state = tx.update(None, state, x, value_fn=loss)
    ...     x = optax.apply_updates(x, updates)
    >>> bool(jnp.allclose(x, 3.0, atol=0.05))
    True

    Args are those of `spsa_gradient`, and
      a: numerator of the step length, above 0. Or a schedule of the step lengths, for which big_a and alpha have no effect.
      big_a: A, the stability constant, 0 or more; about a tenth of the number of steps.
      alpha: decay exponent of the step length, in [0, 1].

    References:
      Spall, J. C. (1998), Implementation of the simultaneous perturbation algorithm for stochastic optimization, IEEE
      Transactions on Aerospace and Electronic Systems 34(3): the choice of gains.
    """
    check("a", a, *ABOVE_0)
    check("big_a", big_a, "0 or more", lambda value: 0 <= value < jnp.inf)
    check("alpha", alpha, "in [0, 1]", lambda value: 0 <= value <= 1)
    length = (lambda count: -a(count)) if callable(a) else lambda count: -a / (count + 1.0 + big_a) ** alpha
    more: Any = dict(difference=difference, at_once=at_once, mask=mask, scales=scales, axis_name=axis_name)
    return optax.chain(spsa_gradient(key, c, gamma, num_perturbations, directions, **more), optax.scale_by_schedule(length))


def check(name: str, value: Any, words: str, holds: Callable[[Any], bool]) -> None:
    """Raises ValueError for an argument that is out of range. Schedules and arrays, which may be traced, are let through."""
    if not callable(value) and not isinstance(value, Array) and not holds(value):
        raise ValueError(f"spsa: {name} must be {words}, got {value}")


def loss_of(name: str, params: Any, extra_args: dict[str, Any]) -> Callable[[Any], Array]:
    """The function to minimize, from update's arguments. It raises ValueError where its value is no real scalar array."""
    function = extra_args.get("value_fn") or extra_args.get("obj_fn")
    if params is None or function is None:
        raise ValueError(f"{name} needs params and the function to minimize: update(updates, state, params, value_fn=...)")
    is_hidden = lambda leaf: isinstance(leaf, optax.MaskedNode)
    with_paths = jax.tree_util.tree_leaves_with_path(params, is_leaf=is_hidden)
    if hidden := [jax.tree_util.keystr(path, simple=True, separator="/") for path, leaf in with_paths if is_hidden(leaf)]:
        raise ValueError(
            f"{name}: {hidden[0]} is hidden by optax.masked or multi_transform, but value_fn needs all parameters: use "
            "spsa's own mask, or estimate outside, with optax.chain(spsa_gradient(…), optax.multi_transform(…))"
        )

    def loss(params: Any) -> Array:
        value = function(params)
        if not hasattr(value, "shape") or value.shape or jnp.iscomplexobj(value):
            raise ValueError(f"{name}'s value_fn must return the loss alone, a scalar array of a real type")
        return value if jnp.issubdtype(value.dtype, jnp.floating) else jnp.asarray(value, jnp.float32)  # Counts too.

    return loss


def key_of(name: str, key: Array | None, extra_args: dict[str, Any]) -> Array:
    """The factory's key, or else update's. Raises ValueError where neither has one."""
    if (root := extra_args.get("key") if key is None else key) is None:
        raise ValueError(f"{name} needs a key, in the factory or in update(updates, state, params, value_fn=..., key=...)")
    return root


def perturbation_size(c: float | Schedule, gamma: float, k: Array) -> Array:
    """c_k of the estimate k = 1, 2, …: c / k^gamma, or what a schedule gives after k - 1 estimates."""
    return jnp.asarray(c(k - 1), jnp.float32) if callable(c) else c / k.astype(jnp.float32) ** gamma


def _leaves(params: Any, mask: Any) -> tuple[list[Array], Any, list[int]]:
    """Leaves, structure, indices of those that are perturbed. Raises ValueError that names one that cannot be."""
    with_paths, structure = jax.tree_util.tree_flatten_with_path(params)
    wanted = True if mask is None else mask(params) if callable(mask) else mask
    chosen = jax.tree.leaves(jax.tree.broadcast(wanted, params))
    leaves, perturbed = [jnp.asarray(leaf) for _, leaf in with_paths], []
    for i, leaf in enumerate(leaves):
        name = jax.tree_util.keystr(with_paths[i][0], simple=True, separator="/") or "the parameters"
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            raise ValueError(f"spsa: {name} is a random key, which has no update; keep it out of the parameters")
        floating = jnp.issubdtype(leaf.dtype, jnp.inexact)
        if chosen[i] and floating and leaf.dtype.itemsize > 1:
            perturbed.append(i)
        elif chosen[i] and (floating or mask is not None):
            raise ValueError(f"spsa: {name} has the type {leaf.dtype}, which cannot be perturbed; mask it out")
    if not perturbed:
        raise ValueError("spsa: the parameters have no leaf of a floating type to perturb")
    return leaves, structure, perturbed


def _least(p: Array, size: Array) -> Array:
    """The size of a perturbation of p, large enough for p to change."""
    wide = jnp.promote_types(p.dtype, jnp.float32)
    kind = jnp.finfo(p.dtype)
    return jnp.maximum(jnp.abs(size).astype(wide), kind.eps * jnp.abs(p.astype(wide)) + kind.tiny)


def _moved(p: Array, size: Array, delta: Array) -> Array:
    """p + size · delta, rounded to the type of p, where size is large enough for p to change."""
    wide = jnp.promote_types(p.dtype, jnp.float32)
    kind = jnp.finfo(p.dtype)
    sized = jnp.sign(size).astype(wide) * _least(p, size)
    # Under jit, XLA may leave out a mere conversion to fewer bits and back.
    return lax.reduce_precision(p.astype(wide) + sized * delta.astype(wide), kind.nexp, kind.nmant).astype(p.dtype)


def _slope(change: Array, above: Array, below: Array, width: Array | None) -> Array:
    """The loss's change by the perturbation that happened, 0 where none did; or times it, both in terms of a width."""
    wide = jnp.promote_types(above.dtype, jnp.float32)
    step, change = above.astype(wide) - below.astype(wide), change.astype(wide)
    if width is not None:
        return change / width * (step / width)
    return jnp.where(step == 0, 0, change / jnp.where(step == 0, 1, step))


def _division(number: int, axis_name: str | None) -> tuple[Callable[[Any], Any], Callable[[Array], Array]]:
    """The functions that take a device's share of a leading axis of that number, and join all devices' numbers."""
    devices = lax.axis_size(axis_name) if axis_name else 1
    if number % devices:
        raise ValueError(f"spsa: num_perturbations {number} cannot be divided among the {devices} devices of {axis_name!r}")
    if axis_name is None:
        return lambda tree: tree, lambda values: values
    own = lax.axis_index(axis_name) * (number // devices) + jnp.arange(number // devices)
    joined = lambda values: lax.psum(jnp.zeros(number, values.dtype).at[own].set(values), axis_name)
    return lambda tree: jax.tree.map(lambda x: x[own], tree), joined
