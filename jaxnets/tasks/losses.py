"""Losses as sums over predictions and the count that divides them."""

import jax
import jax.numpy as jnp
from jax import lax

from jaxnets.nn.kernels import promote_varying
from jaxnets.tasks.metrics import Mean

Array = jax.Array
_MAX_LOGITS = 1 << 25  # 128 MB in float32.
_Triple = tuple[Array, Array, Array]


def cross_entropy(logits: Array, labels: Array, mask: Array) -> Mean:
    """Softmax cross entropy in nats: the mean of -log softmax(logits)[label] over the predictions that count.

    >>> import jax.numpy as jnp
    >>> loss = cross_entropy(jnp.zeros((2, 10)), jnp.asarray([3, 7]), jnp.ones(2))
    >>> round(float(loss.value), 4), float(loss.weight)  # ln(10): the loss of a net that knows nothing (report S4 §4.5)
    (2.3026, 2.0)

    Args:
      logits: [..., C], of any float type; the loss is computed in float32.
      labels: class indices int [...].
      mask: 1 for predictions that count, 0 for padding: [...].

    Returns:
      The summed loss and the sum of the mask.
    """
    # The label's logit is picked by a sum, whose gradient is no scatter: that would be two kernels more on a GPU.
    logits = logits.astype(jnp.float32)
    largest = lax.stop_gradient(logits.max(-1, keepdims=True))
    classes = jnp.arange(logits.shape[-1], dtype=labels.dtype)
    is_label = labels[..., None] == classes.reshape(*[1] * labels.ndim, -1)
    label_logits = jnp.where(_is_class(labels, logits), jnp.where(is_label, logits, 0.0).sum(-1), jnp.nan)
    label_log_probs = label_logits - largest[..., 0] - jnp.log(jnp.exp(logits - largest).sum(-1))
    return Mean(-(label_log_probs * mask).sum(), mask.sum())


def _is_class(labels: Array, logits: Array) -> Array:
    """Whether each label is one of the logits' classes: one that is none must not pass for one."""
    return (labels >= 0) & (labels < logits.shape[-1])


def soft_cross_entropy(logits: Array, targets: Array) -> Array:
    """Softmax cross entropy in nats with targets that are probabilities: -sum(targets · log softmax(logits)).

    >>> import jax.numpy as jnp
    >>> [round(float(loss), 4) for loss in soft_cross_entropy(jnp.zeros((2, 10)), jnp.full((2, 10), 0.1))]  # ln(10)
    [2.3026, 2.3026]

    Args:
      logits: [N, C], of any float type; the loss is computed in float32.
      targets: probabilities of the classes, [N, C].

    Returns:
      Losses [N].
    """
    return -(targets * jax.nn.log_softmax(logits.astype(jnp.float32))).sum(-1)


def distillation(logits: Array, teacher: Array, temperature: float) -> Array:
    """How far a net is from its teacher at a temperature: T² · KL(teacher ‖ softmax(logits / T)), in nats.

    By the factor T² its gradients keep their size whatever T is. At the teacher's own logits it is 0.

    >>> import jax.numpy as jnp
    >>> [loss] = distillation(jnp.asarray([[0.0, 0.0]]), jnp.asarray([[1.0, 0.0]]), 1.0)
    >>> round(float(loss), 4)  # ln(2)
    0.6931

    Args:
      logits: [N, C], of any float type; the loss is computed in float32.
      teacher: the teacher's probabilities at that temperature, [N, C].
      temperature: T, above 0.

    Returns:
      Losses [N].

    References:
      Hinton, G., Vinyals, O. and Dean, J. (2015), Distilling the knowledge in a neural network.
    """
    apart = jax.scipy.special.xlogy(teacher, teacher).sum(-1) + soft_cross_entropy(logits / temperature, teacher)
    return temperature**2 * apart


def smooth(targets: Array, share: float) -> Array:
    """Targets [N, C] of which a share in [0, 1) is spread evenly over all classes.

    >>> import jax.numpy as jnp
    >>> smooth(jnp.asarray([[1.0, 0.0, 0.0, 0.0]]), 0.5).tolist()
    [[0.625, 0.125, 0.125, 0.125]]

    References:
      Szegedy, C. et al. (2016), Rethinking the Inception architecture for computer vision, section 7.
    """
    return (1 - share) * targets + share / targets.shape[-1]


def squared_error(predictions: Array, targets: Array, mask: Array) -> Mean:
    """Squared error: the sum of (prediction - target)² over an example's elements, averaged over examples.

    >>> import jax.numpy as jnp
    >>> float(squared_error(jnp.zeros((2, 4, 4, 1)), jnp.ones((2, 4, 4, 1)), jnp.asarray([1.0, 0.0])).value)
    16.0

    Args:
      predictions: [N, ...].
      targets: [N, ...].
      mask: 1 for examples that count, 0 for padding: [N].

    Returns:
      The summed error and the sum of the mask.
    """
    errors = jnp.square(predictions - targets).sum(range(1, targets.ndim))
    return Mean((errors * mask).sum(), mask.sum())


def head_cross_entropy(features: Array, kernel: Array, bias: Array, labels: Array, mask: Array) -> Mean:
    """`cross_entropy` of the logits features @ kernel + bias, computed in chunks of positions.

    All logits of a batch, and their gradients, would take N · T · V numbers each; here at most 2²⁵ logits exist at once. The
    gradient of a chunk is computed together with its loss, while its logits exist. The backward pass only scales gradients.

    >>> import jax.numpy as jnp
    >>> features, kernel, bias = jnp.ones((2, 5, 8)), jnp.zeros((8, 100)), jnp.zeros(100)
    >>> loss = head_cross_entropy(features, kernel, bias, jnp.zeros((2, 5), int), jnp.ones((2, 5)))
    >>> round(float(loss.value), 4), float(loss.weight)  # ln(100)
    (4.6052, 10.0)

    Args:
      features: [N, T, F].
      kernel: [F, V].
      bias: [V].
      labels: class indices int [N, T].
      mask: 1 for predictions that count, 0 for padding: [N, T].

    Returns:
      The summed loss and the sum of the mask. It has gradients for features, kernel and bias.
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
    """The summed loss, for features [chunks, P, F], kernel [F, V], bias [V], labels [chunks, P], mask [chunks, P]."""

    def chunk_loss(chunk: tuple[Array, ...]) -> Array:
        features, labels, mask = chunk
        return cross_entropy(features @ kernel + bias.reshape(1, -1), labels, mask).total

    return lax.map(chunk_loss, (features, labels, mask)).sum()


def _head_fwd(features: Array, kernel: Array, bias: Array, labels: Array, mask: Array) -> tuple[Array, tuple[Array, ...]]:
    def add_chunk(sums: _Triple, chunk: _Triple) -> tuple[_Triple, Array]:
        total, dkernel, dbias = sums
        features, labels, mask = chunk
        logits = (features @ kernel + bias.reshape(1, -1)).astype(jnp.float32)
        # Written by hand so that loss and gradient share their exponentials. With `cross_entropy` and a softmax, the
        # training step of a word model takes 6 % longer on a CPU.
        log_sum = jax.nn.logsumexp(logits, axis=-1, keepdims=True)
        label_logits = jnp.take_along_axis(logits, labels[:, None], axis=1)
        label_logits = jnp.where(_is_class(labels, logits)[:, None], label_logits, jnp.nan)
        loss = (mask[:, None] * (log_sum - label_logits)).sum()
        one_hot = jnp.arange(logits.shape[1]).reshape(1, -1) == labels[:, None]
        dlogits = (mask[:, None] * (jnp.exp(logits - log_sum) - one_hot)).astype(features.dtype)
        return (total + loss, dkernel + features.T @ dlogits, dbias + dlogits.sum(0)), dlogits @ kernel.T

    zeros = jnp.zeros_like(mask[0, 0]), jnp.zeros_like(kernel), jnp.zeros_like(bias)
    (total, dkernel, dbias), dfeatures = lax.scan(add_chunk, zeros, (features, labels, mask))
    return total, (dfeatures, dkernel, dbias)


def _head_bwd(gradients: tuple[Array, ...], dtotal: Array) -> tuple[Array | None, ...]:
    dfeatures, dkernel, dbias = (gradient * dtotal.astype(gradient.dtype) for gradient in gradients)
    return dfeatures, dkernel, dbias, None, None


_head.defvjp(_head_fwd, _head_bwd)
