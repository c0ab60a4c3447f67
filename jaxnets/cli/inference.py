"""`jaxnets sample`, `classify` and `translate`: using trained nets."""

import dataclasses
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from jaxnets.cli.parse import SEED, Limits, optional, parse, shown_as, split_run
from jaxnets.errors import UserError
from jaxnets.runs import shipped

if TYPE_CHECKING:
    from jaxnets.runs.load import TrainedNet

_MOST = 10_000_000
"""Letters or words that one call generates: they are held in memory, and more takes hours."""


@dataclasses.dataclass(frozen=True)
class _Run:
    run: tyro.conf.Positional[Annotated[Path, shown_as("RUN")]]
    """The folder of a run, for example runs/names/best, or the name of a net that comes with jaxnets (see `jaxnets
    nets`)."""


@dataclasses.dataclass(frozen=True)
class SampleOptions(_Run):
    """Generates names or text with a trained net."""

    category: Annotated[str | None, optional("STR")] = None
    """Names: their nationality, for nets trained with one."""
    start: str = "A"
    """Names: their first letter or letters."""
    prompt: str = "think about"
    """Text: the beginning, which the net continues."""
    length: Annotated[int, Limits(1, 100_000)] = 200
    """Text: the number of letters or words to generate."""
    temperature: Annotated[float, Limits(1e-6)] = 0.8
    """Softmax temperature. Below 1 sharpens the distribution; towards 0 sampling becomes greedy."""
    beam: Annotated[int, Limits(0, 1000)] = 0
    """Text: instead of sampling, search for the most likely continuation with a beam of this width; 0 samples."""
    number: Annotated[int, Limits(1, 10_000)] = 5
    """How many names or texts to generate."""
    seed: Annotated[int, SEED] = 0
    """Seed of the random number generator."""
    replica: int = 0
    """Which of the run's replicas to use, counted from 0; a run trains one per seed."""


@dataclasses.dataclass(frozen=True)
class ClassifyOptions(_Run):
    """Tells the classes of images, or whether reviews are positive or negative."""

    inputs: tyro.conf.Positional[Annotated[tuple[str, ...], optional("INPUT…")]] = ()
    """Picture files for nets of images, texts for nets of reviews, each quoted as one argument."""
    replica: Annotated[int | None, optional("INT")] = None
    """Which of the run's replicas to ask, counted from 0; a run trains one per seed. By default all of them are asked: the
    mean of their probabilities is shown with its standard deviation."""
    out: Annotated[Path | None, optional("FILE")] = None
    """Also draw the probabilities, a dot for each replica, and write the picture to this file."""


@dataclasses.dataclass(frozen=True)
class TranslateOptions:
    """Translates French sentences into English."""

    sentences: tyro.conf.Positional[Annotated[tuple[str, ...], optional("[RUN] TEXT…")]] = ()
    """The sentences, each quoted as one argument. Before several, or before one: the folder of a run, for example
    runs/translate/gru, or the name of a net that comes with jaxnets (see `jaxnets nets`). One sentence alone is for the net
    called translate."""
    beam: Annotated[int, Limits(1, 1000)] = 1
    """Width of the beam search; 1 takes the most likely word at every step."""
    replica: int = 0
    """Which of the run's replicas to use, counted from 0; a run trains one per seed."""


def _load(run: Path, replica: int | None, command: str) -> "list[TrainedNet]":
    """The trained net of a run, or those of all replicas. Raises UserError for nets that belong to another command."""
    from jaxnets import registry  # Imported here because these import jax, which the help text does not need.
    from jaxnets.runs import load
    from jaxnets.training import process

    process.prepare()
    predictor = registry.resolve(load.experiment(run).task).Predictor
    if predictor.command != command:
        raise UserError(f"{run}: this net cannot {command}; use `jaxnets {predictor.command}`")
    return load.load_all(run) if replica is None else [load.load(run, replica)]


def _check(condition: bool, message: str) -> None:
    if not condition:
        raise UserError(message)


def sample(args: list[str]) -> int:
    """Prints the generated names or texts, one per line, and returns exit status 0."""
    options = parse(SampleOptions, "sample", args)
    [net] = _load(options.run, options.replica, "sample")
    import jax

    keys = jax.random.split(jax.random.key(options.seed), options.number)
    if net.experiment.data.independent:
        names = net.predictor.sample(options.category, options.start, keys[0], options.number, options.temperature)
        print("\n".join(names))
        return 0
    factors = {"--length": options.length} | ({"--beam": options.beam} if options.beam else {"--number": options.number})
    product = " × ".join(f"{name} {value:,}" for name, value in factors.items())
    _check(math.prod(factors.values()) <= _MOST, f"{product} is too much: at most {_MOST:,} letters or words; lower either")
    for text in net.predictor.sample(options.prompt, options.length, keys, options.temperature, options.beam):
        print(text)
    return 0


def classify(args: list[str]) -> int:
    """Prints class, probability and name of each input on a line, and returns exit status 0."""
    options = parse(ClassifyOptions, "classify", args)
    _check(bool(options.inputs), 'classify needs pictures or texts, for example: jaxnets classify RUN "A wonderful film."')
    nets = _load(options.run, options.replica, "classify")
    import numpy as np

    from jaxnets.config.fields import user_path
    from jaxnets.data import image_io

    fields, class_names = nets[0].spec.splits["train"], nets[0].spec.meta["class_names"]
    inputs = options.inputs
    if "image" in fields:
        inputs = np.stack([image_io.read_as(user_path(name), fields["image"].shape[1:]) for name in inputs])
    answers = np.stack([net.predictor(inputs) for net in nets])  # [S, N, classes]
    for name, by_seed in zip(options.inputs, np.moveaxis(answers, 1, 0), strict=True):
        best = by_seed.mean(0).argmax()
        spread = f" ± {100 * by_seed[:, best].std(ddof=1):.1f}" if len(nets) > 1 else ""
        print(f"{class_names[best]}  {100 * by_seed[:, best].mean():.1f}{spread} %  {name}")
    if options.out:
        from jaxnets.analysis.report import plots, probabilities

        print(f"picture: {plots.save(probabilities.draw(answers, class_names, inputs), options.out, 120)}")
    return 0


def translate(args: list[str]) -> int:
    """Prints the translation of each sentence on a line, and returns exit status 0."""
    options = parse(TranslateOptions, "translate", args)
    run, sentences = split_run(options.sentences, shipped.TRANSLATOR)
    _check(bool(sentences), 'translate needs a sentence, for example: jaxnets translate RUN "je suis content ."')
    [net] = _load(run, options.replica, "translate")
    for sentence in net.predictor.translate(sentences, options.beam):
        print(sentence)
    return 0
