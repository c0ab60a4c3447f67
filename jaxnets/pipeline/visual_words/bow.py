"""From images to counts of visual words, made once and kept among the prepared data sets."""

import dataclasses
import functools
import hashlib
import json
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxnets.config import BagOfWordsData
from jaxnets.data import store
from jaxnets.data.store import Dataset, Splits
from jaxnets.errors import UserError
from jaxnets.pipeline.visual_words import descriptors, dictionary, pyramid

Array = jax.Array

_FORMAT = 1
"""Raised whenever the counts of the same images and settings change, so that kept ones are made anew."""
_IMAGES = 1000
"""Training images that the dictionary is learned from, at most."""
_BATCH = 32


def counts(config: BagOfWordsData, data: Dataset) -> Splits:
    """For every split "counts", uint16 [N, 4^(levels - 1), words], and "label"; see jaxnets.pipeline.visual_words.pyramid.

    The dictionary is learned from the training split alone. Everything random is drawn from fixed seeds.

    Raises UserError for images without room for a descriptor.
    """
    name = f"{data.name}-words-{_digest(config, data)}"
    if not store.is_prepared(name):
        store.save(name, _count(config, data), {"made_of": data.name, "settings": _settings(config)})
    return store.load(name).splits


def _settings(config: BagOfWordsData) -> dict[str, Any]:
    return {name: value for name, value in dataclasses.asdict(config).items() if name not in _ELSEWHERE}


_ELSEWHERE = ("source", "synthetic", "batch_size")  # Settings that counts do not depend on, or only through the images.


def _digest(config: BagOfWordsData, data: Dataset) -> str:
    sizes = {split: data.examples(split) for split in data.splits}
    known = _FORMAT, _settings(config), sizes, data.meta["mean"], data.meta["std"]
    return hashlib.sha256(json.dumps(known).encode()).hexdigest()[:12]


def _count(config: BagOfWordsData, data: Dataset) -> dict[str, dict[str, np.ndarray]]:
    height, width = data.splits["train"]["image"].shape[1:3]
    grids = [
        (descriptors.places(height, cell, config.spacing), descriptors.places(width, cell, config.spacing))
        for cell in config.cell_sizes
        if descriptors.CELLS * cell <= min(height, width)
    ]
    if not grids:
        needed = descriptors.CELLS * min(config.cell_sizes)
        raise UserError(
            f"data.cell_sizes: descriptors of {needed} pixels a side do not fit into the {height}×{width} of {data.name}"
        )
    where = jnp.asarray(np.concatenate([pyramid.region(y, x, height, width, config.levels) for y, x in grids]))
    centers = _learn(config, data.splits["train"]["image"])

    @jax.jit
    def encode(images: Array) -> Array:
        numbers = dictionary.nearest(_describe(config, images), centers)
        return pyramid.count(numbers, where, config.dictionary_size, config.levels).astype(jnp.uint16)

    return {
        split: {
            "counts": np.concatenate([np.asarray(encode(batch))[:real] for batch, real in _batches(fields["image"])]),
            "label": np.asarray(fields["label"]),
        }
        for split, fields in data.splits.items()
    }


def _learn(config: BagOfWordsData, images: np.ndarray) -> Array:
    """The dictionary, from `config.dictionary_samples` descriptors of random places in random training images."""
    draw = np.random.default_rng(0)
    chosen = np.sort(draw.permutation(len(images))[:_IMAGES])
    each = -(-config.dictionary_samples // len(chosen))
    describe = jax.jit(functools.partial(_describe, config))
    found = []
    for batch, real in _batches(images[chosen]):
        for own in np.asarray(describe(batch))[:real]:
            found.append(own[draw.permutation(len(own))[:each]])
    points = jnp.asarray(np.concatenate(found)[: config.dictionary_samples])
    return dictionary.learn(jax.random.key(0), points, config.dictionary_size, config.kmeans_iterations)


def _describe(config: BagOfWordsData, images: Array) -> Array:
    """Descriptors of every size that fits into the images: [N, P, descriptors.SIZE]."""
    colored = jnp.broadcast_to(images, (*images.shape[:3], 3))
    fitting = [cell for cell in config.cell_sizes if descriptors.CELLS * cell <= min(images.shape[1:3])]
    parts = [descriptors.describe(colored, cell, config.spacing, config.color_weight) for cell in fitting]
    return jnp.concatenate(parts, axis=1)


def _batches(images: np.ndarray) -> Iterator[tuple[np.ndarray, int]]:
    """Batches of one size, and how many images of each are real: the last is filled up."""
    for start in range(0, len(images), _BATCH):
        batch = images[start : start + _BATCH]
        yield np.resize(batch, (_BATCH, *images.shape[1:])), len(batch)


def nearest_accuracy(splits: Splits, split: str, levels: int) -> float:
    """Share of a split's images whose class is that of the training image with the largest histogram intersection."""
    own, known = (pyramid.pyramid(jnp.asarray(splits[name]["counts"]), levels) for name in (split, "train"))
    found = jnp.argmax(jax.jit(pyramid.intersection)(own, known), axis=-1)
    return float(np.mean(splits["train"]["label"][np.asarray(found)] == splits[split]["label"]))
