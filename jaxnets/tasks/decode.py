"""Decoding from a trained model: sampling, greedy and beam search. Pure functions for use inside jit.

All take a `step` function that maps (state, tokens int [N]) to (logits [N, V] of the next token, new state). A state is a
tree whose leaves have the sequences on their second axis, as recurrent states [layers, N, hidden] do.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

Array = jax.Array
Step = Callable[[Any, Array], tuple[Array, Any]]


def sample(step: Step, state: Any, first: Array, key: Array, length: int, temperature: Any = 1.0) -> Array:
    """Samples each next token from the softmax of logits divided by the temperature.

    >>> import jax, jax.numpy as jnp
    >>> step = lambda state, tokens: (50 * jax.nn.one_hot(tokens + 1, 5), state)  # Token k is followed by k + 1.
    >>> sample(step, (), jnp.asarray([0, 1]), jax.random.key(0), length=3).tolist()
    [[1, 2, 3], [2, 3, 4]]

    Args:
      step: from (state, tokens int [N]) to (logits [N, V], new state).
      state: the state before `first`; its leaves have the sequences on their second axis.
      first: the token before the first sampled one, int [N].
      key: a PRNG key.
      length: number of tokens to sample.
      temperature: below 1 sharpens the distribution, toward 0 it becomes greedy.

    Returns:
      Tokens int [N, length].
    """

    def body(carry: tuple[Any, Array], key: Array) -> tuple[tuple[Any, Array], Array]:
        logits, state = step(*carry)
        # The largest logit becomes 0, so that the quotient is finite there, or -inf, at any temperature.
        token = jax.random.categorical(key, (logits - logits.max(-1, keepdims=True)) / temperature).astype(jnp.int32)
        return (state, token), token

    return lax.scan(body, (state, first.astype(jnp.int32)), jax.random.split(key, length))[1].T


def greedy(step: Step, state: Any, first: Array, length: int) -> Array:
    """Takes the most likely token at every step.

    >>> import jax, jax.numpy as jnp
    >>> step = lambda state, tokens: (jax.nn.one_hot(tokens + 1, 5), state)  # Token k is followed by k + 1.
    >>> greedy(step, (), jnp.asarray([0, 1]), length=3).tolist()
    [[1, 2, 3], [2, 3, 4]]

    Args:
      step: from (state, tokens int [N]) to (logits [N, V], new state).
      state: the state before `first`; its leaves have the sequences on their second axis.
      first: the token before the first predicted one, int [N].
      length: number of tokens to predict.

    Returns:
      Tokens int [N, length].
    """

    def body(carry: tuple[Any, Array], _: None) -> tuple[tuple[Any, Array], Array]:
        logits, state = step(*carry)
        token = logits.argmax(-1).astype(jnp.int32)
        return (state, token), token

    return lax.scan(body, (state, first.astype(jnp.int32)), None, length)[1].T


def beam(step: Step, state: Any, first: Array, end: Any, length: int, width: int) -> tuple[Array, Array]:
    """Beam search for the most likely continuations of one sequence.

    >>> import jax, jax.numpy as jnp
    >>> step = lambda state, tokens: (jnp.log(jnp.asarray([[0.6, 0.3, 0.1]] * 2)), state)
    >>> tokens, scores = beam(step, (), jnp.asarray(0), end=2, length=2, width=2)
    >>> tokens.tolist(), [round(float(score), 2) for score in jnp.exp(scores)]
    ([[0, 0], [0, 1]], [0.36, 0.18])

    Args:
      step: from (state, tokens int [width]) to (logits [width, V], new state).
      state: the state before `first`, the same for all `width` sequences on its leaves' second axis.
      first: the token before the first predicted one, a scalar.
      end: the token after which a sequence ends; -1 if there is none.
      length: maximum number of tokens.
      width: number of sequences kept at every step.

    Returns:
      Tokens int [width, length], most likely first, padded with `end`; and their log-probabilities [width].
    """

    def body(carry: tuple[Any, Array, Array, Array], t: Array) -> tuple[tuple[Any, Array, Array, Array], None]:
        state, token, scores, tokens = carry
        logits, state = step(state, token)
        log_probs = jax.nn.log_softmax(logits)
        vocab_size = log_probs.shape[-1]
        # A sequence that has ended continues with `end` only, with probability 1.
        has_ended = ((token == end) & (t > 0)).reshape(-1, 1)
        end_log_probs = jnp.where(jnp.arange(vocab_size) == end, 0.0, -jnp.inf).reshape(1, -1)
        totals = scores.reshape(-1, 1) + jnp.where(has_ended, end_log_probs, log_probs)
        scores, best = lax.top_k(totals.reshape(-1), width)
        parent, token = best // vocab_size, (best % vocab_size).astype(jnp.int32)
        state = jax.tree.map(lambda x: jnp.take(x, parent, axis=1), state)
        tokens = tokens[parent].at[:, t].set(token)
        return (state, token, scores, tokens), None

    # At first the beam holds copies of one sequence, of which only one counts.
    scores = jnp.where(jnp.arange(width) == 0, 0.0, -jnp.inf)
    carry = state, jnp.full((width,), first, jnp.int32), scores, jnp.zeros((width, length), jnp.int32)
    (_, _, scores, tokens), _ = lax.scan(body, carry, jnp.arange(length))
    return tokens, scores
