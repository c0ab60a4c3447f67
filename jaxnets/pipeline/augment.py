"""Augmentation of batches of images, on the device inside the training step.

Images are [N, H, W, C]. Geometric changes (crop, flip, cutout) take any dtype, color changes floats in [0, 1]. Each random
change has a deterministic twin that takes the drawn values.
"""

from collections.abc import Sequence
from enum import IntEnum

import jax
import jax.numpy as jnp
from jax import lax

from jaxnets import registry
from jaxnets.config import Augment
from jaxnets.errors import UserError

Array = jax.Array

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in a gray version (ITU-R BT.601), as in PIL and torchvision."""


class Extra(IntEnum):
    """Randomness that was added later: fold_in of the key leaves what is drawn for the other changes as it was."""

    FUNCTION = 7
    MIX = 8


def augment(key: Array, images: Array, config: Augment, mirrored: Array | None = None) -> Array:
    """Augments each image with random values of its own.

    >>> import jax, jax.numpy as jnp
    >>> from jaxnets.config import Augment
    >>> run = lambda key, images: augment(key, images, Augment(crop_padding=4, flip=True, brightness=0.1))
    >>> augmented = jax.eval_shape(run, jax.random.key(0), jnp.zeros((8, 32, 32, 3), jnp.uint8))
    >>> augmented.shape, str(augmented.dtype)
    ((8, 32, 32, 3), 'float32')

    Args:
      key: a PRNG key.
      images: uint8 [N, H, W, C].
      config: which changes to make, in the order of its fields; all but the mixing of examples.
      mirrored: which images to mirror, bool [N], where that is not left to chance.

    Returns:
      float32 [N, H, W, C] in [0, 1].

    Raises:
      UserError: a function of the config's own that cannot be imported, or gives images of another shape.
    """
    keys = iter(jax.random.split(key, 6))
    if config.crop_padding:
        images = random_crop(next(keys), images, config.crop_padding, config.crop_fill)
    if config.flip:
        flip_key = next(keys)
        images = random_flip(flip_key, images) if mirrored is None else flip_where(images, mirrored)
    images = to_unit(images)
    for adjust, strength in (
        (adjust_brightness, config.brightness),
        (adjust_contrast, config.contrast),
        (adjust_saturation, config.saturation),
    ):
        if strength:
            factors = jax.random.uniform(next(keys), (images.shape[0],), minval=1 - strength, maxval=1 + strength)
            images = adjust(images, factors)
    if config.cutout:
        images = random_cutout(next(keys), images, config.cutout)
    if config.function:
        images = _own(jax.random.fold_in(key, Extra.FUNCTION), images, config.function)
    return images


def _own(key: Array, images: Array, name: str) -> Array:
    changed = registry.resolve(name)(key, images)
    if jnp.shape(changed) != images.shape:
        raise UserError(
            f"data.augment.function: {name} must give images {list(images.shape)}, not {list(jnp.shape(changed))}"
        )
    return changed


def shrink(images: Array, side: int) -> Array:
    """Downsamples to the rounded means of blocks of `side` × `side` pixels.

    >>> import jax.numpy as jnp
    >>> shrink(jnp.asarray([[0, 1], [1, 4]], jnp.uint8).reshape(1, 2, 2, 1), 2)[0, ..., 0].tolist()  # 6 / 4, rounded.
    [[2]]

    Args:
      images: uint8 [N, H, W, C].
      side: of the blocks; it must divide H and W.

    Returns:
      uint8 [N, H / side, W / side, C].

    Raises:
      TypeError: `side` does not divide H and W.
    """
    n, height, width, channels = images.shape
    blocks = images.reshape(n, height // side, side, width // side, side, channels).astype(jnp.int32)
    return ((blocks.sum((2, 4)) + side**2 // 2) // side**2).astype(images.dtype)


def to_gray(images: Array) -> Array:
    """Gray versions of uint8 images, rounded: [N, H, W, C] -> uint8 [N, H, W, 1].

    >>> import jax.numpy as jnp
    >>> to_gray(jnp.asarray([255, 0, 0], jnp.uint8).reshape(1, 1, 1, 3)).tolist()  # 0.299 · 255, rounded.
    [[[[76]]]]
    """
    return jnp.round(gray(images.astype(jnp.float32))).astype(images.dtype)


def to_unit(images: Array) -> Array:
    """Scales uint8 in [0, 255] to float32 in [0, 1], of any shape.

    >>> import jax.numpy as jnp
    >>> to_unit(jnp.asarray([0, 255], jnp.uint8)).tolist()
    [0.0, 1.0]
    """
    return images.astype(jnp.float32) / 255


def normalize(images: Array, mean: Sequence[float], std: Sequence[float]) -> Array:
    """Normalizes channels: (images - mean) / std.

    >>> import jax.numpy as jnp
    >>> normalize(jnp.ones((1, 1, 1, 3)), (0.5, 0.5, 1.0), (0.5, 0.25, 1.0)).tolist()
    [[[[1.0, 2.0, 0.0]]]]

    Args:
      images: floats [N, H, W, C].
      mean: C numbers.
      std: C numbers.

    Returns:
      [N, H, W, C], of the dtype of `images`.

    Raises:
      ValueError: `mean` or `std` does not have C numbers.
    """
    if not len(mean) == len(std) == images.shape[-1]:
        raise ValueError(f"{len(mean)} means and {len(std)} deviations for {images.shape[-1]} channels")
    shape = (1, 1, 1, -1)
    return (images - jnp.asarray(mean, images.dtype).reshape(shape)) / jnp.asarray(std, images.dtype).reshape(shape)


def random_crop(key: Array, images: Array, padding: int, fill: str = "black") -> Array:
    """Pads each image and crops it to its original size at a random position.

    >>> import jax, jax.numpy as jnp
    >>> crop = lambda key, images: random_crop(key, images, padding=4, fill="edge")
    >>> jax.eval_shape(crop, jax.random.key(0), jnp.zeros((8, 32, 32, 3))).shape
    (8, 32, 32, 3)

    Args:
      key: a PRNG key.
      images: [N, H, W, C].
      padding: pixels added on every side.
      fill: what they are: zeros ("black"), copies of the nearest pixel ("edge"), or the image mirrored at its outermost
        pixels ("reflect").

    Returns:
      [N, H, W, C], of the dtype of `images`.
    """
    offsets = jax.random.randint(key, (images.shape[0], 2), 0, 2 * padding + 1)
    return crop_at(images, offsets, padding, fill)


def crop_at(images: Array, offsets: Array, padding: int, fill: str = "black") -> Array:
    """`random_crop` at given positions.

    >>> import jax.numpy as jnp
    >>> images = jnp.asarray([[1, 2], [3, 4]]).reshape(1, 2, 2, 1)
    >>> crop_at(images, jnp.asarray([[0, 2]]), padding=1)[0, ..., 0].tolist()
    [[0, 0], [2, 0]]

    Args:
      images: [N, H, W, C].
      offsets: the first row and column of each crop in the padded image, int [N, 2] in [0, 2 · padding].
      padding: pixels added on every side.
      fill: as in `random_crop`.

    Returns:
      [N, H, W, C], of the dtype of `images`.
    """
    sides = ((0, 0), (padding, padding), (padding, padding), (0, 0))
    padded = jnp.pad(images, sides, mode="constant" if fill == "black" else fill)
    return jax.vmap(lambda image, offset: lax.dynamic_slice(image, (*offset, 0), images.shape[1:]))(padded, offsets)


def random_flip(key: Array, images: Array) -> Array:
    """Mirrors each image [N, H, W, C] left to right with probability one half.

    >>> import jax, jax.numpy as jnp
    >>> flipped = random_flip(jax.random.key(0), jnp.tile(jnp.asarray([0, 1]).reshape(1, 1, 2, 1), (100, 1, 1, 1)))
    >>> 30 < int(flipped[:, 0, 0, 0].sum()) < 70
    True
    """
    return flip_where(images, jax.random.bernoulli(key, 0.5, (images.shape[0],)))


def flip_where(images: Array, flip: Array) -> Array:
    """Mirrors the images [N, H, W, C] for which `flip`, bool [N], is true left to right.

    >>> import jax.numpy as jnp
    >>> images = jnp.asarray([[1, 2], [3, 4]]).reshape(2, 1, 2, 1)
    >>> flip_where(images, jnp.asarray([True, False])).reshape(2, 2).tolist()
    [[2, 1], [3, 4]]
    """
    return jnp.where(flip[:, None, None, None], images[:, :, ::-1], images)


def random_cutout(key: Array, images: Array, side: int) -> Array:
    """Sets a square around a random pixel of each image to 0. At the border part of the square lies outside.

    >>> import jax, jax.numpy as jnp
    >>> random_cutout(jax.random.key(0), jnp.ones((4, 8, 8, 3)), side=1).sum((1, 2, 3)).tolist()  # 3 · 63
    [189.0, 189.0, 189.0, 189.0]

    Args:
      key: a PRNG key.
      images: [N, H, W, C].
      side: of the square.

    Returns:
      [N, H, W, C], of the dtype of `images`.

    References:
      DeVries, T. and Taylor, G. W. (2017), Improved regularization of convolutional neural networks with cutout.
    """
    keys = jax.random.split(key)
    centers = [jax.random.randint(k, images.shape[:1], 0, size) for k, size in zip(keys, images.shape[1:3], strict=True)]
    return cut_out_at(images, jnp.stack(centers, -1), side)


def cut_out_at(images: Array, centers: Array, side: int) -> Array:
    """`random_cutout` around given pixels.

    >>> import jax.numpy as jnp
    >>> cut_out_at(jnp.ones((1, 3, 3, 1)), jnp.asarray([[0, 2]]), side=3)[0, ..., 0].tolist()
    [[1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [1.0, 1.0, 1.0]]

    Args:
      images: [N, H, W, C].
      centers: row and column of each center, int [N, 2]. A square of even side reaches one pixel further up and to the left.
      side: of the square.

    Returns:
      [N, H, W, C], of the dtype of `images`.
    """
    is_inside = lambda size, axis: jnp.abs(2 * (jnp.arange(size)[None] - centers[:, axis, None]) + (side + 1) % 2) < side
    rows, columns = is_inside(images.shape[1], 0), is_inside(images.shape[2], 1)
    return jnp.where((rows[:, :, None] & columns[:, None, :])[..., None], jnp.zeros((), images.dtype), images)


def adjust_brightness(images: Array, factors: Array) -> Array:
    """Multiplies each image by its factor: images in [0, 1] [N, H, W, C], factors [N] -> [N, H, W, C], clipped to [0, 1].

    >>> import jax.numpy as jnp
    >>> adjust_brightness(jnp.full((2, 1, 1, 1), 0.5), jnp.asarray([0.5, 3.0])).ravel().tolist()
    [0.25, 1.0]
    """
    return _blend(images, jnp.zeros_like(images), factors)


def adjust_contrast(images: Array, factors: Array) -> Array:
    """Blends each image with its mean gray: factor · image + (1 - factor) · mean, clipped to [0, 1].

    Images in [0, 1] [N, H, W, C] and factors [N] give [N, H, W, C]. Factor 0 gives flat gray, 1 the image itself.

    >>> import jax.numpy as jnp
    >>> adjust_contrast(jnp.asarray([0.25, 0.75]).reshape(1, 1, 2, 1), jnp.asarray([2.0])).ravel().tolist()
    [0.0, 1.0]
    """
    return _blend(images, gray(images).mean((1, 2), keepdims=True), factors)


def adjust_saturation(images: Array, factors: Array) -> Array:
    """Blends each image with its gray version: factor · image + (1 - factor) · gray, clipped to [0, 1].

    Images in [0, 1] [N, H, W, C] and factors [N] give [N, H, W, C]. Factor 0 gives gray, 1 the image itself.

    >>> import jax.numpy as jnp
    >>> red = jnp.asarray([1.0, 0.0, 0.0]).reshape(1, 1, 1, 3)
    >>> [round(pixel, 3) for pixel in adjust_saturation(red, jnp.asarray([0.0])).ravel().tolist()]
    [0.299, 0.299, 0.299]
    """
    return _blend(images, gray(images), factors)


def _blend(images: Array, others: Array, factors: Array) -> Array:
    factors = factors[:, None, None, None]
    return jnp.clip(factors * images + (1 - factors) * others, 0, 1)


def gray(images: Array) -> Array:
    """Gray versions of images, by the weights LUMA: floats [N, H, W, 3] -> [N, H, W, 1]; one channel stays as it is.

    >>> import jax.numpy as jnp
    >>> gray(jnp.ones((2, 4, 4, 3))).shape
    (2, 4, 4, 1)
    """
    if images.shape[-1] == 1:
        return images
    return (images * jnp.asarray(LUMA, images.dtype).reshape(1, 1, 1, 3)).sum(-1, keepdims=True)
