"""Dense local descriptors: orientation histograms (Lowe 2004) on a grid of places, with the place's color beside them.

Around each place lie 4×4 square cells. A pixel counts for the cells nearest to it, and for the two orientations nearest to
its gradient's, in proportion to how near they are. Both are linear in the picture of gradient strengths by orientation, and
the first is separable, so all histograms of an image are two products of matrices.
"""

import jax
import jax.numpy as jnp
import numpy as np

from jaxnets.pipeline.augment import LUMA, to_unit

Array = jax.Array

CELLS, ORIENTATIONS = 4, 8
SIZE = CELLS**2 * ORIENTATIONS + 3
"""Values of a descriptor: the orientations of every cell, and three of color."""
_LONGEST = 0.2
"""Share of a descriptor's length that no single value exceeds (Lowe 2004), so that no strong edge drowns the rest."""
_FAINT = 0.02
"""Length below which gradients count as noise: such a descriptor stays short, instead of being blown up to length 1."""


def places(side: int, cell: int, spacing: int) -> np.ndarray:
    """Centers, along one axis of `side` pixels, of the descriptors that lie wholly inside: [P], in pixels from the edge.

    They stand `spacing` pixels apart, in the middle of the axis. Empty where the image is smaller than a descriptor.
    """
    room = side - CELLS * cell
    if room < 0:
        return np.zeros(0)
    return (room % spacing) / 2 + CELLS * cell / 2 + spacing * np.arange(room // spacing + 1)


def describe(images: Array, cell: int, spacing: int, color: float) -> Array:
    """Descriptors at every place of a grid, row by row: uint8 [N, H, W, 3] -> float32 [N, P, SIZE].

    Args:
      images: color images.
      cell: side of a cell in pixels.
      spacing: distance of neighboring places in pixels.
      color: weight of the color: the length of white's entry, where gradients have length 1.
    """
    pixels = to_unit(images)
    gray = pixels @ jnp.asarray(LUMA)
    rows, columns = (jnp.asarray(_sharing(size, cell, spacing)) for size in images.shape[1:3])
    cells = jnp.einsum("paH,nHWo->npaWo", rows, _orientations(gray))
    cells = jnp.einsum("qbW,npaWo->npqabo", columns, cells) / cell**2
    n, p, q = cells.shape[:3]
    gradients = _limit(cells.reshape(n, p * q, -1))
    # The mean color under the same weights, which sum to less where cells reach beyond the image.
    down, across = (sharing.sum(1) / sharing.sum((1, 2)).reshape(-1, 1) for sharing in (rows, columns))
    mean = jnp.einsum("pH,nHqc->npqc", down, jnp.einsum("qW,nHWc->nHqc", across, pixels))
    return jnp.concatenate([gradients, color * mean.reshape(n, p * q, 3)], axis=-1)


def _sharing(side: int, cell: int, spacing: int) -> np.ndarray:
    """How much each pixel counts for each cell along an axis: [P, CELLS, side], 1 at its center and 0 from a cell off."""
    centers = places(side, cell, spacing)[:, None] + cell * (np.arange(CELLS) - (CELLS - 1) / 2)
    pixels = np.arange(side) + 0.5
    return np.clip(1 - np.abs(pixels - centers[..., None]) / cell, 0, None).astype(np.float32)


def _orientations(gray: Array) -> Array:
    """Gradient strength by orientation: [N, H, W] -> [N, H, W, ORIENTATIONS]; what falls between two is shared out."""
    padded = jnp.pad(gray, ((0, 0), (1, 1), (1, 1)), mode="edge")
    dy = (padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1]) / 2
    dx = (padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2]) / 2
    turn = jnp.arctan2(dy, dx)[..., None] * (ORIENTATIONS / (2 * jnp.pi)) - jnp.arange(ORIENTATIONS).reshape(1, 1, 1, -1)
    apart = jnp.abs((turn + ORIENTATIONS / 2) % ORIENTATIONS - ORIENTATIONS / 2)
    return jnp.sqrt(dx**2 + dy**2)[..., None] * jax.nn.relu(1 - apart)


def _limit(cells: Array) -> Array:
    """Brings descriptors to length 1, limits their values, and brings them to length 1 again."""
    unit = cells / jnp.maximum(jnp.linalg.norm(cells, axis=-1, keepdims=True), _FAINT)
    limited = jnp.minimum(unit, _LONGEST)
    faint = jnp.minimum(jnp.linalg.norm(unit, axis=-1, keepdims=True), 1)
    return limited * faint / jnp.maximum(jnp.linalg.norm(limited, axis=-1, keepdims=True), 1e-6)
