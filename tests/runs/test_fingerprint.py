"""A run knows its data: what it notices, and what is the same to it."""

import numpy as np
import pytest

from jaxnets.data.store import Dataset
from jaxnets.runs import fingerprint

TOKENS = np.arange(12, dtype=np.int32).reshape(3, 4)
META = {"class_names": ["a", "b"], "mean": [0.5], "tokens": ["cat", "dog"], "source": "/here", "format": 2}


def dataset(arrays=None, **meta):
    splits = {"train": {"token": TOKENS, "label": np.zeros(3, np.int32)}, "test": {"token": TOKENS[:1]}}
    return Dataset("pets", {**splits, **(arrays or {})}, {**META, **meta})


@pytest.mark.parametrize(
    ("other", "changed"),
    [
        (dataset(), []),
        (dataset(source="/elsewhere", format=3), []),
        (dataset(tokens=["hop", "fig"]), ["tokens"]),
        (dataset(class_names=["b", "a"], mean=[0.25]), ["class_names", "mean"]),
        (dataset({"test": {"token": TOKENS[1:2]}}), ["test.token"]),
        (dataset({"test": {"token": TOKENS[:1].astype(np.uint32)}}), ["test.token"]),
        (dataset({"test": {"token": TOKENS[:1].reshape(2, 2)}}), ["test.token"]),
        (dataset({"validation": {"token": TOKENS}}), ["validation.token"]),
    ],
)
def test_changes_are_named(other, changed):
    assert fingerprint.changes(fingerprint.of(dataset()), fingerprint.of(other), other) == changed


def test_runs_of_the_version_before_are_compared_by_what_they_recorded():
    own = dataset(digest="abc")
    compare = lambda recorded, data: fingerprint.changes(recorded, fingerprint.of(data), data)
    assert compare("abc", own) == compare(None, own) == compare(None, dataset()) == []
    assert compare("xyz", own) == ["its arrays"]
