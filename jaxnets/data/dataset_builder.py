"""The facts about a data set, stated once in the set's own file, and the arrays of zeros that follow from them."""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxnets.data.builders import Builder
from jaxnets.data.progress import Report
from jaxnets.data.store import Dataset, Prepared, digest


class Field(NamedTuple):
    """One array of a split."""

    dtype: Any
    shape: tuple[int, ...] = ()
    """Of one example, without the axis of the examples."""


class Contents(NamedTuple):
    """What a prepared set holds."""

    fields: Mapping[str, Field]
    """By name, the same in every split."""
    meta: Mapping[str, Any]
    """As in `Dataset.meta`, with placeholders, in the right number, for what only the data tell, such as words."""


@dataclasses.dataclass(frozen=True)
class DatasetBuilder:
    """A data set that can be prepared, and what is known of it before it is."""

    name: str
    description: str
    """One line, with its source."""
    prepare: Callable[[Path | None, Report], Prepared]
    """Makes the arrays, from a folder of files fetched by hand or without one; `catalog.prepare` checks and stores them."""
    sizes: Mapping[str, int]
    """Examples by split; tokens, for running text."""
    contents: Contents
    source: type[Builder] | None = None
    """Fetches and reads the publisher's files. None for a synthetic set, which our own code makes when it is first used."""
    files: str = ""
    """What a manual directory must hold."""
    published: str = ""
    """`content_hash` of what is made of the publisher's files, or the hash "files" of these where that may depend on the
    machine, as pixels of a decoded JPEG do; empty where the publisher's files are not known."""
    license: str = ""
    """Under which the publishers give it away; empty where they state none."""

    @property
    def synthetic(self) -> bool:
        """Whether our own code makes the set, so that there is nothing to fetch."""
        return self.source is None

    @property
    def download_bytes(self) -> int:
        """Size of the download; 0 for a set that is not published for download."""
        return sum(int(info.size) for info in self.source.downloads.values()) if self.source else 0

    def element_spec(self) -> Dataset:
        """A data set of zeros that takes no memory, with the true shapes, types, numbers of examples and meta data."""
        splits = {
            split: {
                name: np.broadcast_to(np.zeros((), field.dtype), (examples, *field.shape))
                for name, field in self.contents.fields.items()
            }
            for split, examples in self.sizes.items()
        }
        return Dataset(self.name, splits, self.contents.meta)

    def fault(self, dataset: Dataset) -> str:
        """How a data set differs in form or size from what is stated here; empty if it does not.

        It may be smaller by the files that "left_out" of its meta data names; a synthetic one may have any size.
        """
        found = {split: dataset.examples(split) for split in dataset.splits}
        missing = {split: size - found.get(split, 0) for split, size in self.sizes.items()}
        left_out = len(dataset.meta.get("left_out", ()))
        wrong = set(found) != set(self.sizes) or min(missing.values()) < 0 or sum(missing.values()) > left_out
        if wrong and not self.synthetic:
            counts = (f"{found.get(split, 0):,} of {size:,} {split}" for split, size in self.sizes.items())
            return f"{', '.join(counts)} examples"
        fields = {name: Field(np.dtype(dtype), shape) for name, (dtype, shape) in self.contents.fields.items()}
        for split, arrays in dataset.splits.items():
            if fields != {name: Field(array.dtype, array.shape[1:]) for name, array in arrays.items()}:
                return f"the fields of {split} have other names, types or shapes"
        for key, stated in self.contents.meta.items():
            value = dataset.meta.get(key)
            if not isinstance(value, str | Sequence) or len(value) != len(stated):
                return f"{key} has another length"
            if not (key in ("mean", "std") or "" in stated or list(value) == list(stated)):
                return f"{key} differs"
        return ""


def content_hash(content: Prepared) -> str:
    """A hash of arrays, vocabularies and class names."""
    kinds = ("tokens", "class_names", "categories")
    names = {key: list(value) for key, value in content.meta.items() if key.endswith(kinds)}
    return hashlib.sha256(f"{digest(content.splits)} {json.dumps(names, sort_keys=True)}".encode()).hexdigest()[:16]


def labeled_images(class_names: Sequence[str], shape: tuple[int, int, int]) -> Contents:
    """Contents of a set of uint8 images [H, W, C] in classes. Mean and standard deviation are placeholders."""
    fields = {"image": Field(np.uint8, shape), "label": Field(np.int32)}
    return Contents(fields, {"class_names": tuple(class_names), "mean": [0.5] * shape[-1], "std": [0.5] * shape[-1]})


def unknown_tokens(vocab_size: int) -> tuple[str, ...]:
    """Placeholders for a vocabulary that only the data tell."""
    return ("",) * vocab_size
