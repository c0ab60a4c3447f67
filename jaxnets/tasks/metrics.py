"""Metrics that merge: sums over examples, kept on the device until they are read."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

Array = jax.Array


class Mean(NamedTuple):
    """A mean as its two sums, so that batches of unequal size merge exactly."""

    total: Array
    weight: Array

    @property
    def value(self) -> Array:
        """total / weight; NaN where nothing was counted."""
        return self.total / self.weight


Metrics = dict[str, Mean]
Derived = Mapping[str, tuple[str, Callable[[Any], Any]]]
"""New metric -> (the metric whose mean it follows from, how)."""
PERPLEXITY: Derived = {"perplexity": ("loss", jnp.exp)}


def lower_is_better(name: str) -> bool:
    """Whether a metric is better when low: losses and what follows from them are, shares of right answers are not."""
    return name in ("loss", "perplexity", "bits")


def values(metrics: Mapping[str, Any], derived: Derived) -> dict[str, Any]:
    """The means by name, and what is derived from them. Each of `metrics` is a Mean or its (total, weight)."""
    means = {name: total / weight for name, (total, weight) in metrics.items()}
    return means | {name: function(means[source]) for name, (source, function) in derived.items()}


def merge(parts: Any) -> Any:
    """Sums a tree of stacked metrics over its first axis."""
    return jax.tree.map(lambda x: x.sum(0), parts)


def accuracy(logits: Array, labels: Array, mask: Array) -> Mean:
    """Share of predictions whose largest logit is the label's. Shapes [..., C], [...], [...]; mask is 1 for what counts."""
    correct = (logits.argmax(-1) == labels).astype(jnp.float32)
    return Mean((correct * mask).sum(), mask.sum())


def psnr(predictions: Array, targets: Array, mask: Array) -> Mean:
    """Peak signal-to-noise ratio in dB: -10 log10 of an image's mean squared error, for pixels in [0, 1]; mean over images.

    Shapes [N, H, W, C], [N, H, W, C], [N].
    """
    error = jnp.square(predictions - targets).mean(range(1, targets.ndim))
    return Mean((-10 * jnp.log10(error) * mask).sum(), mask.sum())


def confusion(logits: Array, labels: Array, mask: Array) -> Array:
    """Counts [C, C]: row = true class, column = predicted class."""
    classes = logits.shape[-1]
    true = jax.nn.one_hot(labels, classes) * mask[:, None]
    return true.T @ jax.nn.one_hot(logits.argmax(-1), classes)
