r"""Directions for SPSA's perturbations that are not independent signs: each has E[Δ Δᵀ] = I.

>>> import jax, jax.numpy as jnp
>>> def drawn(directions, number, parameters=8):
...     leaves = [jnp.zeros(parameters)]
...     seeds = directions.seeds(jax.random.key(0), number, leaves)
...     return jax.vmap(lambda seed: directions.draw(seed, leaves)[0])(seeds)

Of many normal ones that is so on average, of all coordinates exactly; and directions that are orthogonal are signs.

>>> normal = drawn(gaussian, 20_000)
>>> bool(jnp.abs(normal.T @ normal / 20_000 - jnp.eye(8)).max() < 0.1)
True
>>> each = drawn(coordinates, 8)
>>> print(jnp.count_nonzero(each, axis=1), jnp.allclose(each.T @ each / 8, jnp.eye(8)))
[1 1 1 1 1 1 1 1] True
>>> rows = drawn(orthogonal, 4)
>>> print((jnp.abs(rows) == 1).all(), (rows @ rows.T == 8 * jnp.eye(4)).all())
True True
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxnets.optim.spsa import COUNT, Directions, check

Array = jax.Array


def _gaussian_direction(seed: Array, leaves: list[Array]) -> list[Array]:
    keys = jax.random.split(seed, len(leaves))
    return [jax.random.normal(key, leaf.shape, leaf.dtype) for key, leaf in zip(keys, leaves, strict=True)]


def _keys(key: Array, number: int, leaves: list[Array]) -> Array:
    return jax.random.split(key, number)


gaussian = Directions(_keys, _gaussian_direction)
r"""Standard normal components. The estimate is the gradient of the loss smoothed by a Gaussian of width c,
:math:`\mathrm{E}_u J(\theta + c\,u)`, without bias (Nesterov and Spokoiny, 2017, Random gradient-free minimization of convex
functions, Foundations of Computational Mathematics 17)."""


def subset(fraction: float) -> Directions:
    r"""Perturbs a random subset of the components: each, with probability f, by :math:`\pm 1/\sqrt f`, the others by 0.

    >>> import jax, jax.numpy as jnp
    >>> (direction,) = subset(0.25).draw(jax.random.key(0), [jnp.zeros(1000)])
    >>> float(jnp.abs(direction).max()), bool(jnp.abs((direction != 0).mean() - 0.25) < 0.1)
    (2.0, True)

    Args:
      fraction: f, in (0, 1].
    """
    check("fraction", fraction, "in (0, 1]", lambda value: 0 < value <= 1)

    def draw(seed: Array, leaves: list[Array]) -> list[Array]:
        chosen, signs = jax.random.split(seed)
        new = []
        for i, leaf in enumerate(leaves):
            on = jax.random.bernoulli(jax.random.fold_in(chosen, i), fraction, leaf.shape)
            new.append(on * jax.random.rademacher(jax.random.fold_in(signs, i), leaf.shape, leaf.dtype) / fraction**0.5)
        return new

    return Directions(_keys, draw)


def low_rank(rank: int) -> Directions:
    r"""Products :math:`A B^\top / \sqrt{r}` of standard normal factors for matrices, normal components for vectors.

    A leaf of more than two axes is a stack of matrices of its last two. A matrix of shape (m, n) needs r (m + n) random
    numbers and not m n.

    >>> import jax, jax.numpy as jnp
    >>> (direction,) = low_rank(2).draw(jax.random.key(0), [jnp.zeros((5, 4))])
    >>> int(jnp.linalg.matrix_rank(direction))
    2

    References:
      Sarkar, B. et al. (2025), Evolution strategies at the hyperscale: EGGROLL.
    """
    check("rank", rank, *COUNT)

    def draw(seed: Array, leaves: list[Array]) -> list[Array]:
        new = []
        for i, leaf in enumerate(leaves):
            key = jax.random.fold_in(seed, i)
            if leaf.ndim < 2:
                new.append(jax.random.normal(key, leaf.shape, leaf.dtype))
                continue
            *stack, rows, columns = leaf.shape
            left = jax.random.normal(jax.random.fold_in(key, 0), (*stack, rows, rank), leaf.dtype)
            right = jax.random.normal(jax.random.fold_in(key, 1), (*stack, columns, rank), leaf.dtype)
            new.append(left @ right.mT / rank**0.5)
        return new

    return Directions(_keys, draw)


def _indices(leaves: list[Array]) -> list[Array]:
    """The place of every component in the vector of all."""
    new, start = [], 0
    for leaf in leaves:
        new.append(start + jnp.arange(leaf.size, dtype=jnp.uint32).reshape(leaf.shape))
        start += leaf.size
    return new


def _size(leaves: list[Array]) -> int:
    return sum(leaf.size for leaf in leaves)


def _coordinate_seeds(key: Array, number: int, leaves: list[Array]) -> Array:
    """Without repetition: a pass over all coordinates in random order, and another where there are more directions."""
    n = _size(leaves)
    passes = [jax.random.permutation(jax.random.fold_in(key, i), n)[: number - i * n] for i in range(math.ceil(number / n))]
    return jnp.concatenate(passes).astype(jnp.uint32)


def _coordinate_direction(seed: Array, leaves: list[Array]) -> list[Array]:
    length = math.sqrt(_size(leaves))
    return [length * (places == seed).astype(leaf.dtype) for places, leaf in zip(_indices(leaves), leaves, strict=True)]


coordinates = Directions(_coordinate_seeds, _coordinate_direction)
r"""One component at a time, :math:`\sqrt{n}\, e_i` with random i: m finite differences by m different parameters, times n/m.
With m = n the average is the gradient by central differences (Kiefer and Wolfowitz, 1952). A component is moved by
:math:`\sqrt{n}\, c`, so c must be smaller by that than for signs."""


def _hadamard_seeds(key: Array, number: int, leaves: list[Array]) -> tuple[Array, Array]:
    """Signs that all directions share, and a row of its own for each."""
    rows = 1 << max(_size(leaves) - 1, 0).bit_length()
    repeats = math.ceil(number / rows)
    signs = jnp.repeat(jax.random.split(key, repeats), rows, axis=0, total_repeat_length=repeats * rows)[:number]
    order = [jax.random.permutation(jax.random.fold_in(key, i), rows) for i in range(repeats)]
    return signs, jnp.concatenate(order)[:number].astype(jnp.uint32)


def _hadamard_direction(seed: tuple[Array, Array], leaves: list[Array]) -> list[Array]:
    key, row = seed
    new = []
    for i, (places, leaf) in enumerate(zip(_indices(leaves), leaves, strict=True)):
        parity = lax.population_count(places & row) & 1
        signs = jax.random.rademacher(jax.random.fold_in(key, i), leaf.shape, leaf.dtype)
        new.append(signs * (1 - 2 * parity.astype(leaf.dtype)))
    return new


orthogonal = Directions(_hadamard_seeds, _hadamard_direction)
r"""Signs whose directions are orthogonal: random rows of a Hadamard matrix, all times the same random signs.

For :math:`n = 2^k` parameters m ≤ n directions are orthogonal, and the squared cosine between estimate and gradient is m/n
on average, not m/(m + n + 1). For other n they are the first n columns of a larger matrix, nearly orthogonal, and all of
its rows average to the gradient. No component needs others in memory (Choromanski, K. et al., 2018, Structured evolution
with compact architectures for scalable policy optimization, ICML). The two sides of a direction are antithetic already."""

NAMED: dict[str, Any] = {
    "gaussian": gaussian,
    "orthogonal": orthogonal,
    "coordinates": coordinates,
    "low_rank": low_rank(1),
}
"""Those that a config can name, besides rademacher."""
