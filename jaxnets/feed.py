"""From arrays on the device to batches: which examples, in which order, and what happens to them on the way.

A `Feed` is the part of the pipeline that runs inside jit. Its plan is small (indices); its batches are made in the step.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxnets.augment import augment, normalize, to_unit
from jaxnets.config import ImageData
from jaxnets.tasks import Batch

Array = jax.Array
Arrays = Mapping[str, Array]


class Feed(NamedTuple):
    """One pass over a split."""

    steps: int
    plan: Callable[[Any, Any], Any]
    """(key or None, epoch) -> what each step uses: a tree of arrays [steps, batch]."""
    batch: Callable[[Arrays, Any, Any], Batch]
    """(arrays of the split, one step of the plan, key) -> batch. Evaluation needs no keys."""


class Normalization(NamedTuple):
    """Per channel: subtract `mean`, divide by `std`, after scaling to [0, 1]."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


def image_normalization(config: ImageData, meta: Mapping[str, Any]) -> Normalization:
    """The constants for `config.normalize`; `meta` is the prepared set's record of its training split."""
    mean, std = meta["mean"], meta["std"]
    if config.normalize == "standard":
        return Normalization(tuple(mean), tuple(std))
    half = 0.5 if config.normalize == "symmetric" else 0.0
    return Normalization((half,) * len(mean), (half or 1.0,) * len(mean))


def train_images(config: ImageData, examples: int, normalization: Normalization) -> Feed:
    """Batches in an order of their own for every key and epoch, augmented."""
    size = config.batch_size
    steps = examples // size if config.drop_last else -(-examples // size)

    def plan(key: Array, epoch: Any) -> Array:
        order = jax.random.permutation(jax.random.fold_in(key, epoch), examples)
        return jnp.resize(order, (steps, size)) if steps * size > examples else order[: steps * size].reshape(steps, size)

    def batch(arrays: Arrays, indices: Array, key: Array) -> Batch:
        images = augment(key, arrays["image"][indices], config.augment)
        return {
            "image": normalize(images, *normalization),
            "label": arrays["label"][indices],
            "mask": jnp.ones(indices.shape),
        }

    return Feed(steps, plan, batch)


def eval_images(batch_size: int, examples: int, normalization: Normalization) -> Feed:
    """Every example once, in order, unchanged; the last batch is padded and masked."""
    size = min(batch_size, examples)
    steps = -(-examples // size)

    def plan(key: Any, epoch: Any) -> dict[str, Array]:
        del key, epoch
        indices = jnp.arange(steps * size).reshape(steps, size)
        return {"index": indices % examples, "mask": (indices < examples).astype(jnp.float32)}

    def batch(arrays: Arrays, item: Mapping[str, Array], key: Any) -> Batch:
        del key
        return {
            "image": normalize(to_unit(arrays["image"][item["index"]]), *normalization),
            "label": arrays["label"][item["index"]],
            "mask": item["mask"],
        }

    return Feed(steps, plan, batch)
