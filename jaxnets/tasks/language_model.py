"""Language models of running text, by letters or by words (reports S0 §2, S4 §6.9 and §6.10)."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from jaxnets.config import Experiment
from jaxnets.data import corpora, text
from jaxnets.data.store import Dataset
from jaxnets.errors import UserError
from jaxnets.nn.sequence import RNNState, zero_carry
from jaxnets.pipeline import loaders
from jaxnets.pipeline.loaders import Batch
from jaxnets.tasks import decode, losses
from jaxnets.tasks.metrics import PERPLEXITY, Derived
from jaxnets.tasks.task import GeneratedSamples, Objective, PredictorBase, Task, check_fields

Array = jax.Array

_PROMPTS = {"letters": ("ROMEO:", "The king", "What is"), "words": ("think about", "the king", "what is")}
_SAMPLE_LENGTHS = {"letters": 240, "words": 24}
_TEMPERATURE = 0.8


def build(experiment: Experiment, dataset: Dataset) -> Task:
    """Parallel streams of running text, a window a step; the recurrent state is carried from step to step."""
    config: Any = experiment.data
    model: Any = experiment.model
    check_fields(experiment, dataset, "token")
    tokens = dataset.examples("train")
    train_loader = loaders.bptt_batches(config.batch_size, config.window, tokens)
    if train_loader.steps < 1:
        raise UserError(
            f"{experiment.id}: {config.batch_size} streams of {config.window} tokens are more than the training text of "
            f"{dataset.name} holds ({tokens:,}); choose a smaller data.batch_size or data.window"
        )
    counts = {split: dataset.examples(split) for split in dataset.splits}
    evaluated = {split: min(count, experiment.eval_examples or count) for split, count in counts.items()}
    fewest = min(evaluated.values())
    if experiment.eval_batch_size >= fewest:
        raise UserError(f"{experiment.id}: eval_batch_size must be below {fewest}, the tokens of the smallest split")
    carry = functools.partial(zero_carry, model.layers, hidden=model.hidden)
    return Task(
        objective=objective(by_letter=dataset.meta["tokenizer"] == "letters"),
        sizes={"vocab_size": len(dataset.meta["tokens"])},
        sample_inputs=(jnp.zeros((1, 2), jnp.int32), carry(1)),
        arrays=dataset.splits,
        train_loader=train_loader,
        eval_loader=lambda split: loaders.eval_windows(experiment.eval_batch_size, config.window, evaluated[split]),
        examples_per_step=config.batch_size * config.window,
        carry=carry(config.batch_size),
        eval_carry=carry(experiment.eval_batch_size),
        generate=functools.partial(_generate, experiment, dataset),
    )


def objective(by_letter: bool) -> Objective:
    """The next token: batches of "token", "next" and "mask", all [N, T], and "reset".

    The state is carried from batch to batch, without gradients, and set to zero where "reset" is 1: at the start of a pass.
    Text by letters is judged in bits a letter, by words in perplexity.
    """
    bits: Derived = {"bits": ("loss", lambda loss: loss / jnp.log(2.0))}

    def with_carry(batch: Batch, state: Any) -> Batch:
        return {**batch, "state": jax.tree.map(lambda x: x * (1 - batch["reset"]), state)}

    return Objective(
        inputs=lambda batch: (batch["token"], batch["state"]),
        metrics=lambda outputs, batch: {
            "loss": losses.head_cross_entropy(outputs.features, outputs.kernel, outputs.bias, batch["next"], batch["mask"])
        },
        monitor="loss",
        higher_is_better=False,
        derived=bits if by_letter else PERPLEXITY,
        with_carry=with_carry,
        carry=lambda outputs: jax.lax.stop_gradient(outputs.state),
    )


@dataclasses.dataclass(frozen=True)
class Predictor(PredictorBase):
    """Continues texts."""

    command: ClassVar[str] = "sample"

    def __call__(self, prompt: str, length: int = 200, *, temperature: float = 0.8, seed: int = 0) -> str:
        """`prompt`, continued by `length` tokens that are drawn at random. Raises UserError as `sample`."""
        return self.sample(prompt, length, jax.random.key(seed)[None], temperature)[0]

    def sample(self, prompt: str, length: int, keys: Array, temperature: float, beam_width: int = 0) -> list[str]:
        """A text for each key that continues `prompt` by `length` tokens.

        With a beam only one text, the most likely that a beam of `beam_width` finds. Raises UserError for an empty prompt,
        and for tokens that the training text did not have.
        """
        return [self._continue(prompt, length, key, temperature, beam_width) for key in (keys[:1] if beam_width else keys)]

    def _continue(self, prompt: str, length: int, key: Array, temperature: float, beam_width: int) -> str:
        vocabulary = text.Vocabulary(tuple(self.meta["tokens"]))
        tokens = tokenize(self.meta, prompt)
        if not tokens:
            raise UserError("the prompt is empty: give at least one letter or word")
        if unknown := sorted({token for token in tokens if token not in vocabulary.numbers}):
            raise UserError(f"the prompt {prompt!r}: {', '.join(map(repr, unknown))} never occurred in the training text")
        encoded = jnp.asarray([vocabulary.encode(tokens, "the prompt")])
        if beam_width:
            end = vocabulary.numbers.get(text.END, -1)
            [sampled], _ = _beam(self.model, self.variables, encoded, end, length, beam_width)
        else:
            [sampled] = _sample(self.model, self.variables, encoded, key, length, temperature)
        continuation = [vocabulary.tokens[number] for number in sampled]
        if self.meta["tokenizer"] == "letters":
            return prompt + "".join(continuation)
        return " ".join([*tokens, *continuation]).replace(f" {text.END}", "\n").replace("\n ", "\n").rstrip()


def tokenize(meta: Mapping[str, Any], prompt: str) -> list[str]:
    """The tokens of a prompt, by the tokenizer of the training text and without its marker of line ends."""
    return [token for token in corpora.TOKENIZERS[meta["tokenizer"]](prompt) if token != text.END]


def _read_prompt(model: Any, variables: Any, prompt: Array) -> RNNState:
    """The state after all tokens of the prompt [1, T] but the last."""
    state = zero_carry(model.config.layers, 1, model.config.hidden)
    if prompt.shape[1] == 1:
        return state
    return model.apply(variables, prompt[:, :-1], state, train=False).state


def _step(model: Any, variables: Any, state: Any, token: Array) -> tuple[Array, Any]:
    outputs = model.apply(variables, token.reshape(-1, 1), state, train=False)
    return outputs.features[:, 0] @ outputs.kernel + outputs.bias.reshape(1, -1), outputs.state


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


def _generate(experiment: Experiment, dataset: Dataset, model: Any, variables: Any, key: Array) -> GeneratedSamples:
    """Continuations of the reports' prompts."""
    meta = dataset.meta
    kind = "letters" if meta["tokenizer"] == "letters" else "words"
    numbers = text.Vocabulary(tuple(meta["tokens"])).numbers
    known = [prompt for prompt in _PROMPTS[kind] if all(token in numbers for token in tokenize(meta, prompt))]
    # The synthetic sets' vocabularies are too small for these prompts; the text's most frequent tokens take their place.
    prompts = known or [token for token in meta["tokens"] if token not in (text.UNKNOWN, text.END)][:3]
    predictor = Predictor(model, variables, meta, experiment)
    texts = [predictor.sample(prompt, _SAMPLE_LENGTHS[kind], key[None], _TEMPERATURE)[0] for prompt in prompts]
    return GeneratedSamples({}, ("prompt", "continued"), list(zip(prompts, texts, strict=True)))
