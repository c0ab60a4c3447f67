"""Sentiment of texts (report S4 §6.11)."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from jaxnets.config import Experiment
from jaxnets.data import imdb, text
from jaxnets.data.store import Dataset
from jaxnets.errors import UserError
from jaxnets.pipeline import loaders
from jaxnets.pipeline.loaders import Arrays
from jaxnets.tasks import classification
from jaxnets.tasks.task import PredictorBase, Task, check_batch_size, check_fields, eval_loader

Array = jax.Array

TAKES_LOSS = True


def build(experiment: Experiment, dataset: Dataset) -> Task:
    """Batches of "token" [N, T], "length" [N] and "label" [N]: the last known words of each review."""
    config: Any = experiment.data
    check_fields(experiment, dataset, "token", "length", "label")
    check_batch_size(experiment, dataset)
    arrays = {}
    for split, fields in dataset.splits.items():
        tokens, lengths = truncate(np.asarray(fields["token"]), config.vocab_size, config.max_length)
        arrays[split] = {"token": tokens, "length": lengths, "label": np.asarray(fields["label"])}

    def gather(arrays: Arrays, indices: Array, key: Any) -> Mapping[str, Array]:
        return {field: array[indices].astype(jnp.int32) for field, array in arrays.items()}

    return Task(
        objective=classification.objective("token", "length", loss=experiment.loss),
        sizes={"vocab_size": config.vocab_size + 1, "classes": len(dataset.meta["class_names"])},  # Number 0 is padding.
        sample_inputs=(jnp.zeros((1, config.max_length), jnp.int32), jnp.ones(1, jnp.int32)),
        arrays=arrays,
        train_loader=loaders.train_batches(config.batch_size, dataset.examples("train"), gather),
        eval_loader=eval_loader(experiment, dataset, gather),
        examples_per_step=config.batch_size,
        class_names=tuple(dataset.meta["class_names"]),
    )


def truncate(tokens: np.ndarray, vocab_size: int, max_length: int) -> tuple[np.ndarray, np.ndarray]:
    """Keeps each row's last `max_length` words with numbers 1 to `vocab_size`: ([N, max_length], lengths [N])."""
    known = (tokens > 0) & (tokens <= vocab_size)
    rows = [row[mask][-max_length:] for row, mask in zip(tokens, known, strict=True)]
    return text.pad(rows, max_length, tokens.dtype)


@dataclasses.dataclass(frozen=True)
class Predictor(PredictorBase):
    """Tells the sentiment of texts."""

    command: ClassVar[str] = "classify"

    def __call__(self, reviews: Sequence[str]) -> np.ndarray:
        """Probabilities [N, classes], in the order of `meta["class_names"]`.

        Raises UserError for a review without a known word.
        """
        config: Any = self.experiment.data
        vocabulary = text.Vocabulary(tuple(self.meta["tokens"]))
        spell_out = text.spell_out if self.meta.get("spelled_out") else str
        encoded = [imdb.encode(vocabulary, imdb.clean(spell_out(review))) for review in reviews]
        tokens, _ = text.pad(encoded, max(1, *map(len, encoded)), np.int32)
        tokens, lengths = truncate(tokens, config.vocab_size, config.max_length)
        for review, length in zip(reviews, lengths, strict=True):
            if not length:
                raise UserError(f"{review[:40]!r} has no word that the net knows; write a sentence or two of English")
        return np.asarray(_probabilities(self.model, self.variables, jnp.asarray(tokens), jnp.asarray(lengths)))


@functools.partial(jax.jit, static_argnums=0)
def _probabilities(model: Any, variables: Any, tokens: Array, lengths: Array) -> Array:
    return jax.nn.softmax(model.apply(variables, tokens, lengths, train=False))
