"""Losses as sums over predictions and the count that divides them."""

import jax
import jax.numpy as jnp
from jax import lax

from jaxnets.nn.kernels import promote_varying
from jaxnets.tasks.metrics import Mean

Array = jax.Array
_MAX_LOGITS = 1 << 25  # 128 MB.
_Triple = tuple[Array, Array, Array]


def cross_entropy(logits: Array, labels: Array, mask: Array) -> Mean:
    """Softmax cross entropy in nats. Shapes [..., C], [...] (class indices), [...] (1 for what counts, 0 for padding)."""
    log_probs = jax.nn.log_softmax(logits.astype(jnp.float32))
    picked = jnp.take_along_axis(log_probs, labels[..., None], axis=-1)[..., 0]
    return Mean(-(picked * mask).sum(), mask.sum())


def squared_error(predictions: Array, targets: Array, mask: Array) -> Mean:
    """Sum of squared differences over an example. Shapes [N, ...], [N, ...], [N] (1 for what counts, 0 for padding)."""
    errors = jnp.square(predictions - targets).sum(range(1, targets.ndim))
    return Mean((errors * mask).sum(), mask.sum())


def head_cross_entropy(features: Array, kernel: Array, bias: Array, labels: Array, mask: Array) -> Mean:
    """`cross_entropy` of the logits features @ kernel + bias, a few positions at a time where there are many.

    With a vocabulary of V, all logits of a batch, and their gradients, would take N · T · V numbers each; here no more than
    some thirty million exist at once. Gradients are taken along with the loss, while a chunk's logits are there; the
    backward pass only scales them.

    Shapes: [N, T, F], [F, V], [V], [N, T], [N, T].
    """
    positions, vocab_size = labels.size, kernel.shape[1]
    chunks = -(-positions // max(1, _MAX_LOGITS // vocab_size))
    size = -(-positions // chunks)

    def chunked(x: Array) -> Array:
        x = jnp.pad(x.reshape(positions, *x.shape[2:]), ((0, chunks * size - positions),) + ((0, 0),) * (x.ndim - 2))
        return x.reshape(chunks, size, *x.shape[1:])

    total = _head(*promote_varying(chunked(features), kernel, bias, chunked(labels), chunked(mask.astype(jnp.float32))))
    return Mean(total, mask.sum())


@jax.custom_vjp
def _head(features: Array, kernel: Array, bias: Array, labels: Array, mask: Array) -> Array:
    """The summed loss: [chunks, P, F], [F, V], [V], [chunks, P], [chunks, P]."""

    def of_chunk(chunk: tuple[Array, ...]) -> Array:
        features, labels, mask = chunk
        return cross_entropy(features @ kernel + bias.reshape(1, -1), labels, mask).total

    return lax.map(of_chunk, (features, labels, mask)).sum()


def _head_fwd(features: Array, kernel: Array, bias: Array, labels: Array, mask: Array) -> tuple[Array, tuple[Array, ...]]:
    def of_chunk(sums: _Triple, chunk: _Triple) -> tuple[_Triple, Array]:
        total, dkernel, dbias = sums
        features, labels, mask = chunk
        logits = (features @ kernel + bias.reshape(1, -1)).astype(jnp.float32)
        # Written out, so that loss and gradient share their exponentials: by `cross_entropy` and a softmax the training step
        # of a word model takes 6 % longer on a CPU.
        log_sum = jax.nn.logsumexp(logits, axis=-1, keepdims=True)
        label_logits = jnp.take_along_axis(logits, labels[:, None], axis=1)
        loss = (mask[:, None] * (log_sum - label_logits)).sum()
        one_hot = jnp.arange(logits.shape[1]).reshape(1, -1) == labels[:, None]
        dlogits = (mask[:, None] * (jnp.exp(logits - log_sum) - one_hot)).astype(features.dtype)
        return (total + loss, dkernel + features.T @ dlogits, dbias + dlogits.sum(0)), dlogits @ kernel.T

    zeros = jnp.zeros_like(mask[0, 0]), jnp.zeros_like(kernel), jnp.zeros_like(bias)
    (total, dkernel, dbias), dfeatures = lax.scan(of_chunk, zeros, (features, labels, mask))
    return total, (dfeatures, dkernel, dbias)


def _head_bwd(gradients: tuple[Array, ...], dtotal: Array) -> tuple[Array | None, ...]:
    dfeatures, dkernel, dbias = (gradient * dtotal.astype(gradient.dtype) for gradient in gradients)
    return dfeatures, dkernel, dbias, None, None


_head.defvjp(_head_fwd, _head_bwd)
