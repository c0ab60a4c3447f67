"""What a model is asked to do: a handful of functions that the training engine calls without knowing more."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax

from jaxnets import losses, metrics
from jaxnets.metrics import Mean, Metrics

Array = jax.Array
Batch = Mapping[str, Array]


class Task(NamedTuple):
    """The functions are pure and run inside jit. `outputs` is what the model returned for `inputs(batch)`."""

    inputs: Callable[[Batch], tuple[Array, ...]]
    """The model's positional arguments."""
    loss: Callable[[Any, Batch], Mean]
    metrics: Callable[[Any, Batch], Metrics]
    """Measures of every training step and evaluation; "loss" is among them."""
    details: Callable[[Any, Batch], dict[str, Array]]
    """Additive arrays gathered by the final evaluation alone, such as a confusion matrix."""
    monitor: str
    """The measure that decides which epoch was best."""
    higher_is_better: bool
    resume: Callable[[Batch, Any], Batch] = lambda batch, carry: batch
    """(batch, what the batch before left) -> the batch with it; for models that read on where they stopped."""
    carry: Callable[[Any], Any] = lambda outputs: ()
    """What the next batch takes over from these outputs."""


def classify() -> Task:
    """One label for each example: batches of "image", "label" and "mask"."""

    def measure(logits: Array, batch: Batch) -> Metrics:
        return {
            "loss": losses.cross_entropy(logits, batch["label"], batch["mask"]),
            "accuracy": metrics.accuracy(logits, batch["label"], batch["mask"]),
        }

    return Task(
        inputs=lambda batch: (batch["image"],),
        loss=lambda logits, batch: losses.cross_entropy(logits, batch["label"], batch["mask"]),
        metrics=measure,
        details=lambda logits, batch: {"confusion": metrics.confusion(logits, batch["label"], batch["mask"])},
        monitor="accuracy",
        higher_is_better=True,
    )
