"""From arrays on the device to batches: which examples, in which order, and what happens to them on the way.

A `Feed` is the part of the pipeline that runs inside jit. Its plan is small (indices); its batches are made in the step.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxnets.augment import LUMA, augment, normalize, shrink, to_grey, to_unit
from jaxnets.config import ImageData
from jaxnets.nn.sequence import running
from jaxnets.tasks import Batch

Array = jax.Array
Arrays = Mapping[str, Array]
Make = Callable[[Arrays, Array, Any], Mapping[str, Array]]
"""(arrays of the split, indices of examples, key or None in evaluation) -> a batch, without its mask."""


class Feed(NamedTuple):
    """One pass over a split."""

    steps: int
    plan: Callable[[Any, Any], Any]
    """(key or None, epoch) -> what each step uses: a tree of arrays [steps, ...]."""
    batch: Callable[[Arrays, Any, Any], Batch]
    """(arrays of the split, one step of the plan, key) -> batch. Evaluation needs no keys."""


def shuffled(batch_size: int, examples: int, make: Make, drop_last: bool = True) -> Feed:
    """Batches in an order of their own for every key and epoch. Without `drop_last` the last is filled up from the first."""
    steps = examples // batch_size if drop_last else -(-examples // batch_size)

    def plan(key: Array, epoch: Any) -> Array:
        order = jax.random.permutation(jax.random.fold_in(key, epoch), examples)
        return jnp.resize(order, (steps * batch_size,)).reshape(steps, batch_size)

    def batch(arrays: Arrays, indices: Array, key: Array) -> Batch:
        return {**make(arrays, indices, key), "mask": jnp.ones(indices.shape)}

    return Feed(steps, plan, batch)


def in_order(batch_size: int, examples: int, make: Make, most: int | None = None) -> Feed:
    """Every example once, in order, or `most` of them in equal steps; the last batch is padded and masked."""
    chosen = min(examples, most or examples)
    size = min(batch_size, chosen)
    steps = -(-chosen // size)

    def plan(key: Any, epoch: Any) -> dict[str, Array]:
        del key, epoch
        places = np.arange(steps * size).reshape(steps, size)  # NumPy's, whose 64 bits hold the products.
        indices = places % chosen * examples // chosen
        return {"index": jnp.asarray(indices, jnp.int32), "mask": jnp.asarray(places < chosen, jnp.float32)}

    def batch(arrays: Arrays, item: Mapping[str, Array], key: Any) -> Batch:
        return {**make(arrays, item["index"], key), "mask": item["mask"]}

    return Feed(steps, plan, batch)


def step_by_step(whole: Feed, lengths: str, steps: int) -> Feed:
    """A feed of sequences whose mask [N, steps] is that of the examples [N], times that of each one's real steps.

    `lengths` is the field that counts these.
    """

    def batch(arrays: Arrays, item: Any, key: Any) -> Batch:
        made = whole.batch(arrays, item, key)
        return {**made, "mask": made["mask"].reshape(-1, 1) * running(steps, made[lengths])}

    return whole._replace(batch=batch)


class Normalization(NamedTuple):
    """Per channel: subtract `mean`, divide by `std`, after scaling to [0, 1]."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


IMAGENET = Normalization((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Of ImageNet's training images, as everyone rounds them."""


def image_normalization(config: ImageData, meta: Mapping[str, Any]) -> Normalization:
    """The constants for `config.normalize`; `meta` is the prepared set's record of its training split.

    Of grey versions the mean is exact, and the deviation that of channels which rise and fall together: 3 % above the true
    one for CIFAR-10. Of shrunk images, too, the deviation is somewhat smaller than that of the stored ones, which is used.
    """
    mean, std = IMAGENET if config.normalize == "imagenet" else (meta["mean"], meta["std"])
    if len(mean) == 3 and (config.grey or len(meta["mean"]) == 1):
        mean, std = ([sum(share * value for share, value in zip(LUMA, values, strict=True))] for values in (mean, std))
    if config.normalize in ("standard", "imagenet"):
        return Normalization(tuple(mean), tuple(std))
    half = 0.5 if config.normalize == "symmetric" else 0.0
    return Normalization((half,) * len(mean), (half or 1.0,) * len(mean))


def images(config: ImageData, normalization: Normalization) -> Make:
    """Images and labels; augmented in training, unchanged in evaluation."""

    def make(arrays: Arrays, indices: Array, key: Any) -> Mapping[str, Array]:
        raw = arrays["image"][indices]
        raw = shrink(raw, config.shrink) if config.shrink > 1 else raw
        raw = to_grey(raw) if config.grey else raw
        found = to_unit(raw) if key is None else augment(key, raw, config.augment)
        return {"image": normalize(found, *normalization), "label": arrays["label"][indices]}

    return make


def windows(batch_size: int, window: int, tokens: int) -> Feed:
    """Running text of `tokens`, read at `batch_size` places at once, on from window to window.

    For every key and epoch the first place is another one of the text's first `window` tokens. Batches hold "token",
    "next" and "mask", [N, T], and "fresh", which is 1 where the reading starts.
    """
    steps = max(0, tokens - 1 - window) // batch_size // window

    def plan(key: Array, epoch: Any) -> dict[str, Array]:
        offset = jax.random.randint(jax.random.fold_in(key, epoch), (), 0, window)
        places = offset + jnp.arange(batch_size) * (steps * window)
        first = places.reshape(1, -1) + jnp.arange(steps).reshape(-1, 1) * window
        return {"first": first, "count": jnp.full(first.shape, window), "fresh": _fresh(steps)}

    return Feed(steps, plan, _window(window))


def every_window(batch_size: int, window: int, tokens: int) -> Feed:
    """As `windows`, for evaluation: every token but the text's first is predicted exactly once."""
    places = min(batch_size, tokens - 1)
    length = -(-(tokens - 1) // places)
    steps = -(-length // window)

    def plan(key: Any, epoch: Any) -> dict[str, Array]:
        del key, epoch
        start = jnp.arange(places).reshape(1, -1) * length
        first = start + jnp.arange(steps).reshape(-1, 1) * window
        return {"first": first, "count": jnp.minimum(start + length, tokens - 1) - first, "fresh": _fresh(steps)}

    return Feed(steps, plan, _window(window))


def _fresh(steps: int) -> Array:
    return (jnp.arange(steps) == 0).astype(jnp.float32)


def _window(window: int) -> Callable[[Arrays, Mapping[str, Array], Any], Batch]:
    def batch(arrays: Arrays, item: Mapping[str, Array], key: Any) -> Batch:
        del key
        at = jnp.arange(window).reshape(1, -1)
        positions = item["first"].reshape(-1, 1) + at
        # What lies behind the text's end is masked, so it does not matter which token stands there.
        token, following = (jnp.take(arrays["token"], positions + i, mode="clip") for i in (0, 1))
        mask = (at < item["count"].reshape(-1, 1)).astype(jnp.float32)
        return {"token": token, "next": following, "mask": mask, "fresh": item["fresh"]}

    return batch
