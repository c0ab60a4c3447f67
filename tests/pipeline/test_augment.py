"""Augmentations against plain NumPy, image by image."""

import sys
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxnets.config import Augment
from jaxnets.errors import UserError
from jaxnets.pipeline import augment

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (6, 9, 11, 3)).astype(np.uint8)
UNIT = IMAGES.astype(np.float32) / 255
FACTORS = np.array([0.0, 0.5, 0.9, 1.0, 1.3, 2.0], np.float32)


def gray(image):
    return image @ np.array([0.299, 0.587, 0.114], np.float32)


@settings(max_examples=15)
@given(padding=st.integers(1, 5), seed=st.integers(0, 2**31))
def test_crop(padding, seed):
    offsets = np.random.default_rng(seed).integers(0, 2 * padding + 1, (len(IMAGES), 2))
    actual = augment.crop_at(jnp.asarray(IMAGES), jnp.asarray(offsets), padding)
    for image, (top, left), cropped in zip(IMAGES, offsets, actual, strict=True):
        padded = np.pad(image, ((padding, padding), (padding, padding), (0, 0)))
        np.testing.assert_array_equal(cropped, padded[top : top + 9, left : left + 11])


def test_random_crop_uses_every_offset():
    corner = np.zeros((600, 3, 3, 1), np.uint8)
    corner[:, 1, 1] = 1
    actual = np.asarray(augment.random_crop(jax.random.key(0), jnp.asarray(corner), 1)).sum(0)[..., 0]
    assert (actual > 600 / 9 / 2).all()


@pytest.mark.parametrize("fill", ["edge", "reflect"])
def test_crop_filled_from_the_image(fill):
    images = jnp.asarray(np.random.default_rng(0).integers(0, 255, (2, 5, 6, 1)), jnp.uint8)
    actual = augment.crop_at(images, jnp.asarray([[0, 4], [3, 1]]), 2, fill)
    padded = np.pad(images, ((0, 0), (2, 2), (2, 2), (0, 0)), mode=fill)
    np.testing.assert_array_equal(actual[0], padded[0, 0:5, 4:10])
    np.testing.assert_array_equal(actual[1], padded[1, 3:8, 1:7])


def test_flip():
    flip = np.array([True, False, True, False, False, True])
    actual = augment.flip_where(jnp.asarray(IMAGES), jnp.asarray(flip))
    for image, flipped, out in zip(IMAGES, flip, actual, strict=True):
        np.testing.assert_array_equal(out, image[:, ::-1] if flipped else image)
    share = (
        augment.random_flip(jax.random.key(0), jnp.tile(jnp.arange(2.0).reshape(1, 1, 2, 1), (2000, 1, 1, 1)))[:, 0, 0]
    ).mean()
    assert 0.45 < share < 0.55


@pytest.mark.parametrize(
    ("adjust", "reference"),
    [
        (augment.adjust_brightness, lambda image, f: image * f),
        (augment.adjust_contrast, lambda image, f: f * image + (1 - f) * gray(image).mean()),
        (augment.adjust_saturation, lambda image, f: f * image + (1 - f) * gray(image)[..., None]),
    ],
)
def test_color(adjust, reference):
    actual = adjust(jnp.asarray(UNIT), jnp.asarray(FACTORS))
    for image, factor, out in zip(UNIT, FACTORS, actual, strict=True):
        np.testing.assert_allclose(out, np.clip(reference(image, factor), 0, 1), atol=1e-6)


def test_gray_images_have_no_saturation_to_change():
    one = jnp.asarray(UNIT[..., :1])
    np.testing.assert_allclose(augment.adjust_saturation(one, jnp.asarray(FACTORS)), one, atol=1e-6)


def test_normalize():
    actual = augment.normalize(jnp.asarray(UNIT), (0.1, 0.2, 0.3), (0.5, 2.0, 1.0))
    expected = (UNIT - np.array([0.1, 0.2, 0.3], np.float32)) / np.array([0.5, 2.0, 1.0], np.float32)
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)


def test_an_empty_config_changes_nothing():
    np.testing.assert_allclose(augment.augment(jax.random.key(0), jnp.asarray(IMAGES), Augment()), UNIT, rtol=1e-6)


def test_everything_at_once_stays_in_range_and_depends_on_the_key():
    config = Augment(crop_padding=2, flip=True, brightness=0.4, contrast=0.4, saturation=0.4)
    first, second = (augment.augment(jax.random.key(i), jnp.asarray(IMAGES), config) for i in range(2))
    assert first.shape == IMAGES.shape
    assert first.min() >= 0
    assert first.max() <= 1
    assert not jnp.array_equal(first, second)


@settings(max_examples=15)
@given(side=st.integers(1, 8), seed=st.integers(0, 2**31))
def test_cutout(side, seed):
    rng = np.random.default_rng(seed)
    centers = np.stack([rng.integers(0, size, len(IMAGES)) for size in IMAGES.shape[1:3]], -1)
    actual = augment.cut_out_at(jnp.asarray(IMAGES), jnp.asarray(centers), side)
    for image, center, out in zip(IMAGES, centers, actual, strict=True):
        expected = image.copy()
        # An even square has no middle pixel: it reaches one further up and to the left.
        low = np.maximum(center - side // 2, 0)
        expected[low[0] : center[0] - side // 2 + side, low[1] : center[1] - side // 2 + side] = 0
        np.testing.assert_array_equal(out, expected)


def test_random_cutout_reaches_every_corner():
    actual = augment.random_cutout(jax.random.key(0), jnp.ones((500, 6, 5, 1)), 3)[..., 0]
    assert (actual.min(0) == 0).all()
    assert (actual.sum((1, 2)) >= 30 - 9).all()


@pytest.mark.parametrize("side", [2, 3])
def test_shrink_takes_rounded_means(side):
    images = RNG.integers(0, 256, (4, 6 * side, 5 * side, 3)).astype(np.uint8)
    means = images.reshape(4, 6, side, 5, side, 3).astype(float).mean((2, 4))
    actual = augment.shrink(jnp.asarray(images), side)
    assert actual.dtype == jnp.uint8
    np.testing.assert_array_equal(actual, np.floor(means + 0.5))


def test_gray_versions_are_those_of_pillow():
    from PIL import Image

    actual = augment.to_gray(jnp.asarray(IMAGES))
    assert actual.shape == (*IMAGES.shape[:3], 1)
    for image, out in zip(IMAGES, actual, strict=True):
        expected = np.asarray(Image.fromarray(image).convert("L"))
        assert np.abs(expected.astype(int) - np.asarray(out)[..., 0]).max() <= 1


def darken(key, images):
    return images * jax.random.uniform(key)


def cropped(key, images):
    return images[:, 1:]


def test_a_function_of_a_config_file_is_an_augmentation(monkeypatch):
    monkeypatch.setitem(sys.modules, darken.__module__, SimpleNamespace(darken=darken, cropped=cropped))
    flip, own = Augment(flip=True), Augment(flip=True, function=darken)
    assert own.function == f"{darken.__module__}:darken"
    with_own, without = (augment.augment(jax.random.key(2), jnp.asarray(IMAGES), config) for config in (own, flip))
    factor = jax.random.uniform(jax.random.fold_in(jax.random.key(2), augment.Extra.FUNCTION))
    np.testing.assert_allclose(with_own, factor * without, rtol=1e-5)  # The flips are those without it.
    with pytest.raises(UserError, match=r"must give images \[6, 9, 11, 3\], not \[6, 8, 11, 3\]"):
        augment.augment(jax.random.key(2), jnp.asarray(IMAGES), Augment(function=cropped))
