"""Language models of running text."""

import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from jaxnets import decode, feed, tasks
from jaxnets.config import Experiment, TextData
from jaxnets.data import corpora, text
from jaxnets.data.store import Prepared
from jaxnets.errors import UserError
from jaxnets.model_config import LanguageModelConfig
from jaxnets.nn.sequence import State, zero_state
from jaxnets.problems.problem import Generated, Problem, check_fields

Array = jax.Array

_PROMPTS = {"letters": ("ROMEO:", "The king", "What is"), "words": ("think about", "the king", "what is")}
_LENGTHS = {"letters": 240, "words": 24}


def build(experiment: Experiment, data: Prepared) -> Problem:
    """Running text in windows."""
    config, model = experiment.data, experiment.model
    assert isinstance(config, TextData)
    assert isinstance(model, LanguageModelConfig)
    check_fields(experiment.id, data, "token")
    tokens = data.examples("train")
    train = feed.windows(config.batch_size, config.window, tokens)
    if train.steps < 1:
        raise UserError(
            f"{experiment.id}: {config.batch_size} places of {config.window} tokens are more than the training text of "
            f"{data.name} holds ({tokens:,}); choose a smaller data.batch_size or data.window"
        )

    counts = {split: data.examples(split) for split in data.splits}
    evaluated = {split: min(count, experiment.eval_examples or count) for split, count in counts.items()}
    fewest = min(evaluated.values())
    if experiment.eval_batch_size >= fewest:
        raise UserError(f"{experiment.id}: eval_batch_size must be below {fewest}, the tokens of the smallest split")
    carry = functools.partial(zero_state, model.layers, hidden=model.hidden)
    return Problem(
        task=tasks.read_on(by_letter=data.meta["tokeniser"] == "letters"),
        sizes={"types": len(data.meta["tokens"])},
        inputs=(jnp.zeros((1, 2), jnp.int32), carry(1)),
        arrays=data.splits,
        train=train,
        evaluate=lambda split: feed.every_window(experiment.eval_batch_size, config.window, evaluated[split]),
        examples=config.batch_size * config.window,
        carry=carry(config.batch_size),
        eval_carry=carry(experiment.eval_batch_size),
        generate=functools.partial(_generate, data.meta),
    )


def continue_text(
    model: Any,
    variables: Any,
    meta: Mapping[str, Any],
    prompt: str,
    length: int,
    key: Array,
    temperature: float,
    width: int = 0,
) -> str:
    """`prompt` with `length` tokens more: sampled, or, if `width` is above 0, the likeliest that a beam of it finds."""
    vocabulary = text.Vocabulary(tuple(meta["tokens"]))
    tokeniser = corpora.TOKENISERS[meta["tokeniser"]]
    tokens = [token for token in tokeniser(prompt) if token != text.END]
    if not tokens:
        raise UserError("the prompt is empty: give at least one letter or word")
    if unknown := sorted({token for token in tokens if token not in vocabulary.numbers}):
        raise UserError(f"the prompt {prompt!r}: {', '.join(map(repr, unknown))} never stood in the training text")
    encoded = jnp.asarray([vocabulary.encode(tokens, "the prompt")])
    if width:
        end = vocabulary.numbers.get(text.END, -1)
        [written], _ = _beam(model, variables, encoded, end, length, width)
    else:
        [written] = _sample(model, variables, encoded, key, length, temperature)
    found = [vocabulary.tokens[number] for number in written]
    if meta["tokeniser"] == "letters":
        return prompt + "".join(found)
    return " ".join([*tokens, *found]).replace(f" {text.END}", "\n").replace("\n ", "\n").rstrip()


def _read_prompt(model: Any, variables: Any, prompt: Array) -> State:
    """The state behind all tokens of the prompt [1, T] but the last."""
    state = zero_state(model.config.layers, 1, model.config.hidden)
    if prompt.shape[1] == 1:
        return state
    return model.apply(variables, prompt[:, :-1], state, train=False).state


def _step(model: Any, variables: Any, state: Any, token: Array) -> tuple[Array, Any]:
    read = model.apply(variables, token.reshape(-1, 1), state, train=False)
    return read.features[:, 0] @ read.kernel + read.bias.reshape(1, -1), read.state


@functools.partial(jax.jit, static_argnums=(0, 4))
def _sample(model: Any, variables: Any, prompt: Array, key: Array, length: int, temperature: Array) -> Array:
    step = functools.partial(_step, model, variables)
    return decode.sample(step, _read_prompt(model, variables, prompt), prompt[:, -1], key, length, temperature)


@functools.partial(jax.jit, static_argnums=(0, 4, 5))
def _beam(model: Any, variables: Any, prompt: Array, end: Array, length: int, width: int) -> tuple[Array, Array]:
    step = functools.partial(_step, model, variables)
    state = jax.tree.map(lambda x: jnp.repeat(x, width, axis=1), _read_prompt(model, variables, prompt))
    tokens, scores = decode.beam(step, state, prompt[0, -1], end, length, width)
    return tokens[:1], scores[:1]


def _generate(meta: Mapping[str, Any], model: Any, variables: Any, key: Array) -> Generated:
    kind = "letters" if meta["tokeniser"] == "letters" else "words"
    numbers = text.Vocabulary(tuple(meta["tokens"])).numbers
    known = [
        p for p in _PROMPTS[kind] if all(t in numbers for t in corpora.TOKENISERS[meta["tokeniser"]](p) if t != text.END)
    ]
    # The stand-ins' vocabulary is too small for these; then the text's most frequent tokens must do.
    prompts = known or [token for token in meta["tokens"] if token not in (text.UNKNOWN, text.END)][:3]
    written = [continue_text(model, variables, meta, p, _LENGTHS[kind], key, 0.8) for p in prompts]
    return Generated({}, ("prompt", "continued"), list(zip(prompts, written, strict=True)))
