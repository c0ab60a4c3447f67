"""What a run remembers of its data, so that it never goes on with other data under the same name."""

import json
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxnets.data.store import Dataset

_PROVENANCE = ("format", "splits", "source", "split_rule", "left_out", "digest", "files")
"""Meta data that tell where a set came from, or repeat what its arrays tell."""


def of(dataset: Dataset) -> dict[str, str]:
    """A checksum of each array ("train.label") and of each fact ("class_names", "mean", "tokens", …), by name."""
    sums = {key: zlib.crc32(json.dumps(value).encode()) for key, value in facts(dataset).items()}
    for split, fields in dataset.splits.items():
        for field, array in fields.items():
            start = zlib.crc32(f"{array.dtype} {array.shape}".encode())
            sums[f"{split}.{field}"] = zlib.crc32(np.ascontiguousarray(array).view(np.uint8).reshape(-1), start)
    return {name: f"{total:08x}" for name, total in sums.items()}


def facts(dataset: Dataset) -> dict[str, Any]:
    """The meta data on which nets depend: vocabularies, class names, normalization."""
    return {key: value for key, value in dataset.meta.items() if key not in _PROVENANCE}


def changes(recorded: Mapping[str, str] | str | None, found: Mapping[str, str], dataset: Dataset) -> list[str]:
    """Which parts of a data set, whose fingerprint is `found`, are not those that a run recorded.

    Runs of jaxnets 0.2.0 recorded one hash of data of the user's own, and nothing of other sets.
    """
    if not isinstance(recorded, Mapping):
        return [] if recorded in (None, dataset.meta.get("digest")) else ["its arrays"]
    return sorted(name for name in recorded.keys() | found.keys() if recorded.get(name) != found.get(name))
