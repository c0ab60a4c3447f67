"""Spelling names, letter by letter."""

import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxnets import decode, feed, tasks
from jaxnets.config import Experiment, NameData
from jaxnets.data import text
from jaxnets.data.store import Prepared
from jaxnets.errors import UserError
from jaxnets.feed import Arrays
from jaxnets.model_config import NameNetConfig
from jaxnets.nn.sequence import zero_state
from jaxnets.problems.problem import Generated, Problem, check_batch, check_fields, evaluation

Array = jax.Array

LONGEST = 24
"""Letters of a sampled name, at most."""
_SHOWN, _SAMPLED, _TEMPERATURE = 3, 1000, 0.8


def build(experiment: Experiment, data: Prepared) -> Problem:
    """Names, by category where the model asks for one."""
    config, model = experiment.data, experiment.model
    assert isinstance(config, NameData)
    conditional = isinstance(model, NameNetConfig) and model.conditional
    check_fields(experiment.id, data, "token", "length", *(("category",) if conditional else ()))
    check_batch(experiment.id, config.batch_size, data)
    steps = data.splits["train"]["token"].shape[1] - 1

    def make(arrays: Arrays, indices: Array, key: Any) -> Mapping[str, Array]:
        tokens = arrays["token"][indices].astype(jnp.int32)
        category = arrays["category"][indices] if conditional else jnp.zeros_like(indices)
        length = arrays["length"][indices]
        return {"letter": tokens[:, :-1], "next": tokens[:, 1:], "length": length, "category": category}

    by_letter = functools.partial(feed.step_by_step, lengths="length", steps=steps)
    whole = evaluation(experiment, data, make)
    letters = jnp.zeros((1, steps), jnp.int32)
    return Problem(
        task=tasks.spell(),
        sizes={"symbols": len(data.meta["tokens"]), "categories": len(data.meta.get("categories", ()))},
        inputs=(letters, jnp.ones(1, jnp.int32), jnp.zeros(1, jnp.int32)),
        arrays=data.splits,
        train=by_letter(feed.shuffled(config.batch_size, data.examples("train"), make)),
        evaluate=lambda split: by_letter(whole(split)),
        examples=config.batch_size,
        generate=functools.partial(_generate, data, conditional),
    )


def sample(
    model: Any,
    variables: Any,
    meta: Mapping[str, Any],
    starts: list[str],
    categories: Array,
    key: Array,
    temperature: float,
) -> list[str]:
    """A name for each of `starts`, which it begins with; `categories` are numbers [N]."""
    vocabulary = text.Vocabulary(tuple(meta["tokens"]))
    starts = [text.without_accents(start) for start in starts]
    if not all(starts):
        raise UserError("the start of a name is empty: give at least one letter")
    encoded = [vocabulary.encode(start, f"the start {start!r}") for start in starts]
    tokens, lengths = text.pad(encoded, max(map(len, encoded)), np.int32)
    written = np.asarray(_sample(model, variables, jnp.asarray(tokens), jnp.asarray(lengths), categories, key, temperature))
    return [start + "".join(vocabulary.decode(row)) for start, row in zip(starts, written, strict=True)]


@functools.partial(jax.jit, static_argnums=0)
def _sample(
    model: Any, variables: Any, tokens: Array, lengths: Array, categories: Array, key: Array, temperature: Array
) -> Array:
    ones = jnp.ones_like(lengths)
    # All letters but the last are read; the last is what sampling goes on from.
    last = jnp.take_along_axis(tokens, (lengths - 1).reshape(-1, 1), axis=1)[:, 0]
    zero = zero_state(1, tokens.shape[0], model.config.hidden)
    state = model.apply(variables, tokens, lengths - 1, categories, zero, train=False).state

    def step(state: Any, letter: Array) -> tuple[Array, Any]:
        spelled = model.apply(variables, letter.reshape(-1, 1), ones, categories, state, train=False)
        return spelled.logits[:, 0], spelled.state

    return decode.sample(step, state, last, key, LONGEST, temperature)


def category_number(meta: Mapping[str, Any], category: str) -> int:
    """The number of a category. Raises UserError for one that the data does not have."""
    categories = list(meta["categories"])
    if category not in categories:
        raise UserError(f"unknown category {category!r}: choose from {', '.join(categories)}")
    return categories.index(category)


def _generate(data: Prepared, conditional: bool, model: Any, variables: Any, key: Array) -> Generated:
    """Names that begin, and belong to categories, as the training names do, and the share of them that training showed."""
    vocabulary = text.Vocabulary(tuple(data.meta["tokens"]))
    train = data.splits["train"]
    known = {"".join(vocabulary.decode(row)) for row in train["token"]}
    chosen = np.asarray(jax.random.randint(key, (_SAMPLED,), 0, data.examples("train")))
    starts = [vocabulary.tokens[row[0]] for row in train["token"][chosen]]
    categories = jnp.asarray(train["category"][chosen]) if conditional else jnp.zeros(_SAMPLED, jnp.int32)
    written = sample(model, variables, data.meta, starts, categories, key, _TEMPERATURE)
    figures = {"samples_in_training": sum(name in known for name in written) / _SAMPLED}
    if not conditional:
        return Generated(figures, ("names",), [(", ".join(written[i : i + 8]),) for i in range(0, 8 * _SHOWN, 8)])
    of = lambda number: [name for name, c in zip(written, categories.tolist(), strict=True) if c == number][:_SHOWN]
    rows = [(category, ", ".join(of(number))) for number, category in enumerate(data.meta["categories"]) if of(number)]
    return Generated(figures, ("category", "names"), rows)
