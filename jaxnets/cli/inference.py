"""`jaxnets sample`, `classify` and `translate`: using trained nets."""

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import tyro

from jaxnets.cli.parse import optional, parse, shown_as
from jaxnets.errors import UserError


@dataclasses.dataclass(frozen=True)
class _Run:
    run: tyro.conf.Positional[Annotated[Path, shown_as("RUN")]]
    """The folder of a run, for example runs/translate/gru."""


@dataclasses.dataclass(frozen=True)
class SampleOptions(_Run):
    """Generates names or text with a trained net."""

    category: Annotated[str | None, optional("STR")] = None
    """Names: their nationality, for nets trained with one."""
    start: str = "A"
    """Names: their first letter or letters."""
    prompt: str = "think about"
    """Text: the beginning, which the net continues."""
    length: int = 200
    """Text: the number of letters or words to generate."""
    temperature: float = 0.8
    """Softmax temperature. Below 1 sharpens the distribution; towards 0 sampling becomes greedy."""
    beam: int = 0
    """Text: instead of sampling, search for the most likely continuation with a beam of this width; 0 samples."""
    number: int = 5
    """How many names or texts to generate."""
    seed: int = 0
    """Seed of the random number generator."""
    replica: int = 0
    """Which of the run's replicas to use, counted from 0; a run trains one per seed."""


@dataclasses.dataclass(frozen=True)
class ClassifyOptions(_Run):
    """Tells whether reviews are positive or negative."""

    texts: tyro.conf.Positional[Annotated[tuple[str, ...], optional("TEXT…")]] = ()
    """The reviews, each quoted as one argument."""
    replica: int = 0
    """Which of the run's replicas to use, counted from 0; a run trains one per seed."""


@dataclasses.dataclass(frozen=True)
class TranslateOptions(_Run):
    """Translates French sentences into English."""

    sentences: tyro.conf.Positional[Annotated[tuple[str, ...], optional("TEXT…")]] = ()
    """The sentences, each quoted as one argument."""
    beam: int = 1
    """Width of the beam search; 1 takes the most likely word at every step."""
    replica: int = 0
    """Which of the run's replicas to use, counted from 0; a run trains one per seed."""


def _load(folder: Path, replica: int, command: str) -> Any:
    """The predictor of the trained net in a folder. Raises UserError for a net that belongs to another command."""
    from jaxnets import registry  # Imported here because these import jax, which the help text does not need.
    from jaxnets.runs import load
    from jaxnets.runs.folder import RunFolder

    predictor = registry.resolve(RunFolder(folder).experiment().task).Predictor
    if predictor.command != command:
        raise UserError(f"{folder}: this net cannot {command}; use `jaxnets {predictor.command}`")
    return load.load(folder, replica).predictor


def _check(condition: bool, message: str) -> None:
    if not condition:
        raise UserError(message)


def sample(args: list[str]) -> int:
    """Prints the generated names or texts, one per line, and returns exit status 0."""
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


def classify_reviews(args: list[str]) -> int:
    """Prints class, probability and text of each review on a line, and returns exit status 0."""
    options = parse(ClassifyOptions, "classify", args)
    _check(bool(options.texts), 'classify needs a text, for example: jaxnets classify RUN "A wonderful film."')
    predictor = _load(options.run, options.replica, "classify")
    for text, probabilities in zip(options.texts, predictor.classify(options.texts), strict=True):
        best = max(probabilities, key=probabilities.get)
        print(f"{best}  {100 * probabilities[best]:.1f} %  {text}")
    return 0


def translate(args: list[str]) -> int:
    """Prints the translation of each sentence on a line, and returns exit status 0."""
    options = parse(TranslateOptions, "translate", args)
    _check(bool(options.sentences), 'translate needs a sentence, for example: jaxnets translate RUN "je suis content ."')
    _check(options.beam >= 1, f"beam must be at least 1, got {options.beam}")
    for sentence in _load(options.run, options.replica, "translate").translate(options.sentences, options.beam):
        print(sentence)
    return 0
