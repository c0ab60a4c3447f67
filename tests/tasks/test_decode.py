"""Decoding against exhaustive search on a small random automaton."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxnets.tasks import decode

VOCAB_SIZE, END = 4, 3


def logits_of(seed):
    """Logits by the last two tokens: [VOCAB_SIZE, VOCAB_SIZE, VOCAB_SIZE]."""
    return np.random.default_rng(seed).normal(size=(VOCAB_SIZE, VOCAB_SIZE, VOCAB_SIZE)) * 2


def machine(seed):
    """A step over those logits; the state [1, N, 1] holds the token before the last."""
    table = jnp.asarray(logits_of(seed))

    def step(state, token):
        return table[state[0, :, 0], token], token.reshape(1, -1, 1)

    return step


def test_the_lowest_temperature_is_greedy():
    """Logits divided by it are not finite."""
    step = machine(0)
    greedy = decode.greedy(step, start(3), jnp.arange(3), 5)
    for temperature in (1e-6, 1e-38):
        sampled = decode.sample(step, start(3), jnp.arange(3), jax.random.key(0), 5, temperature)
        np.testing.assert_array_equal(sampled, greedy)


def test_it_samples_in_64_bit_mode_too():
    with jax.enable_x64(True):
        tokens = decode.sample(machine(0), start(3), jnp.arange(3), jax.random.key(0), 5)
    assert tokens.dtype == jnp.int32


def start(n):
    return jnp.zeros((1, n, 1), jnp.int32)


def all_sequences(seed, length):
    """Every sequence of `length` tokens with its log-probability; after END only END follows, with probability 1."""
    table = logits_of(seed)
    log_probs = table - np.log(np.exp(table).sum(-1, keepdims=True))
    totals = {}
    for tokens in itertools.product(range(VOCAB_SIZE), repeat=length):
        before, last, total = 0, 0, 0.0
        for t, token in enumerate(tokens):
            if t and tokens[t - 1] == END:
                total += 0.0 if token == END else -np.inf
                continue
            total += log_probs[before, last, token]
            before, last = last, token
        totals[tokens] = total
    return {tokens: total for tokens, total in totals.items() if total > -np.inf}


@pytest.mark.parametrize("seed", range(3))
def test_a_wide_beam_finds_the_best_sequences(seed):
    length, width = 3, VOCAB_SIZE**3
    tokens, scores = jax.jit(lambda: decode.beam(machine(seed), start(width), jnp.asarray(0), END, length, width))()
    expected = sorted(all_sequences(seed, length).items(), key=lambda item: -item[1])
    for (sequence, score), ours, our_score in zip(expected[:8], tokens, scores, strict=False):
        assert tuple(ours.tolist()) == sequence
        assert our_score == pytest.approx(score, abs=1e-4)


@settings(max_examples=10)
@given(seed=st.integers(0, 99), width=st.integers(1, 6))
def test_scores_are_log_probabilities_and_a_beam_of_one_is_greedy(seed, width):
    step, length = machine(seed), 5
    chosen = jax.jit(lambda: decode.greedy(step, start(1), jnp.zeros(1), length))()[0].tolist()
    cut = chosen[: chosen.index(END) + 1] if END in chosen else chosen
    ended = tuple(cut + [END] * (length - len(cut)))
    tokens, scores = jax.jit(lambda: decode.beam(step, start(width), jnp.asarray(0), END, length, width))()
    assert float(scores[0]) == pytest.approx(all_sequences(seed, length)[tuple(tokens[0].tolist())], abs=1e-4)
    if width == 1:
        assert tuple(tokens[0].tolist()) == ended


def test_sampling_follows_the_softmax_and_its_temperature():
    logits = jnp.asarray([0.0, 1.0, 2.0, -1.0])
    step = lambda state, token: (jnp.broadcast_to(logits, (4000, 4)), state)
    draw = lambda temperature: decode.sample(step, start(4000), jnp.zeros(4000), jax.random.key(0), 1, temperature)[:, 0]
    for temperature in (0.5, 1.0, 3.0):
        shares = np.bincount(draw(temperature), minlength=4) / 4000
        np.testing.assert_allclose(shares, jax.nn.softmax(logits / temperature), atol=0.03)
    assert (draw(1e-3) == 2).all()


def test_the_same_key_writes_the_same():
    write = lambda seed: decode.sample(machine(0), start(6), jnp.zeros(6), jax.random.key(seed), 8).tolist()
    assert write(1) == write(1) != write(2)
