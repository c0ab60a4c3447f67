"""Visual words: each part against plain NumPy, and the whole on drawn pictures."""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxnets import registry
from jaxnets.config import BagOfWordsData
from jaxnets.data import store
from jaxnets.data.store import Dataset
from jaxnets.errors import UserError
from jaxnets.pipeline.visual_words import bow, descriptors, dictionary, pyramid
from jaxnets.runs import summary
from jaxnets.training import engine

# ---------------------------------------------------------------------------------------------------- pyramids


@pytest.mark.parametrize("levels", [1, 2, 3, 4])
def test_weights_sum_to_1_and_double(levels):
    weights = pyramid.weights(levels)
    assert sum(weights) == 1
    assert len(weights) == levels
    assert all(fine == 2 * coarse for coarse, fine in itertools.pairwise(weights[1:]))


def plain_pyramid(numbers, y, x, height, width, words, levels):
    """The histograms of one image, region by region, from the definition."""
    parts = []
    for level, weight in enumerate(pyramid.weights(levels)):
        cut = 2**level
        for row in range(cut):
            for column in range(cut):
                inside = [
                    number
                    for number, at_y, at_x in zip(numbers, y, x, strict=True)
                    if int(at_y * cut / height) == row and int(at_x * cut / width) == column
                ]
                parts.append(weight * np.bincount(inside, minlength=words) / len(numbers))
    return np.concatenate(parts)


@settings(max_examples=5)
@given(levels=st.integers(1, 3), words=st.integers(1, 5), height=st.integers(9, 40), width=st.integers(9, 40))
def test_pyramids_against_numpy(levels, words, height, width):
    rng = np.random.default_rng(height)
    along_y, along_x = descriptors.places(height, 2, 3), descriptors.places(width, 2, 3)
    y, x = (at.ravel() for at in np.meshgrid(along_y, along_x, indexing="ij"))
    numbers = rng.integers(0, words, (2, len(y)))
    where = pyramid.region(along_y, along_x, height, width, levels)

    @jax.jit
    def run(numbers):
        counts = pyramid.count(numbers, jnp.asarray(where), words, levels)
        return counts, pyramid.pyramid(counts, levels)

    counts, ours = (np.asarray(a) for a in run(numbers.astype(np.int32)))
    assert (counts.sum((1, 2)) == len(y)).all()
    assert ours.shape == (2, pyramid.regions(levels) * words)
    for row, image in zip(ours, numbers, strict=True):
        np.testing.assert_allclose(row, plain_pyramid(image, y, x, height, width, words, levels), atol=1e-6)


PYRAMID = jax.jit(lambda counts: pyramid.pyramid(counts, 3))
INTERSECTION = jax.jit(lambda a, b: pyramid.intersection(a, b))


def random_pyramids(seed, number):
    return PYRAMID(np.random.default_rng(seed).integers(0, 9, (number, 16, 7)).astype(np.int32))


@settings(max_examples=15)
@given(st.integers(0, 1000))
def test_intersection(seed):
    a, b = random_pyramids(seed, 4), random_pyramids(seed + 1, 3)
    ours = np.asarray(INTERSECTION(a, b))
    plain = [[np.minimum(one, other).sum() for other in np.asarray(b)] for one in np.asarray(a)]
    np.testing.assert_allclose(ours, plain, rtol=1e-5)
    np.testing.assert_allclose(ours, np.transpose(INTERSECTION(b, a)), rtol=1e-6)
    np.testing.assert_allclose(np.diagonal(INTERSECTION(a, a)), 1, rtol=1e-5)
    assert (ours < 1).all()


def test_images_without_words_in_common_have_nothing_in_common():
    counts = np.zeros((2, 4, 6), int)
    counts[0, :, :3] = counts[1, :, 3:] = 5
    a, b = pyramid.pyramid(jnp.asarray(counts), 2)
    assert float(pyramid.intersection(a[None], b[None])[0, 0]) == 0


# ---------------------------------------------------------------------------------------------------- dictionary


@settings(max_examples=8)
@given(n=st.integers(1, 30), k=st.integers(1, 6), d=st.integers(1, 5))
def test_the_nearest_center_against_numpy(n, k, d):
    rng = np.random.default_rng(n)
    points, centers = (rng.normal(size=size).astype(np.float32) for size in ((n, d), (k, d)))
    plain = ((points[:, None] - centers[None]) ** 2).sum(-1).argmin(1)
    np.testing.assert_array_equal(jax.jit(lambda *a: dictionary.nearest(*a))(points, centers), plain)


def cost(points, centers):
    return ((points[:, None] - np.asarray(centers)[None]) ** 2).sum(-1).min(1).sum()


def test_k_means_finds_what_is_far_apart():
    rng = np.random.default_rng(0)
    true = 20 * np.array([[0, 0], [1, 0], [0, 1], [1, 1], [3, 3]], float)
    points = (true[rng.integers(0, 5, 500)] + rng.normal(size=(500, 2))).astype(np.float32)
    found = dictionary.learn(jax.random.key(0), jnp.asarray(points), 5, 10)
    numbers = np.asarray(dictionary.nearest(jnp.asarray(true), found))
    assert sorted(numbers) == [0, 1, 2, 3, 4]
    np.testing.assert_allclose(np.asarray(found)[numbers], true, atol=0.5)


def test_each_iteration_is_lloyds_and_lowers_the_cost():
    points = np.random.default_rng(1).normal(size=(200, 3)).astype(np.float32)
    learn = lambda iterations: np.asarray(dictionary.learn(jax.random.key(2), jnp.asarray(points), 9, iterations))
    seeds = learn(0)
    # Seeds are points, none twice.
    assert cost(seeds, points) < 1e-6
    assert len(np.unique(seeds, axis=0)) == 9
    for k in range(4):
        before, after = learn(k), learn(k + 1)
        numbers = ((points[:, None] - before[None]) ** 2).sum(-1).argmin(1)
        plain = [points[numbers == word].mean(0) for word in range(9)]
        np.testing.assert_allclose(after, plain, rtol=1e-4, atol=1e-5)
        assert cost(points, after) < cost(points, before)


def test_more_words_than_different_points():
    points = jnp.asarray(np.repeat([[0.0, 0.0], [1.0, 1.0]], 5, axis=0))
    found = dictionary.learn(jax.random.key(0), points, 6, 3)
    assert jnp.isfinite(found).all()
    assert cost(np.asarray(points), found) < 1e-9


# ---------------------------------------------------------------------------------------------------- descriptors


def plain_descriptor(image, y, x, cell):
    """The gradients' part of the descriptor at (y, x), pixel by pixel, from the definition; without limits."""
    gray = image / 255 @ np.array([0.299, 0.587, 0.114])
    padded = np.pad(gray, 1, mode="edge")
    found = np.zeros((4, 4, 8))
    for row in range(gray.shape[0]):
        for column in range(gray.shape[1]):
            dy = (padded[row + 2, column + 1] - padded[row, column + 1]) / 2
            dx = (padded[row + 1, column + 2] - padded[row + 1, column]) / 2
            turn = np.arctan2(dy, dx) / (2 * np.pi) * 8 % 8
            low = int(turn) % 8
            for a in range(4):
                for b in range(4):
                    near_y = max(0, 1 - abs(row + 0.5 - (y + cell * (a - 1.5))) / cell)
                    near_x = max(0, 1 - abs(column + 0.5 - (x + cell * (b - 1.5))) / cell)
                    strength = near_y * near_x * np.hypot(dx, dy) / cell**2
                    found[a, b, low] += strength * (1 - (turn - int(turn)))
                    found[a, b, (low + 1) % 8] += strength * (turn - int(turn))
    return found.ravel()


def test_descriptors_against_numpy():
    image = np.random.default_rng(0).integers(0, 256, (19, 17, 3)).astype(np.uint8)
    along_y, along_x = descriptors.places(19, 4, 2), descriptors.places(17, 4, 2)
    assert along_y.tolist() == [8.5, 10.5]
    assert along_x.tolist() == [8.5]
    ours = np.asarray(descriptors.describe(jnp.asarray(image[None]), 4, 2, 0.5))[0]
    assert ours.shape == (2, descriptors.SIZE)
    for row, y in zip(ours, along_y, strict=True):
        plain = plain_descriptor(image, y, 8.5, 4)
        plain = np.minimum(plain / np.linalg.norm(plain), 0.2)
        np.testing.assert_allclose(row[:-3], plain / np.linalg.norm(plain), atol=2e-5)


@given(st.integers(20, 60), st.integers(1, 5), st.integers(1, 9))
def test_places_lie_inside_and_in_the_middle(side, cell, spacing):
    at = descriptors.places(side, cell, spacing)
    assert (len(at) == 0) == (side < 4 * cell)
    if len(at):
        assert at[0] - 2 * cell >= 0
        assert at[0] + at[-1] == side
        assert side - at[-1] - 2 * cell < spacing / 2 + 0.5


def test_brightness_changes_no_gradient_and_flat_images_have_none():
    image = np.random.default_rng(0).integers(0, 100, (1, 20, 20, 3))
    pair = np.concatenate([image, image + 50, np.full_like(image, 77)]).astype(np.uint8)
    dark, bright, flat = np.asarray(descriptors.describe(jnp.asarray(pair), 4, 2, 1.0))
    np.testing.assert_allclose(dark[:, :-3], bright[:, :-3], atol=1e-4)
    assert (flat[:, :-3] == 0).all()
    np.testing.assert_allclose(flat[:, -3:], 77 / 255, rtol=1e-5)
    np.testing.assert_allclose(bright[:, -3:] - dark[:, -3:], 50 / 255, rtol=1e-4)


# ---------------------------------------------------------------------------------------------------- the whole


def scenes(number, seed):
    """Stripes in four directions, at any place, under noise; colors say nothing."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 4, number).astype(np.int32)
    y, x = np.mgrid[:32, :32]
    across = y * np.sin(labels * np.pi / 4)[:, None, None] + x * np.cos(labels * np.pi / 4)[:, None, None]
    stripes = np.sin(across * 0.9 + rng.uniform(0, 6, (number, 1, 1)))[..., None] * rng.uniform(20, 60, (number, 1, 1, 3))
    images = 128 + stripes + 15 * rng.normal(size=(number, 32, 32, 3))
    return {"image": images.clip(0, 255).astype(np.uint8), "label": labels}


CONFIG = BagOfWordsData(
    "x", dictionary_size=20, levels=2, cell_sizes=(4,), spacing=4, dictionary_samples=600, kmeans_iterations=5
)


@pytest.fixture
def striped(tmp_path, monkeypatch):
    monkeypatch.setenv("JAXNETS_DATA", str(tmp_path))
    splits = {"train": scenes(90, 0), "validation": scenes(20, 1), "test": scenes(41, 2)}
    meta = {"class_names": list("abcd"), **store.image_statistics(splits["train"]["image"])}
    return Dataset("striped", splits, meta)


def test_the_nearest_pyramid_tells_stripes_apart(striped):
    splits = bow.counts(CONFIG, striped)
    for split, fields in striped.splits.items():
        assert splits[split]["counts"].shape == (len(fields["label"]), 4, 20)
        assert (splits[split]["counts"].sum((1, 2)) == 25).all()
    assert bow.nearest_accuracy(splits, "train", 2) == 1
    assert bow.nearest_accuracy(splits, "test", 2) > 0.8


def test_counts_are_kept_and_made_anew_for_other_settings(striped, monkeypatch):
    first = bow.counts(CONFIG, striped)
    monkeypatch.setattr(bow, "_count", lambda config, data: pytest.fail("counted again"))
    again = bow.counts(dataclasses.replace(CONFIG, source="y", batch_size=7), striped)
    assert (first["test"]["counts"] == again["test"]["counts"]).all()
    with pytest.raises(pytest.fail.Exception):
        bow.counts(BagOfWordsData("x", dictionary_size=21), striped)


def test_an_image_does_not_depend_on_its_neighbors(striped):
    whole = bow.counts(CONFIG, striped)["test"]["counts"]
    less = {**striped.splits, "test": {field: array[7:9] for field, array in striped.splits["test"].items()}}
    assert (bow.counts(CONFIG, striped._replace(splits=less))["test"]["counts"] == whole[7:9]).all()


def test_no_room_for_a_descriptor(striped):
    with pytest.raises(UserError, match="descriptors of 36 pixels a side do not fit into the 32×32 of striped"):
        bow.counts(BagOfWordsData("x", cell_sizes=(9, 20)), striped)


def test_a_linear_classifier_on_words_learns_and_counts_only_when_asked(striped, monkeypatch):
    calls = []
    monkeypatch.setattr(bow, "_count", lambda *args, count=bow._count: calls.append(1) or count(*args))
    [listed] = registry.select(["sun/bow"])
    data = dataclasses.replace(CONFIG, batch_size=30)
    experiment = dataclasses.replace(listed, data=data, epochs=10, seeds=2, eval_batch_size=16)
    built = engine.build(experiment, striped)
    assert built.num_parameters == 20 * 5 * 4 + 4
    state = built.init()
    assert not calls
    for epoch in range(experiment.epochs):
        state, _ = built.train(state, built.epoch_indices(state.key, epoch))
    final, details = summary.evaluate(built, state.variables, state)
    assert len(calls) == 1
    assert final["test"]["accuracy"]["mean"] > 0.85
    nearest = bow.nearest_accuracy(bow.counts(data, striped), "test", 2)
    assert final["test"]["nearest_accuracy"]["values"] == [nearest]
    assert np.sum(details["test"]["confusion"]) == 2 * 41
