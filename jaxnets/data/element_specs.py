"""Shapes and names of sets that are not there yet, so that nets can be described without their data.

The arrays are zeros that take no memory.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxnets.data import imdb, names
from jaxnets.data.store import Dataset

SPLITS = ("train", "validation", "test")


def _zeros(dtype: Any, *shape: int) -> np.ndarray:
    return np.broadcast_to(np.zeros((), dtype), shape)


def _splits(sizes: Sequence[int], fields: Mapping[str, tuple[Any, tuple[int, ...]]]) -> dict[str, dict[str, np.ndarray]]:
    return {
        split: {field: _zeros(dtype, examples, *shape) for field, (dtype, shape) in fields.items()}
        for split, examples in zip(SPLITS, sizes, strict=False)
    }


def images(name: str, class_names: Sequence[str], sizes: Sequence[int], shape: tuple[int, ...]) -> Dataset:
    """Labeled images; `sizes` are those of the training, validation and, where there is one, test split."""
    channels = shape[-1]
    meta = {"class_names": class_names, "mean": [0.5] * channels, "std": [0.5] * channels}
    return Dataset(name, _splits(sizes, {"image": (np.uint8, shape), "label": (np.int32, ())}), meta)


def spelled_names(name: str, categories: int = 0) -> Dataset:
    """Names, by categories if there are any."""
    fields: dict[str, Any] = {"token": (np.uint8, (20,)), "length": (np.int32, ())}
    meta: dict[str, Any] = {"tokens": names.VOCABULARY.tokens}
    if categories:
        fields["category"] = (np.int32, ())
        meta["categories"] = [str(i) for i in range(categories)]
    return Dataset(name, _splits((16_000, 2_000, 2_000), fields), meta)


def corpus(name: str, types: int, tokenizer: str) -> Dataset:
    """Running text with a vocabulary of `types`; `tokenizer` is one of corpora.TOKENIZERS."""
    splits = _splits((1_000_000, 100_000, 100_000), {"token": (np.int32, ())})
    return Dataset(name, splits, {"tokens": ("",) * types, "tokenizer": tokenizer})


def reviews(name: str, sizes: Sequence[int]) -> Dataset:
    """Labeled texts."""
    fields = {"token": (np.uint16, (imdb.LONGEST,)), "length": (np.int32, ()), "label": (np.int32, ())}
    return Dataset(name, _splits(sizes, fields), {"tokens": ("",) * (imdb.WORDS + 1), "class_names": imdb.CLASS_NAMES})


def sentence_pairs(name: str, pairs: int, source_types: int, target_types: int) -> Dataset:
    """Sentences in two languages."""
    fields = {f"{side}{field}": (np.int32, shape) for side in ("source", "target") for field, shape in _PADDED.items()}
    meta = {"source_tokens": ("",) * source_types, "target_tokens": ("",) * target_types}
    return Dataset(name, _splits((pairs * 8 // 10, pairs // 10, pairs // 10), fields), meta)


_PADDED: dict[str, tuple[int, ...]] = {"": (11,), "_length": ()}
