"""Writing with a trained model: sampling, greedy choice, and beam search. Pure functions for use inside jit.

All take `step`, which maps (state, tokens [N]) to (logits [N, types] of the next token, new state). A state is a tree whose
leaves have the sequences on their second axis, as recurrent states [layers, N, hidden] do.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

Array = jax.Array
Step = Callable[[Any, Array], tuple[Array, Any]]


def sample(step: Step, state: Any, first: Array, key: Array, length: int, temperature: Any = 1.0) -> Array:
    """Tokens [N, length] behind `first` [N], drawn from softmax(logits / temperature)."""

    def body(carry: tuple[Any, Array], key: Array) -> tuple[tuple[Any, Array], Array]:
        logits, state = step(*carry)
        token = jax.random.categorical(key, logits / temperature)
        return (state, token), token

    return lax.scan(body, (state, first.astype(jnp.int32)), jax.random.split(key, length))[1].T


def greedy(step: Step, state: Any, first: Array, length: int) -> Array:
    """Tokens [N, length] behind `first` [N], the likeliest at every step."""

    def body(carry: tuple[Any, Array], _: None) -> tuple[tuple[Any, Array], Array]:
        logits, state = step(*carry)
        token = logits.argmax(-1).astype(jnp.int32)
        return (state, token), token

    return lax.scan(body, (state, first.astype(jnp.int32)), None, length)[1].T


def beam(step: Step, state: Any, first: Array, end: Any, length: int, width: int) -> tuple[Array, Array]:
    """The likeliest continuations of one sequence that a beam finds.

    Args:
      step: as above, for N = width.
      state: where all of the beam starts.
      first: the token before, a scalar.
      end: the token behind which nothing follows; -1 if there is none.
      length: tokens at most.
      width: sequences kept at every step.

    Returns:
      Tokens [width, length], best first, filled up with `end`; and their log-probabilities [width].
    """

    def body(carry: tuple[Any, Array, Array, Array], at: Array) -> tuple[tuple[Any, Array, Array, Array], None]:
        state, token, scores, written = carry
        logits, state = step(state, token)
        log_probs = jax.nn.log_softmax(logits)
        types = log_probs.shape[-1]
        # A sequence that has ended goes on in one way only, at no cost.
        ended = ((token == end) & (at > 0)).reshape(-1, 1)
        only_end = jnp.where(jnp.arange(types) == end, 0.0, -jnp.inf).reshape(1, -1)
        totals = scores.reshape(-1, 1) + jnp.where(ended, only_end, log_probs)
        scores, chosen = lax.top_k(totals.reshape(-1), width)
        parent, token = chosen // types, (chosen % types).astype(jnp.int32)
        state = jax.tree.map(lambda x: jnp.take(x, parent, axis=1), state)
        written = written[parent].at[:, at].set(token)
        return (state, token, scores, written), None

    # At first all of the beam is the same sequence; one copy of it counts.
    scores = jnp.where(jnp.arange(width) == 0, 0.0, -jnp.inf)
    start = state, jnp.full((width,), first, jnp.int32), scores, jnp.zeros((width, length), jnp.int32)
    (_, _, scores, written), _ = lax.scan(body, start, jnp.arange(length))
    return written, scores
