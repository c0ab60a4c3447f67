"""Prepared data sets on disk: one .npy file for each field of each split, and meta.json. Training reads nothing else."""

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxnets.errors import UserError

_FORMAT = 2
"""To be raised whenever the content or layout of a set changes, so that sets in the old form are prepared again."""

Splits = Mapping[str, Mapping[str, np.ndarray]]


class Dataset(NamedTuple):
    """A data set ready for training."""

    name: str
    splits: Splits
    """Memory-mapped arrays by split ("train", "validation", "test") and field; equal lengths within a split."""
    meta: Mapping[str, Any]
    """What the arrays do not tell: "class_names", per-channel "mean" and "std" of the training images, …"""

    def examples(self, split: str) -> int:
        """Number of examples in a split; of tokens, for running text."""
        return len(next(iter(self.splits[split].values())))


def describe(dataset: Dataset) -> dict[str, Any]:
    """All but a data set's content, as JSON: name, shapes and types of its arrays, meta data."""
    splits = {
        split: {name: {"dtype": str(array.dtype), "shape": list(array.shape)} for name, array in fields.items()}
        for split, fields in dataset.splits.items()
    }
    return {"name": dataset.name, "splits": splits, "meta": dict(dataset.meta)}


def undescribe(description: Mapping[str, Any]) -> Dataset:
    """The data set that `describe` described, with zeros for its content, which take no memory.

    >>> spec = undescribe({"name": "tiny", "splits": {"train": {"label": {"dtype": "int32", "shape": [5]}}}, "meta": {}})
    >>> spec.examples("train"), spec.splits["train"]["label"].dtype
    (5, dtype('int32'))
    """
    zeros = lambda field: np.broadcast_to(np.zeros((), field["dtype"]), tuple(field["shape"]))
    splits = {
        split: {name: zeros(field) for name, field in fields.items()} for split, fields in description["splits"].items()
    }
    return Dataset(description["name"], splits, description["meta"])


def root() -> Path:
    """The folder of all prepared sets: $JAXNETS_DATA, or ~/.cache/jaxnets/data."""
    return Path(os.environ.get("JAXNETS_DATA") or Path.home() / ".cache" / "jaxnets" / "data")


def is_prepared(name: str) -> bool:
    """Whether the set is in the store, in the form of this version of jaxnets."""
    meta = root() / name / "meta.json"
    try:
        return json.loads(meta.read_text())["format"] == _FORMAT
    except (OSError, ValueError, KeyError):
        return False


def save(name: str, splits: Splits, meta: Mapping[str, Any]) -> Path:
    """Writes a set under a temporary name, then renames it, so that it is complete or absent. Returns its folder.

    Raises UserError if the folder cannot be written.
    """
    target = root() / name
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        building = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=target.parent))
        try:
            for split, fields in splits.items():
                for field, array in fields.items():
                    np.save(building / f"{split}.{field}.npy", array)
            shapes = {split: {field: list(a.shape) for field, a in fields.items()} for split, fields in splits.items()}
            (building / "meta.json").write_text(json.dumps({**meta, "format": _FORMAT, "splits": shapes}, indent=1))
            shutil.rmtree(target, ignore_errors=True)
            building.rename(target)
        finally:
            shutil.rmtree(building, ignore_errors=True)
    except OSError as error:
        raise UserError(
            f"cannot write the data set to {target}: {error.strerror}; set JAXNETS_DATA to another folder"
        ) from error
    return target


def load(name: str) -> Dataset:
    """Opens a prepared set without reading its arrays into memory. Raises UserError if it is missing or damaged."""
    folder = root() / name
    if not is_prepared(name):
        raise UserError(f"data set {name} is not prepared: run `jaxnets data prepare {name}`")
    try:
        meta = json.loads((folder / "meta.json").read_text())
        splits = {
            split: {field: np.load(folder / f"{split}.{field}.npy", mmap_mode="r") for field in fields}
            for split, fields in meta["splits"].items()
        }
        shapes = {split: {field: list(a.shape) for field, a in fields.items()} for split, fields in splits.items()}
        if shapes != meta["splits"]:
            raise ValueError("shapes differ from meta.json")
    except (OSError, ValueError, KeyError) as error:
        raise UserError(
            f"prepared data in {folder} is damaged ({error}): run `jaxnets data prepare {name}` again"
        ) from error
    return Dataset(name, splits, meta)


def image_statistics(images: np.ndarray) -> dict[str, list[float]]:
    """Per-channel mean and standard deviation of uint8 images [N, H, W, C], on the scale [0, 1]."""
    counts = np.stack([np.bincount(images[..., c].ravel(), minlength=256) for c in range(images.shape[-1])])
    levels = np.arange(256) / 255
    weights = counts / counts.sum(1, keepdims=True)
    mean = weights @ levels
    return {"mean": mean.tolist(), "std": np.sqrt(weights @ levels**2 - mean**2).tolist()}
