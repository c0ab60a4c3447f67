"""The embedded set: the same every time, balanced, varied, and not for linear classifiers."""

import hashlib

import numpy as np
import pytest

from jaxnets.data import shapes10


def test_sizes_types_and_balance(shapes10):
    for split, examples in (("train", 10_000), ("validation", 2_000), ("test", 2_000)):
        fields = shapes10.splits[split]
        assert fields["image"].shape == (examples, 32, 32, 3)
        assert fields["image"].dtype == np.uint8
        assert (np.bincount(fields["label"]) == examples // 10).all()
    assert len(shapes10.meta["class_names"]) == 10


def test_drawing_is_deterministic():
    first, second = (shapes10.draw(np.random.default_rng(1), 40) for _ in range(2))
    digest = lambda d: hashlib.sha256(d["image"].tobytes() + d["label"].tobytes()).hexdigest()
    assert digest(first) == digest(second)
    assert digest(first) != digest(shapes10.draw(np.random.default_rng(2), 40))


def test_no_image_occurs_twice(shapes10):
    everything = np.concatenate([fields["image"].reshape(-1, 3072) for fields in shapes10.splits.values()])
    assert len({row.tobytes() for row in everything}) == len(everything)


@pytest.mark.parametrize("name", shapes10.CLASS_NAMES)
def test_every_shape_covers_a_fair_part_of_its_frame(name):
    """Neither empty nor full: each outline encloses between a tenth and three quarters of the unit square."""
    y, x = np.mgrid[-1:1:81j, -1:1:81j]
    inside = shapes10._SHAPES[name](x, y) < 0
    assert 0.1 < inside.mean() < 0.75


def test_a_linear_classifier_stays_under_45_percent(shapes10):
    """Ridge regression onto one-hot labels, its penalty chosen in its favour."""
    flat = lambda split: shapes10.splits[split]["image"].reshape(-1, 3072).astype(np.float32) / 255 - 0.5
    train, test = flat("train"), flat("test")
    targets = np.eye(10, dtype=np.float32)[shapes10.splits["train"]["label"]]
    gram, moment = train.T @ train, train.T @ targets
    accuracy = lambda penalty: (
        (test @ np.linalg.solve(gram + penalty * np.eye(3072, dtype=np.float32), moment)).argmax(1)
        == shapes10.splits["test"]["label"]
    ).mean()
    assert 0.1 < max(accuracy(penalty) for penalty in (10, 1000, 30_000)) < 0.45
