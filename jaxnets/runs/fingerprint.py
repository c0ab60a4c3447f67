"""What a run remembers of its data, so that it never goes on with other data under the same name."""

import json
import sys
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

import jaxnets
from jaxnets.config import Experiment, to_json, without_description
from jaxnets.data.store import Dataset
from jaxnets.registry import CONFIG_FILE

_PROVENANCE = ("format", "splits", "source", "split_rule", "left_out", "digest", "files")
"""Meta data that tell where a set came from, or repeat what its arrays tell."""


def of(dataset: Dataset) -> dict[str, str]:
    """A checksum of each array ("train.label") and of each fact ("class_names", "mean", "tokens", …), by name."""
    sums = {key: zlib.crc32(json.dumps(value).encode()) for key, value in facts(dataset).items()}
    for split, fields in dataset.splits.items():
        for field, array in fields.items():
            start = zlib.crc32(f"{array.dtype} {array.shape}".encode())
            sums[f"{split}.{field}"] = zlib.crc32(np.ascontiguousarray(array).view(np.uint8).reshape(-1).data, start)
    return {name: f"{total:08x}" for name, total in sums.items()}


def facts(dataset: Dataset) -> dict[str, Any]:
    """The meta data on which nets depend: vocabularies, class names, normalization."""
    return {key: value for key, value in dataset.meta.items() if key not in _PROVENANCE}


def of_process(experiment: Experiment, made_with: Mapping[str, Any], data: Mapping[str, str]) -> dict[str, str]:
    """What all processes that train one run together must have alike, by name: experiment, code, settings, data.

    `made_with` comes from jaxnets.runs.environment.
    """
    devices = {name: made_with["devices"].get(name) for name in ("platform", "kernels")}
    parts = {
        "": json.loads(json.dumps(to_json(without_description(experiment)))),
        "code": {**made_with["versions"], "commit": made_with["commit"], "sources": _sources()},
        "settings": made_with["settings"],
        "device": devices,
        "data set": data,
    }
    return dict(_flat("", parts))


def _flat(path: str, value: Any) -> Iterator[tuple[str, str]]:
    """(dotted path, leaf) of nested mappings."""
    if not isinstance(value, Mapping):
        yield path, str(value)
        return
    for key, item in value.items():
        yield from _flat(f"{path}.{key}".strip("."), item)


def _sources() -> str:
    """A checksum of the package's code and of the config files that are loaded and still there."""
    package = Path(jaxnets.__file__).parent
    configs = [Path(str(module.__file__)) for name, module in sys.modules.items() if name.startswith(CONFIG_FILE)]
    files = sorted(package.rglob("*.py")) + sorted(file for file in configs if file.exists())
    return f"{zlib.crc32(b''.join(file.read_bytes() for file in files)):08x}"


def changes(recorded: Mapping[str, str] | str | None, found: Mapping[str, str], dataset: Dataset) -> list[str]:
    """Which parts of a data set, whose fingerprint is `found`, are not those that a run recorded.

    Runs of jaxnets 0.2.0 recorded one hash of data of the user's own, and nothing of other sets.
    """
    if not isinstance(recorded, Mapping):
        return [] if recorded in (None, dataset.meta.get("digest")) else ["its arrays"]
    return sorted(name for name in recorded.keys() | found.keys() if recorded.get(name) != found.get(name))
