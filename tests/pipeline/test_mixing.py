"""Mixup and CutMix against plain NumPy, pixel by pixel; the loss of mixed labels."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnets.config import Augment, ImageData, Loss
from jaxnets.pipeline import images, mixing
from jaxnets.tasks import classification

RNG = np.random.default_rng(0)
IMAGES = RNG.random((5, 8, 10, 3)).astype(np.float32)
ARRAYS = {"image": jnp.asarray(RNG.integers(0, 256, (12, 8, 8, 3)), jnp.uint8), "label": jnp.arange(12) % 4}
PLAIN = images.Normalization((0.5,) * 3, (0.25,) * 3)


def test_blend():
    mixed, share = mixing.blend(jnp.asarray(IMAGES), jnp.asarray(0.3))
    for i in range(5):
        np.testing.assert_allclose(mixed[i], 0.3 * IMAGES[i] + 0.7 * IMAGES[4 - i], rtol=1e-5)
    np.testing.assert_allclose(share, 0.3)


@pytest.mark.parametrize(("row", "column", "share"), [(0.5, 0.5, 0.6), (0.0, 0.99, 0.2), (0.3, 0.7, 1.0), (0.5, 0.5, 0.0)])
def test_paste(row, column, share):
    """As in the authors' code: half sides are rounded down, the rectangle is cut off at the border, the share is exact."""
    height, width = (int(size * math.sqrt(1 - share)) for size in (8, 10))
    center_row, center_column = int(8 * row), int(10 * column)
    top, bottom = (min(max(center_row + sign * (height // 2), 0), 8) for sign in (-1, 1))
    left, right = (min(max(center_column + sign * (width // 2), 0), 10) for sign in (-1, 1))
    expected = IMAGES.copy()
    expected[:, top:bottom, left:right] = IMAGES[::-1, top:bottom, left:right]
    mixed, own = mixing.paste(jnp.asarray(IMAGES), jnp.asarray([row, column]), jnp.asarray(share))
    np.testing.assert_array_equal(mixed, expected)
    np.testing.assert_allclose(own, 1 - (bottom - top) * (right - left) / 80, rtol=1e-6)


def test_shares_are_drawn_from_the_beta_distribution():
    """Its variance is 1 / (4 (2 a + 1)); both ways to mix are taken equally often."""
    keys = jax.random.split(jax.random.key(0), 2000)
    tiny = jnp.stack([jnp.zeros((1, 1, 1)), jnp.ones((1, 1, 1))])
    shares = np.asarray(jax.vmap(lambda key: mixing.mix(key, tiny, 0.4, 0.0)[1][0])(keys))
    assert shares.mean() == pytest.approx(0.5, abs=0.03)
    assert shares.var() == pytest.approx(1 / (4 * 1.8), rel=0.1)
    # A pixel cannot be cut: CutMix leaves the share at 1. Mixup's is never nearly that, at a large parameter.
    either = np.asarray(jax.vmap(lambda key: mixing.mix(key, tiny, 50.0, 1.0)[1][0])(keys))
    assert (either == 1).mean() == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("augment", [Augment(mixup=1.0), Augment(cutmix=1.0)])
def test_batches_have_both_labels_in_training_alone(augment):
    gather = images.image_batches(ImageData("x", augment=augment), PLAIN)
    batch = gather(ARRAYS, jnp.arange(6), jax.random.key(1))
    plain = images.image_batches(ImageData("x"), PLAIN)(ARRAYS, jnp.arange(6), jax.random.key(1))
    np.testing.assert_array_equal(batch["label"], plain["label"])
    np.testing.assert_array_equal(batch["mix_label"], plain["label"][::-1])
    # The two images of a pair are mixed with opposite shares.
    np.testing.assert_allclose(batch["image"] + batch["image"][::-1], plain["image"] + plain["image"][::-1], atol=1e-5)
    assert not np.allclose(batch["image"], plain["image"])
    assert set(gather(ARRAYS, jnp.arange(6), None)) == {"image", "label"}


def test_the_loss_and_accuracy_of_mixed_labels():
    logits = RNG.normal(size=(6, 4)).astype(np.float32)
    labels, others, share = np.array([0, 1, 2, 3, 0, 1]), np.array([1, 0, 3, 2, 1, 0]), np.full(6, 0.7, np.float32)
    mask = np.array([1, 1, 1, 1, 1, 0], np.float32)
    batch = jax.tree.map(jnp.asarray, {"label": labels, "mask": mask, "mix_label": others, "mix_share": share})
    measured = classification.objective("image").train_metrics(jnp.asarray(logits), batch)
    log_probabilities = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    by_label = lambda labels: -log_probabilities[np.arange(6), labels]
    correct = lambda labels: (logits.argmax(1) == labels).astype(float)
    mean = lambda of: (0.7 * of(labels) + 0.3 * of(others)) @ mask / 5
    np.testing.assert_allclose(measured["loss"].value, mean(by_label), rtol=1e-5)
    np.testing.assert_allclose(measured["accuracy"].value, mean(correct), rtol=1e-5)
    smoothed = classification.objective("image", loss=Loss(label_smoothing=0.2)).train_metrics(jnp.asarray(logits), batch)
    spread = -log_probabilities.mean(1) @ mask / 5
    np.testing.assert_allclose(smoothed["loss"].value, 0.8 * mean(by_label) + 0.2 * spread, rtol=1e-5)
