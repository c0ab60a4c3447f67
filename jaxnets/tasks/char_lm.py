"""Character language models of names, with or without a category (reports S4 §6.8 and S1 Q2)."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from jaxnets.config import Experiment
from jaxnets.data import text
from jaxnets.data.store import Dataset
from jaxnets.errors import UserError
from jaxnets.nn.sequence import zero_carry
from jaxnets.pipeline import loaders
from jaxnets.pipeline.loaders import Arrays
from jaxnets.tasks import decode
from jaxnets.tasks.classification import label_metrics
from jaxnets.tasks.task import GeneratedSamples, Objective, PredictorBase, Task, check_batch_size, check_fields, eval_loader

Array = jax.Array

MAX_LENGTH = 24
"""Letters of a sampled name, at most."""
_SAMPLES, _SHOWN_EACH, _TEMPERATURE = 1000, 3, 0.8


def build(experiment: Experiment, dataset: Dataset) -> Task:
    """Batches of names as letters [N, T]; with their category where the model is conditional."""
    config, conditional = experiment.data, _is_conditional(experiment)
    check_fields(experiment, dataset, "token", "length", *(("category",) if conditional else ()))
    check_batch_size(experiment, dataset)
    steps = dataset.splits["train"]["token"].shape[1] - 1

    def gather(arrays: Arrays, indices: Array, key: Any) -> Mapping[str, Array]:
        tokens = arrays["token"][indices].astype(jnp.int32)
        category = arrays["category"][indices] if conditional else jnp.zeros_like(indices)
        return {"letter": tokens[:, :-1], "next": tokens[:, 1:], "length": arrays["length"][indices], "category": category}

    by_letter = functools.partial(loaders.with_sequence_mask, lengths="length", max_length=steps)
    by_name = eval_loader(experiment, dataset, gather)
    return Task(
        objective=objective(),
        sizes={"vocab_size": len(dataset.meta["tokens"]), "categories": len(dataset.meta.get("categories", ()))},
        sample_inputs=(jnp.zeros((1, steps), jnp.int32), jnp.ones(1, jnp.int32), jnp.zeros(1, jnp.int32)),
        arrays=dataset.splits,
        train_loader=by_letter(loaders.train_batches(config.batch_size, dataset.examples("train"), gather)),
        eval_loader=lambda split: by_letter(by_name(split)),
        examples_per_step=config.batch_size,
        generate=functools.partial(_generate, experiment, dataset),
    )


def objective() -> Objective:
    """The next letter: batches of "letter" and "next" [N, T], "length" and "category" [N], and "mask" [N, T]."""
    return Objective(
        inputs=lambda batch: (batch["letter"], batch["length"], batch["category"]),
        metrics=lambda outputs, batch: label_metrics(outputs.logits, batch["next"], batch["mask"]),
        monitor="loss",
        higher_is_better=False,
    )


@dataclasses.dataclass(frozen=True)
class Predictor(PredictorBase):
    """Samples names."""

    command: ClassVar[str] = "sample"

    def __call__(
        self, start: str, category: str | None = None, *, number: int = 1, temperature: float = 0.8, seed: int = 0
    ) -> list[str]:
        """`number` names that begin with `start`, drawn at random. Raises UserError as `sample`."""
        return self.sample(category, start, jax.random.key(seed), number, temperature)

    def sample(self, category: str | None, start: str, key: Array, number: int, temperature: float) -> list[str]:
        """`number` names that begin with `start`, of a category where the model is conditional.

        Raises UserError for a category or a letter that the net does not know, and for a category that is missing.
        """
        conditional = _is_conditional(self.experiment)
        if conditional and category is None and len(self.meta["categories"]) > 1:
            raise UserError(f"this net needs --category: choose from {', '.join(self.meta['categories'])}")
        if category is not None and not conditional:
            raise UserError("this net was trained without categories: leave --category out")
        index = 0 if category is None else self.category_index(category)
        return self.complete([start] * number, jnp.full((number,), index), key, temperature)

    def complete(self, starts: Sequence[str], categories: Array, key: Array, temperature: float) -> list[str]:
        """A name for each of `starts`, which it begins with; `categories` are indices [N]. Raises UserError as `sample`."""
        vocabulary = text.Vocabulary(tuple(self.meta["tokens"]))
        starts = [text.without_accents(text.spell_out(start)) for start in starts]
        if not all(starts):
            raise UserError("the start of a name is empty: give at least one letter")
        encoded = [vocabulary.encode(start, f"the start {start!r}") for start in starts]
        tokens, lengths = text.pad(encoded, max(map(len, encoded)), np.int32)
        arrays = jnp.asarray(tokens), jnp.asarray(lengths), categories
        sampled = np.asarray(_sample(self.model, self.variables, *arrays, key, temperature))
        return [start + "".join(vocabulary.decode(row)) for start, row in zip(starts, sampled, strict=True)]

    def category_index(self, category: str) -> int:
        """The index of a category. Raises UserError for one that the data does not have."""
        categories = list(self.meta["categories"])
        if category not in categories:
            raise UserError(f"unknown category {category!r}: choose from {', '.join(categories)}")
        return categories.index(category)


def _is_conditional(experiment: Experiment) -> bool:
    return getattr(experiment.model, "conditional", False)


@functools.partial(jax.jit, static_argnums=0)
def _sample(
    model: Any, variables: Any, tokens: Array, lengths: Array, categories: Array, key: Array, temperature: Array
) -> Array:
    ones = jnp.ones_like(lengths)
    # The net reads all letters but the last; sampling continues from that one.
    last = jnp.take_along_axis(tokens, (lengths - 1).reshape(-1, 1), axis=1)[:, 0]
    zero = zero_carry(1, tokens.shape[0], model.config.hidden)
    state = model.apply(variables, tokens, lengths - 1, categories, zero, train=False).state

    def step(state: Any, letter: Array) -> tuple[Array, Any]:
        outputs = model.apply(variables, letter.reshape(-1, 1), ones, categories, state, train=False)
        return outputs.logits[:, 0], outputs.state

    return decode.sample(step, state, last, key, MAX_LENGTH, temperature)


def _generate(experiment: Experiment, dataset: Dataset, model: Any, variables: Any, key: Array) -> GeneratedSamples:
    """Names with first letters and categories drawn from the training names, and the share of them that are training
    names.
    """
    conditional = _is_conditional(experiment)
    vocabulary = text.Vocabulary(tuple(dataset.meta["tokens"]))
    train = dataset.splits["train"]
    training_names = {"".join(vocabulary.decode(row)) for row in train["token"]}
    chosen = np.asarray(jax.random.randint(key, (_SAMPLES,), 0, dataset.examples("train")))
    starts = [vocabulary.tokens[row[0]] for row in train["token"][chosen]]
    categories = jnp.asarray(train["category"][chosen]) if conditional else jnp.zeros(_SAMPLES, jnp.int32)
    names = Predictor(model, variables, dataset.meta, experiment).complete(starts, categories, key, _TEMPERATURE)
    metrics = {"samples_in_training": sum(name in training_names for name in names) / _SAMPLES}
    if not conditional:
        rows = [(", ".join(names[i : i + 8]),) for i in range(0, 8 * _SHOWN_EACH, 8)]
        return GeneratedSamples(metrics, ("names",), rows)
    by_category: dict[int, list[str]] = {}
    for name, index in zip(names, categories.tolist(), strict=True):
        by_category.setdefault(index, []).append(name)
    shown = [
        (category, ", ".join(by_category[index][:_SHOWN_EACH]))
        for index, category in enumerate(dataset.meta["categories"])
        if index in by_category
    ]
    return GeneratedSamples(metrics, ("category", "names"), shown)
