"""SPSA whose perturbations of matrices stay factored: many directions at once without a perturbed matrix in memory."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import optax

from jaxnets.optim.spsa import ABOVE_0, COUNT, Schedule, SpsaState, check, key_of, loss_of, perturbation_size

Array = jax.Array


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Perturbed:
    r"""A matrix :math:`W + U V^\top` that is never made: :math:`x\,(W + U V^\top) = x W + (x U) V^\top`.

    >>> import jax.numpy as jnp
    >>> w = Perturbed(jnp.eye(2), jnp.array([[1.0], [0.0]]), jnp.array([[0.0], [3.0]]))
    >>> (jnp.array([[1.0, 1.0]]) @ w).tolist(), w.array().tolist()
    ([[1.0, 4.0]], [[1.0, 3.0], [0.0, 1.0]])
    """

    matrix: Array
    """W: [m, n]."""
    left: Array
    """U: [m, r]."""
    right: Array
    """V: [n, r]."""

    __array_ufunc__ = None  # NumPy arrays then leave @ to this class.

    @property
    def shape(self) -> tuple[int, ...]:
        """(m, n)."""
        return self.matrix.shape

    @property
    def dtype(self) -> Any:
        """That of all parts."""
        return self.matrix.dtype

    def astype(self, dtype: Any) -> "Perturbed":
        """The same in other precision."""
        return Perturbed(*(part.astype(dtype) for part in (self.matrix, self.left, self.right)))

    def array(self) -> Array:
        """The sum itself [m, n], for what is no product."""
        return self.matrix + self.left @ self.right.T

    def __rmatmul__(self, x: Any) -> Array:
        return x @ self.matrix + (x @ self.left) @ self.right.T


def low_rank_gradient(
    key: Array | None = None,
    c: float | Schedule = 0.01,
    gamma: float = 0.101,
    num_perturbations: int = 1,
    rank: int = 1,
) -> optax.GradientTransformationExtraArgs:
    r"""`spsa_gradient` by two-sided differences along low-rank directions that are applied inside the products (EGGROLL).

    A leaf of two axes is perturbed by :math:`\pm c_k\, U V^\top / \sqrt r` with standard normal factors, all others by
    normal numbers, as by `directions.low_rank`. `value_fn` finds a `Perturbed` in place of each matrix, and must use it as
    the right operand of `@` or take its `array()`. Perturbations are mapped over together: :math:`x W` is then one product
    for all of them, with one copy of W, and where x is the same for all, as in a first layer, it is computed once. A
    direction needs r (m + n) numbers of memory, not the m n of a perturbed matrix.

    >>> import jax, jax.numpy as jnp, optax
    >>> x, y = jnp.eye(3), jnp.arange(6.0).reshape(3, 2)
    >>> loss = lambda params: jnp.mean((x @ params["w"] - y) ** 2)  # @, of an array or of a Perturbed
    >>> tx = optax.chain(low_rank_gradient(jax.random.key(0), num_perturbations=64), optax.sgd(0.5))
    >>> params = {"w": jnp.zeros((3, 2))}
    >>> state = tx.init(params)
    >>> for _ in range(60):
    ...     updates, state = tx.update(None, state, params, value_fn=loss)
    ...     params = optax.apply_updates(params, updates)
    >>> bool(loss(params) < 1e-3)
    True

    Args:
      key: root of the random perturbations. Without it, `update` needs one as the extra argument `key`.
      c: size of the first perturbation, above 0, or a schedule of the sizes.
      gamma: decay exponent of the perturbation's size, in [0, 1/2].
      num_perturbations: number of perturbations averaged, two evaluations each, all at once.
      rank: r, at least 1.

    Returns:
      A transform whose `update` needs `params`, real and of a floating type, and the extra argument `value_fn` or `obj_fn`.
      A step in which a value is not finite has the estimate 0 and is counted.

    References:
      Sarkar, B. et al. (2025), Evolution strategies at the hyperscale: EGGROLL.
    """
    check("c", c, *ABOVE_0)
    check("gamma", gamma, "in [0, 1/2]", lambda value: 0 <= value <= 0.5)
    check("num_perturbations", num_perturbations, *COUNT)
    check("rank", rank, *COUNT)

    def draw(key: Array, leaves: list[Array]) -> list[tuple[Array, ...]]:
        """For each leaf its factors, the first of which is divided by √r, or its direction."""
        new: list[tuple[Array, ...]] = []
        for i, leaf in enumerate(leaves):
            is_matrix = leaf.ndim == 2
            shapes = [(side, rank) for side in leaf.shape] if is_matrix else [leaf.shape]
            keys = jax.random.split(jax.random.fold_in(key, i), len(shapes))
            parts = [jax.random.normal(k, shape, leaf.dtype) for k, shape in zip(keys, shapes, strict=True)]
            new.append((parts[0] / rank**0.5, parts[1]) if is_matrix else (parts[0],))
        return new

    def init(params: Any) -> SpsaState:
        return SpsaState(jnp.zeros((), jnp.int32), key, jnp.zeros((), jnp.int32))

    def update(updates: Any, state: SpsaState, params: Any = None, **extra_args: Any) -> tuple[Any, SpsaState]:
        name = "low_rank_gradient"
        function, root = loss_of(name, params, extra_args), key_of(name, state.key, extra_args)
        require_real(name, params)
        leaves, structure = jax.tree.flatten(jax.tree.map(jnp.asarray, params))
        count = optax.safe_increment(state.count)
        size = perturbation_size(c, gamma, count)

        def loss(side: float, parts: list[tuple[Array, ...]]) -> Array:
            moved = []
            for leaf, (first, *right) in zip(leaves, parts, strict=True):
                step = (side * size * first).astype(leaf.dtype)
                moved.append(Perturbed(leaf, step, *right) if right else leaf + step)
            return function(jax.tree.unflatten(structure, moved))

        keys = jax.random.split(jax.random.fold_in(root, count), num_perturbations)
        directions = jax.vmap(lambda key: draw(key, leaves))(keys)
        slopes = jax.vmap(lambda parts: loss(1.0, parts) - loss(-1.0, parts))(directions) / (2 * size)
        ok = jnp.isfinite(slopes).all()
        weights = jnp.where(ok, slopes, 0) / num_perturbations
        total = lambda first, right=None: (
            jnp.tensordot(weights, first, 1) if right is None else jnp.einsum("k,kmr,knr->mn", weights, first, right)
        )
        estimates = [total(*parts).astype(leaf.dtype) for leaf, parts in zip(leaves, directions, strict=True)]
        return jax.tree.unflatten(structure, estimates), SpsaState(count, state.key, state.refused + ~ok)

    return optax.GradientTransformationExtraArgs(init, update)


def require_real(name: str, params: Any) -> None:
    """Raises ValueError that names the first leaf that is not of a real floating type, or says that there is none at all."""
    leaves = jax.tree_util.tree_leaves_with_path(params)
    needs = f"{name} needs parameters that are real and of a floating type"
    if not leaves:
        raise ValueError(f"{needs}; there are none")
    for path, leaf in leaves:
        where = jax.tree_util.keystr(path, simple=True, separator="/") or "what was given"
        if not jnp.issubdtype(dtype := jnp.asarray(leaf).dtype, jnp.floating):
            raise ValueError(f"{needs}; {where} has the type {dtype}")
