"""The pixels that activate a unit: projections by a deconvolutional network (Zeiler and Fergus 2014)."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

Array = jax.Array
Layer = Callable[[Array], Array]
"""Images [N, H, W, C] -> a layer's outputs [N, …, channels]."""


class Strongest(NamedTuple):
    """The images that activate each channel most, the strongest first."""

    images: np.ndarray
    """Their indices, [channels, k]."""
    activations: np.ndarray
    """The largest value in the channel's map, [channels, k]."""


def best_images(layer: Layer, images: Array, k: int, batch: int = 100) -> Strongest:
    """The k of images [N, H, W, C] that activate each channel most, by the largest value in its map."""

    @jax.jit
    def largest(images: Array) -> Array:
        outputs = layer(images)
        return outputs.reshape(len(outputs), -1, outputs.shape[-1]).max(1)

    maxima = np.concatenate([largest(images[start : start + batch]) for start in range(0, len(images), batch)])
    order = np.argsort(-maxima, axis=0, kind="stable")[:k].T
    return Strongest(order, np.take_along_axis(maxima.T, order, axis=1))


@functools.partial(jax.jit, static_argnums=0)
def project(layer: Layer, images: Array, channels: Array) -> Array:
    """Projects each image's strongest activation of its channel back to the pixels: [N, H, W, C].

    `images` are [N, H, W, C], `channels` [N]. All other activations of the layer are set to 0. The projection is the VJP of
    `layer`: a deconvolutional network for layers of jaxnets.models.features.deconvolutional, otherwise the gradient times
    the activation.
    """
    outputs, pullback = jax.vjp(layer, images)
    flat = outputs.reshape(len(images), -1, outputs.shape[-1])
    column = jnp.take_along_axis(flat, channels.reshape(-1, 1, 1), axis=2)
    at_maximum = jnp.arange(flat.shape[1]).reshape(1, -1, 1) == column.argmax(1, keepdims=True)
    of_channel = jnp.arange(flat.shape[2]).reshape(1, 1, -1) == channels.reshape(-1, 1, 1)
    signal = jnp.where(at_maximum & of_channel, flat, 0)
    return pullback(signal.reshape(outputs.shape))[0]


def windows(projections: np.ndarray) -> np.ndarray:
    """Squares (top, left, side) that hold all nonzero pixels of projections [N, H, W, C]: [N, 3].

    All have the side of the largest. Each is centered on its pixels, as far as it fits into the image.
    """
    height, width = projections.shape[1:3]
    nonzero = np.abs(projections).max(-1) > 0
    spans = []
    for axis, size in ((2, height), (1, width)):
        along = nonzero.any(axis)
        some = along.any(1)
        first = np.where(some, along.argmax(1), 0)
        last = np.where(some, size - 1 - along[:, ::-1].argmax(1), size - 1)
        spans.append((first, last))
    side = min(max(int((last - first).max()) + 1 for first, last in spans), height, width)
    starts = [
        np.clip((first + last + 1 - side) // 2, 0, size - side)
        for (first, last), size in zip(spans, (height, width), strict=True)
    ]
    return np.stack([*starts, np.full(len(projections), side)], axis=-1)


def cut(images: np.ndarray, windows: np.ndarray) -> np.ndarray:
    """Cuts windows (top, left, side) [N, 3] out of images [N, H, W, C]: [N, side, side, C]."""
    return np.stack([x[top : top + side, left : left + side] for x, (top, left, side) in zip(images, windows, strict=True)])
