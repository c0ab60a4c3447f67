"""A run knows its data: what it notices, and what is the same to it."""

import sys
import types

import numpy as np
import pytest

import jaxnets
from jaxnets import registry
from jaxnets.config import with_field
from jaxnets.data.store import Dataset
from jaxnets.registry import CONFIG_FILE
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


def test_processes_with_other_code_versions_or_data_are_told_apart_by_name(monkeypatch, tmp_path):
    def found(code, versions="0.10.2", commit="abc", lr=1e-3, data="1"):
        (tmp_path / "package.py").write_text(code)
        experiment = with_field(registry.all_experiments()["nist36/mlp"], "optim.lr", lr)
        made_with = {"versions": {"jax": versions}, "commit": commit, "settings": {}, "devices": {"platform": "cpu"}}
        return fingerprint.of_process(experiment, made_with, {"train.label": data})

    monkeypatch.setattr(jaxnets, "__file__", str(tmp_path / "__init__.py"))
    removed = types.SimpleNamespace(__file__=str(tmp_path / "removed.py"))
    monkeypatch.setitem(sys.modules, f"{CONFIG_FILE}removed", removed)
    one = found("x = 1\n")
    assert one == found("x = 1\n")
    for other, name in (
        (found("x = 2\n"), "code.sources"),
        (found("x = 1\n", versions="0.10.3"), "code.jax"),
        (found("x = 1\n", commit="abd"), "code.commit"),
        (found("x = 1\n", lr=2e-3), "optim.lr"),
        (found("x = 1\n", data="2"), "data set.train.label"),
    ):
        assert [key for key in one if one[key] != other[key]] == [name]
