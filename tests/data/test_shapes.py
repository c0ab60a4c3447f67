"""The synthetic set: the same every time, balanced, varied, and not for linear classifiers."""

import hashlib

import numpy as np
import pytest

from jaxnets.data import catalog, shapes


def test_sizes_types_and_balance(shapes10):
    for split, examples in (("train", 10_000), ("validation", 2_000), ("test", 2_000)):
        fields = shapes10.splits[split]
        assert fields["image"].shape == (examples, 32, 32, 3)
        assert fields["image"].dtype == np.uint8
        assert (np.bincount(fields["label"]) == examples // 10).all()
    assert len(shapes10.meta["class_names"]) == 10


def test_drawing_is_deterministic():
    first, second = (shapes.draw(np.random.default_rng(1), 40) for _ in range(2))
    digest = lambda d: hashlib.sha256(d["image"].tobytes() + d["label"].tobytes()).hexdigest()
    assert digest(first) == digest(second)
    assert digest(first) != digest(shapes.draw(np.random.default_rng(2), 40))


def test_no_image_occurs_twice(shapes10):
    everything = np.concatenate([fields["image"].reshape(-1, 3072) for fields in shapes10.splits.values()])
    assert len({row.tobytes() for row in everything}) == len(everything)


@pytest.mark.parametrize("name", shapes.CLASS_NAMES)
def test_every_shape_covers_a_fair_part_of_its_frame(name):
    """Neither empty nor full: each outline encloses between a tenth and three quarters of the unit square."""
    y, x = np.mgrid[-1:1:81j, -1:1:81j]
    inside = shapes._SHAPES[name](x, y) < 0
    assert 0.1 < inside.mean() < 0.75


def test_a_linear_classifier_stays_under_45_percent(shapes10):
    """Ridge regression onto one-hot labels, its penalty chosen in its favor."""
    flat = lambda split: shapes10.splits[split]["image"].reshape(-1, 3072).astype(np.float32) / 255 - 0.5
    train, test = flat("train"), flat("test")
    targets = np.eye(10, dtype=np.float32)[shapes10.splits["train"]["label"]]
    gram, moment = train.T @ train, train.T @ targets
    accuracy = lambda penalty: (
        (test @ np.linalg.solve(gram + penalty * np.eye(3072, dtype=np.float32), moment)).argmax(1)
        == shapes10.splits["test"]["label"]
    ).mean()
    assert 0.1 < max(accuracy(penalty) for penalty in (10, 1000, 30_000)) < 0.45


def test_shapes200_has_every_class_in_equal_numbers_and_doubled_pixels():
    found = catalog.open_dataset("shapes200", "shapes200")
    assert list(found.splits) == ["train", "validation"]
    for split, examples in (("train", 10_000), ("validation", 2_000)):
        images, labels = found.splits[split]["image"], found.splits[split]["label"]
        assert images.shape == (examples, 64, 64, 3)
        assert (np.bincount(labels, minlength=200) == examples // 200).all()
        np.testing.assert_array_equal(images[:50, ::2, ::2], images[:50, 1::2, 1::2])
    assert len(set(found.meta["class_names"])) == 200


def test_hues_lie_evenly_on_the_color_wheel():
    """The hue that colorsys finds in each drawn color is the one asked for, whatever its brightness."""
    import colorsys

    hues = np.arange(20) / 20
    colors = shapes._hue(np.random.default_rng(0), hues)
    np.testing.assert_allclose([colorsys.rgb_to_hsv(*color)[0] % 1 for color in colors], hues, atol=1e-9)
