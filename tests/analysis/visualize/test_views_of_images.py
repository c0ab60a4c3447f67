"""Filters, activation statistics, occlusion and maximization, against loops and NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxnets.analysis.report import image_sheets
from jaxnets.analysis.visualize import activations, filters, maximize, occlusion

W = jax.random.normal(jax.random.key(7), (3, 4))


def layer(images):
    """Something nonlinear with four channels."""
    neighbors = images + 0.5 * jnp.roll(images, 1, 1) - jnp.roll(images, 1, 2)
    return jnp.tanh(neighbors @ W) * 3


def test_filters_keep_zero_gray_and_their_order():
    kernel = np.random.default_rng(0).normal(size=(5, 4, 3, 6)).astype(np.float32)
    kernel[0, 0] = 0
    images = filters.as_images(kernel)
    assert images.shape == (6, 5, 4, 3)
    assert images.min() >= 0
    assert images.max() <= 1
    np.testing.assert_allclose(np.abs(images - 0.5).max(), 0.5)
    np.testing.assert_allclose(images[:, 0, 0], 0.5)
    np.testing.assert_allclose((images[4, 2, 3, 1] - 0.5) * 2 * np.abs(kernel).max(), kernel[2, 3, 1, 4], rtol=1e-6)
    slices = filters.as_slices(kernel)
    assert slices.shape == (6, 3, 5, 4)
    np.testing.assert_allclose(slices[4, 1, 2, 3] * np.abs(kernel).max(), kernel[2, 3, 1, 4], rtol=1e-6)
    np.testing.assert_array_equal(filters.as_images(np.zeros_like(kernel)), np.full((6, 5, 4, 3), 0.5))


def test_mosaic_puts_every_tile_in_its_place():
    tiles = np.random.default_rng(0).uniform(size=(2, 3, 4, 5, 1))
    joined = image_sheets.mosaic(tiles, gap=-1)
    assert joined.shape == (2 * 5 + 1, 3 * 6 + 1, 1)
    for i, j in np.ndindex(2, 3):
        np.testing.assert_array_equal(joined[5 * i + 1 : 5 * i + 5, 6 * j + 1 : 6 * j + 6], tiles[i, j])
    assert (joined == -1).sum() == joined.size - tiles.size


@settings(max_examples=3)
@given(n=st.integers(1, 25), batch=st.integers(1, 12), bins=st.integers(1, 9))
def test_statistics_equal_numpys(n, batch, bins):
    images = jax.random.normal(jax.random.key(n), (n, 3, 5, 3))
    features = lambda images: {"maps": images * 2, "units": images.mean((1, 2)), "dead": jnp.zeros_like(images)}
    found = activations.statistics(features, ("maps", "units", "dead"), images, bins, batch)
    for name, outputs in features(images).items():
        columns = np.asarray(outputs, np.float64).reshape(-1, 3)
        np.testing.assert_allclose(found[name].mean, columns.mean(0), rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(found[name].std, columns.std(0), rtol=1e-4, atol=1e-6)
        assert (found[name].counts.sum(1) == len(columns)).all()
        assert found[name].edges[0] == np.float32(columns.min())
        assert found[name].edges[-1] == np.float32(columns.max())
        for channel in range(3):
            expected, _ = np.histogram(columns[:, channel], found[name].edges)
            # A value beside an edge may fall on its other side in float32.
            moved = np.abs(found[name].counts[channel] - expected).sum() if name != "dead" else 0
            assert moved <= 2


@pytest.mark.parametrize(("side", "stride"), [(1, 1), (3, 2), (4, 3), (7, 1)])
def test_a_map_equals_a_loop_of_single_occlusions(side, stride):
    image = np.asarray(jax.random.uniform(jax.random.key(0), (7, 9, 3)))
    probabilities = lambda images: jax.nn.softmax(layer(images).mean((1, 2)))
    found = occlusion.sensitivity(probabilities, jnp.asarray(image), jnp.asarray(2), side, stride)
    rows, columns = (range((size - 1) % stride // 2, size, stride) for size in image.shape[:2])
    assert found.probability.shape == (len(rows), len(columns))
    before = side // 2
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            covered = image.copy()
            top, left = row - before, column - before
            covered[max(0, top) : top + side, max(0, left) : left + side] = 0.5
            expected = probabilities(covered[None])[0]
            np.testing.assert_allclose(found.probability[i, j], expected[2], rtol=1e-5)
            assert found.prediction[i, j] == expected.argmax()


SHAPE, ASCENT = (6, 6, 3), maximize.Ascent(steps=30)
SCORE = maximize.mean_activation(layer)


def climb(channels, keys, ascent=ASCENT, score=SCORE):
    return jax.device_get(maximize.climb(score, jnp.asarray(channels), keys, SHAPE, ascent))


def test_climbs_end_above_noise_within_bounds():
    keys = jax.random.split(jax.random.key(0), 4)
    found = climb([0, 1, 2, 3], keys, maximize.Ascent(steps=60, decay=0, variation=0, rate=0.2))
    assert found.image.min() >= 0
    assert found.image.max() <= 1
    random = jax.random.uniform(jax.random.key(1), (100, *SHAPE))
    for channel in range(4):
        best = SCORE(random, jnp.full(100, channel)).max()
        assert found.activation[channel] > best
        assert found.activation[channel] > found.start[channel]
        np.testing.assert_allclose(SCORE(found.image, jnp.full(4, channel))[channel], found.activation[channel], rtol=1e-5)


def test_climbs_together_equal_climbs_alone():
    keys = jax.random.split(jax.random.key(0), 4)
    together = climb([0, 0, 2, 3], keys)
    for i, channel in enumerate([0, 0, 2, 3]):
        alone = climb([channel], keys[i : i + 1])
        np.testing.assert_allclose(together.image[i], alone.image[0], atol=1e-5)
        np.testing.assert_allclose(together.activation[i], alone.activation[0], rtol=1e-4)
    assert np.abs(together.image[0] - together.image[1]).max() > 1e-3


def test_penalties_do_what_they_say():
    keys = jax.random.split(jax.random.key(0), 1)
    free = climb([1], keys, ASCENT._replace(decay=0.0, variation=0.0)).image[0]
    pulled = climb([1], keys, ASCENT._replace(decay=3.0, variation=0.0)).image[0]
    smooth = climb([1], keys, ASCENT._replace(decay=0.0, variation=3.0)).image[0]
    assert np.square(pulled - 0.5).mean() < np.square(free - 0.5).mean()
    roughness = lambda image: np.square(np.diff(image, axis=0)).mean() + np.square(np.diff(image, axis=1)).mean()
    assert roughness(smooth) < roughness(free)


def test_a_channel_that_nothing_excites_leaves_finite_images():
    found = climb([0], jax.random.split(jax.random.key(0), 1), score=lambda images, channels: jnp.zeros(len(images)))
    assert np.isfinite(found.image).all()
