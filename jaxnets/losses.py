"""Losses as sums over examples and the count that divides them."""

import jax
import jax.numpy as jnp

from jaxnets.metrics import Mean

Array = jax.Array


def cross_entropy(logits: Array, labels: Array, mask: Array) -> Mean:
    """Softmax cross entropy in nats. Shapes [N, C], [N] (class indices), [N] (1 for real examples, 0 for padding)."""
    log_probs = jax.nn.log_softmax(logits.astype(jnp.float32))
    picked = jnp.take_along_axis(log_probs, labels[:, None], axis=-1)[:, 0]
    return Mean(-(picked * mask).sum(), mask.sum())
