"""What a model is asked to do: a handful of functions that the training engine calls without knowing more."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxnets import losses, metrics
from jaxnets.metrics import Derived, Metrics

Array = jax.Array
Batch = Mapping[str, Array]


class Task(NamedTuple):
    """The functions are pure and run inside jit. `outputs` is what the model returned for `inputs(batch)`."""

    inputs: Callable[[Batch], tuple[Any, ...]]
    """The model's positional arguments."""
    metrics: Callable[[Any, Batch], Metrics]
    """Measures of every training step and evaluation. "loss" is among them, and training makes it small."""
    monitor: str
    """The measure that decides which epoch was best."""
    higher_is_better: bool
    details: Callable[[Any, Batch], dict[str, Array]] = lambda outputs, batch: {}
    """Additive arrays gathered by the final evaluation alone, such as a confusion matrix."""
    derived: Derived = MappingProxyType({})
    """Measures that follow from the mean of another."""
    resume: Callable[[Batch, Any], Batch] = lambda batch, carry: batch
    """(batch, what the batch before left) -> the batch with it; for models that read on where they stopped."""
    carry: Callable[[Any], Any] = lambda outputs: ()
    """What the next batch takes over from these outputs."""


_PERPLEXITY: Derived = {"perplexity": ("loss", jnp.exp)}


def _choice(logits: Array, labels: Array, mask: Array) -> Metrics:
    """Loss and accuracy of choices among logits; shapes as in jaxnets.losses.cross_entropy."""
    return {
        "loss": losses.cross_entropy(logits, labels, mask),
        "accuracy": metrics.accuracy(logits, labels, mask),
    }


def classify(*fields: str) -> Task:
    """One label for each example: batches of "label", "mask", and the `fields` that the model takes."""
    return Task(
        inputs=lambda batch: tuple(batch[field] for field in fields),
        metrics=lambda logits, batch: _choice(logits, batch["label"], batch["mask"]),
        details=lambda logits, batch: {"confusion": metrics.confusion(logits, batch["label"], batch["mask"])},
        monitor="accuracy",
        higher_is_better=True,
    )


def reconstruct() -> Task:
    """The input itself: batches of "image" [N, H, W, C] in [0, 1], and "mask"."""
    return Task(
        inputs=lambda batch: (batch["image"],),
        metrics=lambda outputs, batch: {
            "loss": losses.squared_error(outputs, batch["image"], batch["mask"]),
            "psnr": metrics.psnr(outputs, batch["image"], batch["mask"]),
        },
        monitor="loss",
        higher_is_better=False,
    )


def spell() -> Task:
    """The next letter of names: batches of "letter" [N, T], "next" [N, T], "length", "category", and "mask" [N, T]."""
    return Task(
        inputs=lambda batch: (batch["letter"], batch["length"], batch["category"]),
        metrics=lambda outputs, batch: _choice(outputs.logits, batch["next"], batch["mask"]),
        monitor="loss",
        higher_is_better=False,
    )


def read_on(by_letter: bool) -> Task:
    """The next token of running text: batches of "token", "next" and "mask", all [N, T], and "fresh".

    The state goes on from batch to batch, without gradients, and is zero where "fresh" is 1: at the start of a reading.
    """
    bits: Derived = {"bits": ("loss", lambda loss: loss / jnp.log(2.0))}

    def resume(batch: Batch, state: Any) -> Batch:
        return {**batch, "state": jax.tree.map(lambda x: x * (1 - batch["fresh"]), state)}

    return Task(
        inputs=lambda batch: (batch["token"], batch["state"]),
        metrics=lambda read, batch: {
            "loss": losses.head_cross_entropy(read.features, read.kernel, read.bias, batch["next"], batch["mask"])
        },
        monitor="loss",
        higher_is_better=False,
        derived=bits if by_letter else _PERPLEXITY,
        resume=resume,
        carry=lambda read: jax.lax.stop_gradient(read.state),
    )


def translate() -> Task:
    """The next word of a translation: batches of "source", "source_length", "before", "target" and "mask" [N, T]."""
    return Task(
        inputs=lambda batch: (batch["source"], batch["source_length"], batch["before"], batch.get("teacher_forcing")),
        metrics=lambda logits, batch: _choice(logits, batch["target"], batch["mask"]),
        monitor="loss",
        higher_is_better=False,
        derived=_PERPLEXITY,
    )
