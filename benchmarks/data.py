"""Data sets of the real ones' shapes, made on the spot: timings need the sizes and lengths of the data, not its content.

Word and letter numbers follow Zipf's law, since an embedding's gradient costs more where words repeat. Lengths are drawn
from the distributions stated at each function, which are fitted to the prepared real sets.
"""

from collections.abc import Callable, Sequence

import numpy as np

from jaxnets.data import imdb
from jaxnets.data.store import Dataset, image_statistics
from jaxnets.data.text import END

MakeDataset = Callable[[], Dataset]


def images(examples: int, shape: tuple[int, int, int] = (32, 32, 3), classes: int = 10) -> MakeDataset:
    """Images [H, W, C] of uint8 noise with random labels."""

    def make() -> Dataset:
        rng = np.random.default_rng(0)
        pixels = rng.integers(0, 256, (examples, *shape), np.uint8)
        split = {"image": pixels, "label": rng.integers(0, classes, examples).astype(np.int32)}
        return Dataset("noise", {"train": split}, {"class_names": _names(classes), **image_statistics(pixels[:1000])})

    return make


def names(examples: int = 1000, longest: int = 13, symbols: int = 59, categories: int = 0) -> MakeDataset:
    """Names whose lengths, the end included, are normal: 6.8 ± 1.75 in [2, longest], as those of the surnames."""

    def make() -> Dataset:
        rng = np.random.default_rng(0)
        lengths = _lengths(rng, examples, 6.8, 1.75, 2, longest)
        split = {"token": _padded(rng, lengths, longest + 1, symbols).astype(np.uint8), "length": lengths}
        meta: dict[str, Sequence[str]] = {"tokens": _names(symbols)}
        if categories:
            split["category"] = rng.integers(0, categories, examples).astype(np.int32)
            meta["categories"] = _names(categories)
        return Dataset("names", {"train": split}, meta)

    return make


def running_text(types: int, tokens: int = 50_000) -> MakeDataset:
    """Running text."""

    def make() -> Dataset:
        token = _zipf(np.random.default_rng(0), tokens, types).astype(np.int32)
        return Dataset("text", {"train": {"token": token}}, {"tokens": _names(types), "tokenizer": "plain_words"})

    return make


def reviews(examples: int = 1000, vocabulary: int = 1000) -> MakeDataset:
    """Reviews with as many known words as those of IMDB: the logarithm of their number is normal, 3.99 ± 0.61."""

    def make() -> Dataset:
        rng = np.random.default_rng(0)
        lengths = np.exp(rng.normal(3.99, 0.61, examples)).round().clip(4, imdb.LONGEST).astype(np.int32)
        # Word 0 is padding, so known words are 1 to `vocabulary`.
        token = 1 + _padded(rng, lengths, imdb.LONGEST, vocabulary)
        token[np.arange(imdb.LONGEST) >= lengths[:, None]] = 0
        label = rng.integers(0, 2, examples).astype(np.int32)
        split = {"token": token.astype(np.uint16), "length": lengths, "label": label}
        return Dataset("reviews", {"train": split}, {"tokens": _names(vocabulary + 1), "class_names": imdb.CLASS_NAMES})

    return make


def pairs(examples: int = 1000, longest: int = 10, source_types: int = 4345, target_types: int = 2803) -> MakeDataset:
    """Sentence pairs whose lengths, the end included, are normal: 7.2 ± 1.6 and 7.0 ± 1.4, as those of the real pairs."""

    def make() -> Dataset:
        rng = np.random.default_rng(0)
        split, meta = {}, {}
        for side, types, mean, std in (("source", source_types, 7.2, 1.6), ("target", target_types, 7.0, 1.4)):
            split[f"{side}_length"] = _lengths(rng, examples, mean, std, 3, longest)
            split[side] = _padded(rng, split[f"{side}_length"], longest, types).astype(np.int32)
            meta[f"{side}_tokens"] = _names(types)
        return Dataset("pairs", {"train": split}, meta)

    return make


def _names(count: int) -> list[str]:
    return [END, *(str(i) for i in range(1, count))]


def _lengths(rng: np.random.Generator, count: int, mean: float, std: float, least: int, most: int) -> np.ndarray:
    return rng.normal(mean, std, count).round().clip(least, most).astype(np.int32)


def _zipf(rng: np.random.Generator, count: int, types: int) -> np.ndarray:
    """Numbers in [0, types), each with a probability that falls as 1 / (number + 3)."""
    weights = 1 / (np.arange(types) + 3.0)
    return rng.choice(types, count, p=weights / weights.sum())


def _padded(rng: np.random.Generator, lengths: np.ndarray, width: int, types: int) -> np.ndarray:
    """Rows of numbers with zeros behind each one's length."""
    numbers = _zipf(rng, len(lengths) * width, types).reshape(len(lengths), width)
    return np.where(np.arange(width) < lengths[:, None], numbers, 0)
