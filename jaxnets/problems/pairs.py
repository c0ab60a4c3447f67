"""Translation of sentences."""

import difflib
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxnets import decode, feed, tasks
from jaxnets.config import Experiment, PairData
from jaxnets.data import pairs, text
from jaxnets.data.store import Prepared
from jaxnets.errors import UserError
from jaxnets.feed import Arrays, Feed
from jaxnets.problems.problem import Generated, Problem, check_batch, check_fields, evaluation

Array = jax.Array

_START, _END = 0, 1  # As jaxnets.data.pairs numbers them.
_SHOWN = 12


def build(experiment: Experiment, data: Prepared) -> Problem:
    """Sentence pairs."""
    config = experiment.data
    assert isinstance(config, PairData)
    check_fields(experiment.id, data, "source", "target", "source_length", "target_length")
    check_batch(experiment.id, config.batch_size, data)
    source, target = (data.splits["train"][side].shape[1] for side in ("source", "target"))

    def make(arrays: Arrays, indices: Array, key: Any) -> Mapping[str, Array]:
        batch = {field: array[indices] for field, array in arrays.items()}
        start = jnp.full((*indices.shape, 1), _START)
        return {**batch, "before": jnp.concatenate([start, batch["target"][:, :-1]], axis=1)}

    by_word = functools.partial(feed.step_by_step, lengths="target_length", steps=target)
    whole = evaluation(experiment, data, make)
    train = by_word(feed.shuffled(config.batch_size, data.examples("train"), make))
    if config.teacher_forcing != (1.0, 1.0):
        train = _scheduled(train, config.teacher_forcing, experiment.epochs)
    return Problem(
        task=tasks.translate(),
        sizes={f"{side}_types": len(data.meta[f"{side}_tokens"]) for side in ("source", "target")},
        inputs=(jnp.zeros((1, source), jnp.int32), jnp.ones(1, jnp.int32), jnp.zeros((1, target), jnp.int32)),
        arrays=data.splits,
        train=train,
        evaluate=lambda split: by_word(whole(split)),
        examples=config.batch_size,
        generate=functools.partial(_generate, data),
    )


def _scheduled(whole: Feed, shares: tuple[float, float], epochs: int) -> Feed:
    """Adds "teacher_forcing", the epoch's share of true words, to every batch."""

    def plan(key: Any, epoch: Any) -> Any:
        share = shares[0] + (shares[1] - shares[0]) * jnp.clip(epoch / max(1, epochs - 1), 0, 1)
        return whole.plan(key, epoch), jnp.full(whole.steps, share, jnp.float32)

    def batch(arrays: Arrays, item: Any, key: Any) -> Mapping[str, Array]:
        return {**whole.batch(arrays, item[0], key), "teacher_forcing": item[1]}

    return Feed(whole.steps, plan, batch)


def translate(model: Any, variables: Any, meta: Mapping[str, Any], sentences: Sequence[str], width: int = 1) -> list[str]:
    """Translations of French sentences: the likeliest word at every step, or, for `width` > 1, the best that a beam finds.

    Raises UserError for an empty sentence, one longer than training showed, and words that training never showed.
    """
    vocabulary = text.Vocabulary(tuple(meta["source_tokens"]))
    encoded = [_encode(vocabulary, sentence) for sentence in sentences]
    source, lengths = text.pad(encoded, max(map(len, encoded)), np.int32)
    return translate_tokens(model, variables, meta, source, lengths, width)


def translate_tokens(
    model: Any, variables: Any, meta: Mapping[str, Any], source: np.ndarray, lengths: np.ndarray, width: int = 1
) -> list[str]:
    """The same for encoded sentences [N, S]."""
    target = text.Vocabulary(tuple(meta["target_tokens"]))
    arrays = jnp.asarray(source), jnp.asarray(lengths)
    written = _greedy(model, variables, *arrays) if width == 1 else _beam(model, variables, *arrays, width)
    return [" ".join(target.decode(row)) for row in np.asarray(written)]


def _encode(vocabulary: text.Vocabulary, sentence: str) -> list[int]:
    tokens = pairs.normalise(sentence).split(" ")
    if not "".join(tokens):
        raise UserError(f"{sentence!r} has no words to translate")
    if len(tokens) > pairs.MOST_TOKENS:
        raise UserError(
            f"{sentence!r} has {len(tokens)} words and marks; the net was trained on at most {pairs.MOST_TOKENS}"
        )
    for token in tokens:
        if token not in vocabulary.numbers:
            near = difflib.get_close_matches(token, vocabulary.tokens, n=3)
            hint = f"; it knows {', '.join(near)}" if near else ""
            raise UserError(f"the word {token!r} is not among the {len(vocabulary.tokens):,} that the net has seen{hint}")
    return vocabulary.encode((*tokens, text.END), "the sentence")


@functools.partial(jax.jit, static_argnums=0)
def _greedy(model: Any, variables: Any, source: Array, lengths: Array) -> Array:
    encoded = model.apply(variables, source, lengths, train=False, method="encode")
    step = functools.partial(_step, model, variables, encoded)
    first = jnp.full(source.shape[:1], _START)
    return decode.greedy(step, encoded.state, first, pairs.MOST_TOKENS + 1)


@functools.partial(jax.jit, static_argnums=(0, 4))
def _beam(model: Any, variables: Any, source: Array, lengths: Array, width: int) -> Array:
    def one(source: Array, length: Array) -> Array:
        repeated = jnp.broadcast_to(source, (width, *source.shape)), jnp.broadcast_to(length, (width,))
        encoded = model.apply(variables, *repeated, train=False, method="encode")
        step = functools.partial(_step, model, variables, encoded)
        return decode.beam(step, encoded.state, jnp.asarray(_START), _END, pairs.MOST_TOKENS + 1, width)[0][0]

    return jax.lax.map(lambda item: one(*item), (source, lengths))


def _step(model: Any, variables: Any, encoded: Any, state: Any, word: Array) -> tuple[Array, Any]:
    logits, state = model.apply(variables, encoded, state, word.reshape(-1, 1), train=False, method="decode")
    return logits[:, 0], state


def _generate(data: Prepared, model: Any, variables: Any, key: Array) -> Generated:
    """Greedy translations of the held-out splits, and of as many training pairs, with BLEU and chrF."""
    import sacrebleu  # Slow to import, and needed here alone.

    del key
    target = text.Vocabulary(tuple(data.meta["target_tokens"]))
    figures: dict[str, float] = {}
    rows: list[tuple[str, str, str, str]] = []
    source = text.Vocabulary(tuple(data.meta["source_tokens"]))
    for split, fields in data.splits.items():
        chosen = slice(0, data.examples("test"))
        written = translate_tokens(model, variables, data.meta, fields["source"][chosen], fields["source_length"][chosen])
        wanted = [" ".join(target.decode(row)) for row in fields["target"][chosen]]
        # Both sides are tokenised already.
        figures[f"{split}_bleu"] = sacrebleu.corpus_bleu(written, [wanted], tokenize="none", force=True).score
        figures[f"{split}_chrf"] = sacrebleu.corpus_chrf(written, [wanted]).score
        shown = [" ".join(source.decode(row)) for row in fields["source"][: _SHOWN if split == "test" else _SHOWN // 3]]
        rows += [(split, *row) for row in zip(shown, wanted, written, strict=False)]
    return Generated(figures, ("split", "French", "English", "ours"), rows)
