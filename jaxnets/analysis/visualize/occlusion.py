"""The parts of an image that a classifier relies on, found by covering them (Zeiler and Fergus 2014, section 4.2)."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxnets.pipeline.augment import cut_out_at

Array = jax.Array
GRAY = 0.5


class Sensitivity(NamedTuple):
    """Maps over the positions of the square's center, [rows, columns]."""

    probability: Array
    """The predicted probability of the label."""
    prediction: Array
    """The most probable class."""


def centers(size: int, stride: int) -> Array:
    """Every `stride`-th pixel of an axis of `size` pixels, with equal margins."""
    return jnp.arange((size - 1) % stride // 2, size, stride)


def cover(image: Array, side: int, stride: int) -> Array:
    """The image [H, W, C] with a gray square at each position: [rows, columns, H, W, C].

    The square of `side` pixels is centered on every `stride`-th pixel of both axes, and clipped at the image's border.
    """
    rows, columns = (centers(size, stride) for size in image.shape[:2])
    at = jnp.stack(jnp.meshgrid(rows, columns, indexing="ij"), axis=-1)
    uncovered = cut_out_at(jnp.ones((at[..., 0].size, *image.shape[:2], 1), bool), at.reshape(-1, 2), side)
    covered = jnp.where(uncovered, image[None], jnp.asarray(GRAY, image.dtype))
    return covered.reshape(*at.shape[:2], *image.shape)


def sensitivity(probabilities: Callable[[Array], Array], image: Array, label: Array, side: int, stride: int) -> Sensitivity:
    """The predictions while a gray square slides over the image. All positions are one batch.

    Args:
      probabilities: images [N, H, W, C] -> [N, classes].
      image: [H, W, C], pixels in [0, 1].
      label: the image's class.
      side: side of the square, in pixels.
      stride: distance between neighboring positions, in pixels.
    """
    covered = cover(image, side, stride)
    predicted = probabilities(covered.reshape(-1, *image.shape))
    shape = covered.shape[:2]
    return Sensitivity(predicted[:, label].reshape(shape), predicted.argmax(-1).reshape(shape))
