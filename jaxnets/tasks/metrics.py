"""Metrics as pairs of sums, which merge exactly and stay on the device until they are read."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

Array = jax.Array


class Mean(NamedTuple):
    """A mean as its two sums, so that batches of unequal size merge exactly.

    >>> import jax.numpy as jnp
    >>> float(Mean(total=jnp.asarray(6.0), weight=jnp.asarray(4.0)).value)
    1.5
    """

    total: Array
    """Weighted sum of the values: a scalar, or one a seed or a step."""
    weight: Array
    """Sum of the weights, of the same shape."""

    @property
    def value(self) -> Array:
        """total / weight; NaN if nothing was counted."""
        return self.total / self.weight


Metrics = dict[str, Mean]
"""By name."""
Derived = Mapping[str, tuple[str, Callable[[Any], Any]]]
"""Metrics that are functions of another's mean: name -> (name of the other, function)."""
PERPLEXITY: Derived = {"perplexity": ("loss", jnp.exp)}


def lower_is_better(name: str) -> bool:
    """Whether lower values of a metric are better: of losses and what derives from them, not of accuracies or PSNR.

    >>> lower_is_better("perplexity"), lower_is_better("accuracy")
    (True, False)
    """
    return name in ("loss", "perplexity", "bits")


def values(metrics: Mapping[str, Any], derived: Derived) -> dict[str, Any]:
    """The values of metrics and of those derived from them.

    >>> metrics = values({"loss": (6.0, 3.0)}, {"doubled": ("loss", lambda loss: 2 * loss)})
    >>> metrics["loss"], metrics["doubled"]
    (2.0, 4.0)

    Args:
      metrics: Mean or (total, weight) by name.
      derived: metrics to add.

    Returns:
      Values by name, each of the shape of its total.
    """
    means = {name: total / weight for name, (total, weight) in metrics.items()}
    return means | {name: function(means[source]) for name, (source, function) in derived.items()}


def merge(stacked: Any) -> Any:
    """Merges the metrics of several batches: sums every leaf over its first axis.

    >>> import jax.numpy as jnp
    >>> merged = merge({"loss": Mean(jnp.asarray([6.0, 1.0]), jnp.asarray([4.0, 3.0]))})
    >>> float(merged["loss"].value)
    1.0

    Args:
      stacked: a tree of arrays [batches, ...].

    Returns:
      The same tree of arrays [...].
    """
    return jax.tree.map(lambda x: x.sum(0), stacked)


def accuracy(logits: Array, labels: Array, mask: Array) -> Mean:
    """The share of predictions whose largest logit is the label's.

    >>> import jax.numpy as jnp
    >>> logits = jnp.asarray([[0.0, 2.0], [3.0, 1.0]])
    >>> float(accuracy(logits, jnp.asarray([1, 1]), jnp.ones(2)).value)
    0.5

    Args:
      logits: [..., C].
      labels: class indices int [...].
      mask: 1 for predictions that count, 0 for padding: [...].

    Returns:
      The number of correct predictions and the sum of the mask.
    """
    correct = (logits.argmax(-1) == labels).astype(jnp.float32)
    return Mean((correct * mask).sum(), mask.sum())


def psnr(predictions: Array, targets: Array, mask: Array) -> Mean:
    """Peak signal-to-noise ratio in dB, averaged over images: -10 log10 of an image's mean squared error.

    >>> import jax.numpy as jnp
    >>> images = jnp.zeros((2, 4, 4, 1))
    >>> round(float(psnr(images + 0.1, images, jnp.ones(2)).value), 3)
    20.0

    Args:
      predictions: images [N, H, W, C] with pixels in [0, 1].
      targets: [N, H, W, C].
      mask: 1 for images that count, 0 for padding: [N].

    Returns:
      The summed PSNR and the sum of the mask.

    References:
      Report S2 Q5.
    """
    error = jnp.square(predictions - targets).mean(range(1, targets.ndim))
    return Mean((-10 * jnp.log10(error) * mask).sum(), mask.sum())
