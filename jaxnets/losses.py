"""Losses as sums over predictions and the count that divides them."""

import jax
import jax.numpy as jnp
from jax import lax

from jaxnets.metrics import Mean

Array = jax.Array
_MOST_LOGITS = 1 << 22  # 16 MB.


def cross_entropy(logits: Array, labels: Array, mask: Array) -> Mean:
    """Softmax cross entropy in nats. Shapes [..., C], [...] (class indices), [...] (1 for what counts, 0 for padding)."""
    log_probs = jax.nn.log_softmax(logits.astype(jnp.float32))
    picked = jnp.take_along_axis(log_probs, labels[..., None], axis=-1)[..., 0]
    return Mean(-(picked * mask).sum(), mask.sum())


def squared_error(found: Array, wanted: Array, mask: Array) -> Mean:
    """Sum of squared differences over an example. Shapes [N, ...], [N, ...], [N] (1 for what counts, 0 for padding)."""
    errors = jnp.square(found - wanted).sum(range(1, wanted.ndim))
    return Mean((errors * mask).sum(), mask.sum())


def head_cross_entropy(features: Array, kernel: Array, bias: Array, labels: Array, mask: Array) -> Mean:
    """`cross_entropy` of the logits features @ kernel + bias, a few positions at a time where there are many.

    With a vocabulary of V, all logits of a batch, and their gradients, would take N · T · V numbers each; here no more than
    some four million exist at once. The backward pass computes them anew.

    Shapes: [N, T, F], [F, V], [V], [N, T], [N, T].
    """
    positions, types = labels.size, kernel.shape[1]
    size = max(1, min(positions, _MOST_LOGITS // types))
    chunks = -(-positions // size)
    parts = [
        jnp.pad(x.reshape(positions, *x.shape[2:]), ((0, chunks * size - positions),) + ((0, 0),) * (x.ndim - 2))
        for x in (features, labels, mask.astype(jnp.float32))
    ]

    @jax.checkpoint
    def part(features: Array, labels: Array, mask: Array) -> Mean:
        return cross_entropy(features @ kernel + bias.reshape(1, -1), labels, mask)

    if chunks == 1:
        return part(*parts)
    stacked = lax.map(lambda xs: part(*xs), [x.reshape(chunks, size, *x.shape[1:]) for x in parts])
    return Mean(stacked.total.sum(), stacked.weight.sum())
