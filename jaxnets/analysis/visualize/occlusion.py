"""What in an image a classifier looks at, by covering parts of it (Zeiler and Fergus 2014, section 4.2)."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxnets.pipeline.augment import cut_out_at

Array = jax.Array
GRAY = 0.5


class Sensitivity(NamedTuple):
    """By where the square's center is, [rows, columns]."""

    probability: Array
    """Of the label."""
    prediction: Array
    """The likeliest class."""


def centers(size: int, stride: int) -> Array:
    """Every `stride`-th pixel of an axis, with equal margins."""
    return jnp.arange((size - 1) % stride // 2, size, stride)


def cover(image: Array, side: int, stride: int) -> Array:
    """The image [H, W, C] under a gray square at every place: [rows, columns, H, W, C].

    The square, of `side` pixels, is centered on every `stride`-th pixel of either axis. Outside the image it is cut off.
    """
    rows, columns = (centers(size, stride) for size in image.shape[:2])
    at = jnp.stack(jnp.meshgrid(rows, columns, indexing="ij"), axis=-1)
    uncovered = cut_out_at(jnp.ones((at[..., 0].size, *image.shape[:2], 1), bool), at.reshape(-1, 2), side)
    covered = jnp.where(uncovered, image[None], jnp.asarray(GRAY, image.dtype))
    return covered.reshape(*at.shape[:2], *image.shape)


def sensitivity(probabilities: Callable[[Array], Array], image: Array, label: Array, side: int, stride: int) -> Sensitivity:
    """The probability of `label` while the square slides over the image: all places are one batch.

    Args:
      probabilities: images [N, H, W, C] -> [N, classes].
      image: [H, W, C], pixels in [0, 1].
      label: the image's class.
      side: of the square, in pixels.
      stride: pixels between places.
    """
    covered = cover(image, side, stride)
    found = probabilities(covered.reshape(-1, *image.shape))
    shape = covered.shape[:2]
    return Sensitivity(found[:, label].reshape(shape), found.argmax(-1).reshape(shape))
