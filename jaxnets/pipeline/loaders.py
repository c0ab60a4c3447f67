"""From arrays on the device to batches: which examples, in which order.

A `Loader` is the part of the input pipeline that runs inside jit. What is planned for an epoch is small (indices); each
batch is gathered, augmented and normalized within the training step that uses it.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxnets.nn.rnn import sequence_mask

Array = jax.Array
Arrays = Mapping[str, Array]
Batch = Mapping[str, Array]
Gather = Callable[[Arrays, Array, Any], Batch]
"""(arrays of the split, indices of examples, key or None in evaluation) -> a batch, without its mask."""


class Loader(NamedTuple):
    """One pass over a split."""

    steps: int
    epoch_indices: Callable[[Any, Any], Any]
    """(key or None, epoch) -> what each step uses: a tree of arrays [steps, ...]."""
    make_batch: Callable[[Arrays, Any, Any], Batch]
    """(arrays of the split, the indices of one step, key) -> batch. Evaluation needs no keys."""


def train_batches(batch_size: int, examples: int, gather: Gather, drop_last: bool = True) -> Loader:
    """Batches in a random order that differs by key and epoch; its indices are [steps, batch_size].

    An incomplete last batch is dropped, or with `drop_last=False` filled up from the epoch's first examples.
    """
    steps = examples // batch_size if drop_last else -(-examples // batch_size)

    def epoch_indices(key: Array, epoch: Any) -> Array:
        order = jax.random.permutation(jax.random.fold_in(key, epoch), examples)
        return jnp.resize(order, (steps * batch_size,)).reshape(steps, batch_size)

    def with_mask(arrays: Arrays, indices: Array, key: Array) -> Batch:
        return {**gather(arrays, indices, key), "mask": jnp.ones(indices.shape)}

    return Loader(steps, epoch_indices, with_mask)


def eval_batches(batch_size: int, examples: int, gather: Gather, max_examples: int | None = None) -> Loader:
    """Every example once, in order, or `max_examples` of them, evenly spaced; the last batch is padded and masked."""
    count = min(examples, max_examples or examples)
    size = min(batch_size, count)
    steps = -(-count // size)

    def epoch_indices(key: Any, epoch: Any) -> dict[str, Array]:
        del key, epoch
        places = np.arange(steps * size).reshape(steps, size)  # NumPy's, whose 64 bits hold the products.
        indices = places % count * examples // count
        return {"index": jnp.asarray(indices, jnp.int32), "mask": jnp.asarray(places < count, jnp.float32)}

    def with_mask(arrays: Arrays, indices: Mapping[str, Array], key: Any) -> Batch:
        return {**gather(arrays, indices["index"], key), "mask": indices["mask"]}

    return Loader(steps, epoch_indices, with_mask)


def with_sequence_mask(loader: Loader, lengths: str, max_length: int) -> Loader:
    """The loader with a mask for each time step: [N, max_length], 1 for the real steps of real examples.

    `lengths` names the field of the batch that counts each example's real steps.
    """

    def make_batch(arrays: Arrays, indices: Any, key: Any) -> Batch:
        batch = loader.make_batch(arrays, indices, key)
        return {**batch, "mask": batch["mask"].reshape(-1, 1) * sequence_mask(max_length, batch[lengths])}

    return loader._replace(make_batch=make_batch)


def bptt_batches(batch_size: int, window: int, tokens: int) -> Loader:
    """Batches for truncated backpropagation through time: `batch_size` parallel streams over a text of `tokens` tokens.

    Each batch continues the streams by `window` tokens. For every key and epoch the first stream starts at another one of
    the text's first `window` tokens. Batches hold "token", "next" and "mask", all [N, T], and "reset", which is 1 where the
    streams start and the carried state must be zero.
    """
    steps = max(0, tokens - 1 - window) // batch_size // window

    def epoch_indices(key: Array, epoch: Any) -> dict[str, Array]:
        offset = jax.random.randint(jax.random.fold_in(key, epoch), (), 0, window)
        starts = offset + jnp.arange(batch_size) * (steps * window)
        first = starts.reshape(1, -1) + jnp.arange(steps).reshape(-1, 1) * window
        return {"first": first, "count": jnp.full(first.shape, window), "reset": _reset(steps)}

    return Loader(steps, epoch_indices, _window_batch(window))


def eval_windows(batch_size: int, window: int, tokens: int) -> Loader:
    """As `bptt_batches`, for evaluation: every token but the text's first is predicted exactly once."""
    streams = min(batch_size, tokens - 1)
    length = -(-(tokens - 1) // streams)
    steps = -(-length // window)

    def epoch_indices(key: Any, epoch: Any) -> dict[str, Array]:
        del key, epoch
        starts = jnp.arange(streams).reshape(1, -1) * length
        first = starts + jnp.arange(steps).reshape(-1, 1) * window
        return {"first": first, "count": jnp.minimum(starts + length, tokens - 1) - first, "reset": _reset(steps)}

    return Loader(steps, epoch_indices, _window_batch(window))


def _reset(steps: int) -> Array:
    return (jnp.arange(steps) == 0).astype(jnp.float32)


def _window_batch(window: int) -> Callable[[Arrays, Mapping[str, Array], Any], Batch]:
    def make_batch(arrays: Arrays, indices: Mapping[str, Array], key: Any) -> Batch:
        del key
        steps = jnp.arange(window).reshape(1, -1)
        positions = indices["first"].reshape(-1, 1) + steps
        # Positions after the text's end are masked, so it does not matter which token is read there.
        token, following = (jnp.take(arrays["token"], positions + i, mode="clip") for i in (0, 1))
        mask = (steps < indices["count"].reshape(-1, 1)).astype(jnp.float32)
        return {"token": token, "next": following, "mask": mask, "reset": indices["reset"]}

    return make_batch
