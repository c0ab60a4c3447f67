"""`jaxnets sample`, `classify` and `translate`: what trained nets are asked to do."""

import dataclasses
from pathlib import Path
from typing import Any

import tyro

from jaxnets.cli.parse import parse
from jaxnets.errors import UserError


@dataclasses.dataclass(frozen=True)
class _Run:
    run: tyro.conf.Positional[Path]
    """The folder of a run, for example runs/translate/gru."""


@dataclasses.dataclass(frozen=True)
class SampleOptions(_Run):
    """Lets a trained net write names or text."""

    category: str | None = None
    """The nationality of names; for nets that were trained with one."""
    start: str = "A"
    """How names begin: one or more letters."""
    prompt: str = "think about"
    """Where running text goes on from."""
    length: int = 200
    """Letters or words of running text."""
    temperature: float = 0.8
    """Softmax temperature: below 1 sharpens the distribution, towards 0 it becomes greedy."""
    beam: int = 0
    """Instead of sampling, the likeliest text that a beam of this width finds. Running text only."""
    number: int = 5
    """How many to write."""
    seed: int = 0
    replica: int = 0
    """Which of the run's seeds writes."""


@dataclasses.dataclass(frozen=True)
class ClassifyOptions(_Run):
    """Tells whether texts are positive or negative."""

    texts: tyro.conf.Positional[tuple[str, ...]]
    replica: int = 0
    """Which of the run's seeds decides."""


@dataclasses.dataclass(frozen=True)
class TranslateOptions(_Run):
    """Translates French sentences into English."""

    sentences: tyro.conf.Positional[tuple[str, ...]]
    beam: int = 1
    """Width of the beam; 1 takes the likeliest word at every step."""
    replica: int = 0
    """Which of the run's seeds translates."""


def _load(folder: Path, replica: int, command: str) -> Any:
    """The predictor of the trained net in a folder. Raises UserError for a net that another command is for."""
    from jaxnets import registry  # These import jax, which the help text can do without.
    from jaxnets.runs import load
    from jaxnets.runs.folder import RunFolder

    predictor = registry.resolve(RunFolder(folder).experiment().task).Predictor
    if predictor.command != command:
        raise UserError(f"{folder}: this net cannot {command}; it is made for `jaxnets {predictor.command}`")
    return load.load(folder, replica).predictor


def _check(fine: bool, what: str) -> None:
    if not fine:
        raise UserError(what)


def sample(args: list[str]) -> int:
    """Names, or running text."""
    options = parse(SampleOptions, "sample", args)
    _check(options.temperature > 0, f"temperature must be above 0, got {options.temperature:g}")
    _check(options.number >= 1, f"number must be at least 1, got {options.number}")
    _check(options.length >= 1, f"length must be at least 1, got {options.length}")
    _check(options.beam >= 0, f"beam must be 0 or more, got {options.beam}")
    predictor = _load(options.run, options.replica, "sample")
    import jax

    keys = jax.random.split(jax.random.key(options.seed), options.number)
    if predictor.experiment.data.independent:
        names = predictor.sample(options.category, options.start, keys[0], options.number, options.temperature)
        print("\n".join(names))
        return 0
    for text in predictor.sample(options.prompt, options.length, keys, options.temperature, options.beam):
        print(text)
    return 0


def classify(args: list[str]) -> int:
    """A line for each text: class, probability, text."""
    options = parse(ClassifyOptions, "classify", args)
    _check(bool(options.texts), 'classify needs a text, for example: jaxnets classify RUN "A wonderful film."')
    predictor = _load(options.run, options.replica, "classify")
    for text, probabilities in zip(options.texts, predictor.classify(options.texts), strict=True):
        best = max(probabilities, key=probabilities.get)
        print(f"{best}  {100 * probabilities[best]:.1f} %  {text}")
    return 0


def translate(args: list[str]) -> int:
    """A line for each sentence."""
    options = parse(TranslateOptions, "translate", args)
    _check(bool(options.sentences), 'translate needs a sentence, for example: jaxnets translate RUN "je suis content ."')
    _check(options.beam >= 1, f"beam must be at least 1, got {options.beam}")
    for sentence in _load(options.run, options.replica, "translate").translate(options.sentences, options.beam):
        print(sentence)
    return 0
