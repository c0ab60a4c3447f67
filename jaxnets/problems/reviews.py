"""Sentiment of texts."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxnets import feed, tasks
from jaxnets.config import Experiment, ReviewData
from jaxnets.data import imdb, text
from jaxnets.data.store import Prepared
from jaxnets.errors import UserError
from jaxnets.feed import Arrays
from jaxnets.problems.problem import Problem, check_batch, check_fields, evaluation

Array = jax.Array


def build(experiment: Experiment, data: Prepared) -> Problem:
    """Labelled reviews."""
    config = experiment.data
    assert isinstance(config, ReviewData)
    check_fields(experiment.id, data, "token", "length", "label")
    check_batch(experiment.id, config.batch_size, data)
    arrays = {}
    for split, fields in data.splits.items():
        tokens, lengths = shorten(np.asarray(fields["token"]), config.vocabulary, config.longest)
        arrays[split] = {"token": tokens, "length": lengths, "label": np.asarray(fields["label"])}

    def make(arrays: Arrays, indices: Array, key: Any) -> Mapping[str, Array]:
        return {field: array[indices].astype(jnp.int32) for field, array in arrays.items()}

    return Problem(
        task=tasks.classify("token", "length"),
        sizes={"types": config.vocabulary + 1},
        inputs=(jnp.zeros((1, config.longest), jnp.int32), jnp.ones(1, jnp.int32)),
        arrays=arrays,
        train=feed.shuffled(config.batch_size, data.examples("train"), make),
        evaluate=evaluation(experiment, data, make),
        examples=config.batch_size,
        labels=tuple(data.meta["class_names"]),
    )


def shorten(tokens: np.ndarray, vocabulary: int, longest: int) -> tuple[np.ndarray, np.ndarray]:
    """Keeps each row's last `longest` words with numbers 1 to `vocabulary`: ([N, longest], lengths [N])."""
    known = (tokens > 0) & (tokens <= vocabulary)
    rows = [row[kept][-longest:] for row, kept in zip(tokens, known, strict=True)]
    return text.pad(rows, longest, tokens.dtype)


def classify(
    model: Any, variables: Any, meta: Mapping[str, Any], config: ReviewData, reviews: Sequence[str]
) -> list[dict[str, float]]:
    """Probabilities by class for each review. Raises UserError for one without a known word."""
    vocabulary = text.Vocabulary(tuple(meta["tokens"]))
    encoded = [imdb.encode(vocabulary, imdb.clean(review)) for review in reviews]
    tokens, _ = text.pad(encoded, max(1, *map(len, encoded)), np.int32)
    tokens, lengths = shorten(tokens, config.vocabulary, config.longest)
    for review, length in zip(reviews, lengths, strict=True):
        if not length:
            raise UserError(f"{review[:40]!r} has no word that the net knows; write a sentence or two of English")
    probabilities = _probabilities(model, variables, jnp.asarray(tokens), jnp.asarray(lengths))
    return [dict(zip(meta["class_names"], row, strict=True)) for row in probabilities.tolist()]


@functools.partial(jax.jit, static_argnums=0)
def _probabilities(model: Any, variables: Any, tokens: Array, lengths: Array) -> Array:
    return jax.nn.softmax(model.apply(variables, tokens, lengths, train=False))
