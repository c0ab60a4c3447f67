"""Changes to batches of images, made on the device inside the training step.

Images are [N, H, W, C]. Geometry (crop, flip, cutout) works on any dtype; color works on floats in [0, 1].
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import lax

from jaxnets.config import Augment

Array = jax.Array

# Luma weights of ITU-R BT.601, as PIL and torchvision use for gray versions.
LUMA = (0.299, 0.587, 0.114)


def augment(key: Array, images: Array, config: Augment) -> Array:
    """Applies what `config` asks for to uint8 images; returns floats in [0, 1]."""
    keys = iter(jax.random.split(key, 6))
    if config.crop_padding:
        images = random_crop(next(keys), images, config.crop_padding, config.crop_fill)
    if config.flip:
        images = random_flip(next(keys), images)
    images = to_unit(images)
    for change, strength in (
        (adjust_brightness, config.brightness),
        (adjust_contrast, config.contrast),
        (adjust_saturation, config.saturation),
    ):
        if strength:
            factors = jax.random.uniform(next(keys), (images.shape[0],), minval=1 - strength, maxval=1 + strength)
            images = change(images, factors)
    if config.cutout:
        images = random_cutout(next(keys), images, config.cutout)
    return images


def shrink(images: Array, side: int) -> Array:
    """Means of squares of `side` × `side` pixels, rounded: uint8 [N, H, W, C] -> uint8 [N, H / side, W / side, C]."""
    n, height, width, channels = images.shape
    squares = images.reshape(n, height // side, side, width // side, side, channels).astype(jnp.int32)
    return ((squares.sum((2, 4)) + side**2 // 2) // side**2).astype(images.dtype)


def to_gray(images: Array) -> Array:
    """The luma of uint8 images, rounded: [N, H, W, C] -> [N, H, W, 1]."""
    return jnp.round(gray(images.astype(jnp.float32))).astype(images.dtype)


def to_unit(images: Array) -> Array:
    """uint8 [0, 255] to float32 [0, 1]."""
    return images.astype(jnp.float32) / 255


def normalize(images: Array, mean: Sequence[float], std: Sequence[float]) -> Array:
    """Subtracts `mean` and divides by `std`, one number a channel."""
    if not len(mean) == len(std) == images.shape[-1]:
        raise ValueError(f"{len(mean)} means and {len(std)} deviations for {images.shape[-1]} channels")
    shape = (1, 1, 1, -1)
    return (images - jnp.asarray(mean, images.dtype).reshape(shape)) / jnp.asarray(std, images.dtype).reshape(shape)


def random_crop(key: Array, images: Array, padding: int, fill: str = "black") -> Array:
    """Pads on every side with zeros ("black") or the nearest pixel ("edge"), then cuts out the original size anywhere."""
    offsets = jax.random.randint(key, (images.shape[0], 2), 0, 2 * padding + 1)
    return crop_at(images, offsets, padding, fill)


def crop_at(images: Array, offsets: Array, padding: int, fill: str = "black") -> Array:
    """`random_crop` with the offsets [N, 2] (row, column, each in [0, 2 · padding]) given."""
    sides = ((0, 0), (padding, padding), (padding, padding), (0, 0))
    padded = jnp.pad(images, sides, mode="edge" if fill == "edge" else "constant")
    return jax.vmap(lambda image, at: lax.dynamic_slice(image, (at[0], at[1], 0), images.shape[1:]))(padded, offsets)


def random_flip(key: Array, images: Array) -> Array:
    """Mirrors each image left to right with probability one half."""
    return flip_where(images, jax.random.bernoulli(key, 0.5, (images.shape[0],)))


def flip_where(images: Array, flip: Array) -> Array:
    """Mirrors the images for which `flip` [N] is true."""
    return jnp.where(flip[:, None, None, None], images[:, :, ::-1], images)


def random_cutout(key: Array, images: Array, side: int) -> Array:
    """Blackens a square in each image, centered on any of its pixels (DeVries and Taylor 2017)."""
    keys = jax.random.split(key)
    centers = [jax.random.randint(k, images.shape[:1], 0, size) for k, size in zip(keys, images.shape[1:3], strict=True)]
    return cut_out_at(images, jnp.stack(centers, -1), side)


def cut_out_at(images: Array, centers: Array, side: int) -> Array:
    """`random_cutout` with the centers [N, 2] (row, column) given. What lies outside the image is cut off."""
    inside = lambda size, axis: jnp.abs(2 * (jnp.arange(size)[None] - centers[:, axis, None]) + (side + 1) % 2) < side
    rows, columns = inside(images.shape[1], 0), inside(images.shape[2], 1)
    return jnp.where((rows[:, :, None] & columns[:, None, :])[..., None], jnp.zeros((), images.dtype), images)


def adjust_brightness(images: Array, factors: Array) -> Array:
    """Multiplies each image by its factor, clipped to [0, 1]."""
    return _blend(images, jnp.zeros_like(images), factors)


def adjust_contrast(images: Array, factors: Array) -> Array:
    """Blends each image with its own mean gray: factor 0 gives flat gray, 1 the image itself."""
    return _blend(images, gray(images).mean((1, 2), keepdims=True), factors)


def adjust_saturation(images: Array, factors: Array) -> Array:
    """Blends each image with its gray version: factor 0 gives gray, 1 the image itself."""
    return _blend(images, gray(images), factors)


def _blend(images: Array, others: Array, factors: Array) -> Array:
    factors = factors[:, None, None, None]
    return jnp.clip(factors * images + (1 - factors) * others, 0, 1)


def gray(images: Array) -> Array:
    """Luma [N, H, W, 1]; a one-channel image is its own."""
    if images.shape[-1] == 1:
        return images
    return (images * jnp.asarray(LUMA, images.dtype).reshape(1, 1, 1, 3)).sum(-1, keepdims=True)
