"""Random data sets with the shapes of the real ones: timings depend on sizes and lengths, not on content.

Word and letter ids follow Zipf's law, since the gradient of an embedding costs more where words repeat. Lengths are drawn
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


def names(examples: int = 1000, max_length: int = 13, vocab_size: int = 59, categories: int = 0) -> MakeDataset:
    """Names. Their lengths, the end included, are normal, 6.8 ± 1.75 in [2, max_length], like those of the surnames."""

    def make() -> Dataset:
        rng = np.random.default_rng(0)
        lengths = _lengths(rng, examples, 6.8, 1.75, 2, max_length)
        split = {"token": _padded(rng, lengths, max_length + 1, vocab_size).astype(np.uint8), "length": lengths}
        meta: dict[str, Sequence[str]] = {"tokens": _names(vocab_size)}
        if categories:
            split["category"] = rng.integers(0, categories, examples).astype(np.int32)
            meta["categories"] = _names(categories)
        return Dataset("names", {"train": split}, meta)

    return make


def running_text(vocab_size: int, tokens: int = 50_000) -> MakeDataset:
    """Running text of `tokens` tokens."""

    def make() -> Dataset:
        token = _zipf(np.random.default_rng(0), tokens, vocab_size).astype(np.int32)
        return Dataset("text", {"train": {"token": token}}, {"tokens": _names(vocab_size), "tokenizer": "plain_words"})

    return make


def reviews(examples: int = 1000, vocab_size: int = 1000) -> MakeDataset:
    """Reviews with as many in-vocabulary words as those of IMDB: the logarithm of the number is normal, 3.99 ± 0.61."""

    def make() -> Dataset:
        rng = np.random.default_rng(0)
        lengths = np.exp(rng.normal(3.99, 0.61, examples)).round().clip(4, imdb.MAX_LENGTH).astype(np.int32)
        # Word 0 is padding, so the words are 1 to vocab_size.
        token = 1 + _padded(rng, lengths, imdb.MAX_LENGTH, vocab_size)
        token[np.arange(imdb.MAX_LENGTH) >= lengths[:, None]] = 0
        label = rng.integers(0, 2, examples).astype(np.int32)
        split = {"token": token.astype(np.uint16), "length": lengths, "label": label}
        return Dataset("reviews", {"train": split}, {"tokens": _names(vocab_size + 1), "class_names": imdb.CLASS_NAMES})

    return make


def pairs(
    examples: int = 1000, max_length: int = 10, source_vocab_size: int = 4345, target_vocab_size: int = 2803
) -> MakeDataset:
    """Sentence pairs. Lengths, the end included, are normal, 7.2 ± 1.6 and 7.0 ± 1.4, like those of the real pairs."""

    def make() -> Dataset:
        rng = np.random.default_rng(0)
        split, meta = {}, {}
        sides = (("source", source_vocab_size, 7.2, 1.6), ("target", target_vocab_size, 7.0, 1.4))
        for side, vocab_size, mean, std in sides:
            split[f"{side}_length"] = _lengths(rng, examples, mean, std, 3, max_length)
            split[side] = _padded(rng, split[f"{side}_length"], max_length, vocab_size).astype(np.int32)
            meta[f"{side}_tokens"] = _names(vocab_size)
        return Dataset("pairs", {"train": split}, meta)

    return make


def _names(count: int) -> list[str]:
    return [END, *(str(i) for i in range(1, count))]


def _lengths(rng: np.random.Generator, count: int, mean: float, std: float, shortest: int, longest: int) -> np.ndarray:
    return rng.normal(mean, std, count).round().clip(shortest, longest).astype(np.int32)


def _zipf(rng: np.random.Generator, count: int, vocab_size: int) -> np.ndarray:
    """Ids in [0, vocab_size), whose probability falls as 1 / (id + 3)."""
    weights = 1 / (np.arange(vocab_size) + 3.0)
    return rng.choice(vocab_size, count, p=weights / weights.sum())


def _padded(rng: np.random.Generator, lengths: np.ndarray, width: int, vocab_size: int) -> np.ndarray:
    """Rows of ids [N, width], with zeros after each row's length."""
    ids = _zipf(rng, len(lengths) * width, vocab_size).reshape(len(lengths), width)
    return np.where(np.arange(width) < lengths[:, None], ids, 0)
