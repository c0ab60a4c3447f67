"""Histograms of words over a pyramid of regions, and how alike two are (Lazebnik, Schmid and Ponce 2006).

Level l cuts the image into 2^l × 2^l regions. With L the finest level, level 0 has the weight 2^-L and level l > 0 the
weight 2^(l - L - 1): the weights sum to 1, and what agrees in a small region counts for more.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

Array = jax.Array


def weights(levels: int) -> list[float]:
    """The weight of each level, the coarsest first."""
    finest = levels - 1
    return [2.0**-finest, *(2.0 ** (level - finest - 1) for level in range(1, levels))]


def regions(levels: int) -> int:
    """Regions of all levels together."""
    return sum(4**level for level in range(levels))


def region(along_y: np.ndarray, along_x: np.ndarray, height: int, width: int, levels: int) -> np.ndarray:
    """The finest level's region of each place of a grid, row by row: [P], [Q] -> int [P · Q]."""
    side = 2 ** (levels - 1)
    row, column = (np.minimum(side * at / size, side - 1).astype(int) for at, size in ((along_y, height), (along_x, width)))
    return (side * row[:, None] + column).ravel()


def count(numbers: Array, where: Array, words: int, levels: int) -> Array:
    """How often each word occurs in each of the finest level's regions.

    Args:
      numbers: the word at each place, int [N, P].
      where: the region of each place, int [P].
      words: size of the dictionary.
      levels: of the pyramid.

    Returns:
      int32 [N, 4^(levels - 1), words].
    """
    counts = jnp.zeros((numbers.shape[0], 4 ** (levels - 1), words), jnp.int32)
    return counts.at[jnp.arange(numbers.shape[0]).reshape(-1, 1), where.reshape(1, -1), numbers].add(1)


def pyramid(counts: Array, levels: int) -> Array:
    """The weighted histograms of all levels, the coarsest first: [N, 4^(levels - 1), words] -> float32 [N, regions · words].

    Each image's values sum to 1, each level's to its weight.
    """
    n, _, words = counts.shape
    side = 2 ** (levels - 1)
    share = counts / jnp.maximum(counts.sum((1, 2), keepdims=True), 1)
    finest = share.reshape(n, side, side, words)
    parts = []
    for level, weight in enumerate(weights(levels)):
        cut = 2**level
        summed = finest.reshape(n, cut, side // cut, cut, side // cut, words).sum((2, 4))
        parts.append(weight * summed.reshape(n, -1))
    return jnp.concatenate(parts, axis=-1)


def intersection(ours: Array, theirs: Array) -> Array:
    """Histogram intersection Σ min(a, b) of each pair: [N, D], [M, D] -> [N, M]. Symmetric; 1 for equal pyramids."""
    return lax.map(lambda row: jnp.minimum(row.reshape(1, -1), theirs).sum(-1), ours)
