"""`jaxnets sample`, `classify` and `translate`: using trained nets."""

import dataclasses
import math
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from jaxnets.cli.parse import SEED, Limits, keep_inputs, optional, parse, shown_as, split_run
from jaxnets.errors import UserError
from jaxnets.runs import shipped

if TYPE_CHECKING:
    from jaxnets.runs.load import TrainedNet

_MOST = 10_000_000
"""Letters or words that one call generates: they are held in memory, and more takes hours."""

_BY_KIND: dict[str, dict[str, Any]] = {
    "names": {"category": None, "start": "A"},
    "text": {"prompt": "think about", "length": 200, "beam": 0},
}
"""Options that nets of one kind alone have, with their defaults."""


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
    start: Annotated[str | None, optional("STR")] = None
    """Names: their first letter or letters. By default A."""
    prompt: Annotated[str | None, optional("STR")] = None
    """Text: the beginning, which the net continues. By default "think about"."""
    length: Annotated[int | None, optional("INT"), Limits(1, 100_000)] = None
    """Text: the number of letters or words to generate. By default 200."""
    temperature: Annotated[float, Limits(1e-6)] = 0.8
    """Softmax temperature. Below 1 sharpens the distribution; towards 0 sampling becomes greedy."""
    beam: Annotated[int | None, optional("INT"), Limits(0, 1000)] = None
    """Text: instead of sampling, search for the one most likely continuation with a beam of this width. By default 0, which
    samples."""
    number: Annotated[int, Limits(1, 10_000)] = 5
    """How many names or texts to generate."""
    seed: Annotated[int, SEED] = 0
    """Seed of the random number generator."""
    replica: int = 0
    """Which of the run's replicas to use, counted from 0; a run trains one per seed."""


@dataclasses.dataclass(frozen=True)
class ClassifyOptions(_Run):
    """Classifies images, or reviews as positive or negative."""

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
    trained = load.experiment(run)
    predictor = registry.resolve(trained.task).Predictor
    if predictor.command != command:
        raise UserError(f"{run}: this net cannot {command}; use `jaxnets {predictor.command}`")
    if replica is not None:
        return [load.load(run, replica)]
    nets = load.load_all(run)
    if left_out := trained.seeds - len(nets):
        print(f"jaxnets: {left_out} of the seeds of {run} failed in training and are not asked", file=sys.stderr)
    return nets


def _check(condition: bool, message: str) -> None:
    if not condition:
        raise UserError(message)


def _check_decoded(*texts: str) -> None:
    """Raises UserError where a text has bytes that Python could not decode: a net would read other words than were typed."""
    for text in texts:
        if re.search("[\udc80-\udcff]", text):
            encoding = sys.getfilesystemencoding()
            raise UserError(f"{os.fsencode(text)!r} is not text in this locale's encoding, {encoding}; set PYTHONUTF8=1")


def sample(args: list[str]) -> int:
    """Prints the generated names or texts, one per line, and returns exit status 0."""
    options = parse(SampleOptions, "sample", args)
    _check_decoded(*filter(None, (options.category, options.start, options.prompt)))
    [net] = _load(options.run, options.replica, "sample")
    import jax

    kind, other = ("names", "text") if net.experiment.data.independent else ("text", "names")
    for name in _BY_KIND[other]:
        message = f"--{name} is for nets that generate {other}; {options.run} generates {kind}: leave it out"
        _check(getattr(options, name) is None, message)
    given = {name: getattr(options, name) for name in _BY_KIND[kind]}
    own = {name: default if given[name] is None else given[name] for name, default in _BY_KIND[kind].items()}

    keys = jax.random.split(jax.random.key(options.seed), options.number)
    if kind == "names":
        names = net.predictor.sample(own["category"], own["start"], keys[0], options.number, options.temperature)
        print("\n".join(names))
        return 0
    factors = {"--length": own["length"]} | ({"--beam": own["beam"]} if own["beam"] else {"--number": options.number})
    product = " × ".join(f"{name} {value:,}" for name, value in factors.items())
    _check(math.prod(factors.values()) <= _MOST, f"{product} is too much: at most {_MOST:,} letters or words; ask for fewer")
    for text in net.predictor.sample(own["prompt"], own["length"], keys, options.temperature, own["beam"]):
        print(text)
    return 0


def classify(args: list[str]) -> int:
    """Prints class, probability and name of each input on a line, and returns exit status 0."""
    options = parse(ClassifyOptions, "classify", args)
    _check(bool(options.inputs), 'classify needs pictures or texts, for example: jaxnets classify RUN "A wonderful film."')
    keep_inputs("--out", options.out, map(Path, options.inputs))
    nets = _load(options.run, options.replica, "classify")
    import numpy as np

    from jaxnets.config.fields import user_path
    from jaxnets.data import image_io

    fields, class_names = nets[0].spec.splits["train"], nets[0].spec.meta["class_names"]
    inputs = options.inputs
    if "image" in fields:
        inputs = np.stack([image_io.read_as(user_path(name), fields["image"].shape[1:]) for name in inputs])
    else:
        _check_decoded(*inputs)
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
    _check_decoded(*sentences)
    [net] = _load(run, options.replica, "translate")
    for sentence in net.predictor.translate(sentences, options.beam):
        print(sentence)
    return 0
