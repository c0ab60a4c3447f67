"""What the command line does, as functions: `jaxnets.experiments`, `train`, `load` and `load_dataset`."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console

from jaxnets import registry
from jaxnets.config import Experiment, validate, with_fields
from jaxnets.config.fields import user_path
from jaxnets.data import catalog
from jaxnets.errors import UserError
from jaxnets.runs import load as runs_load
from jaxnets.runs import records, weights
from jaxnets.runs import train as runs_train
from jaxnets.runs.folder import RunFolder
from jaxnets.runs.progress import Reporter

Json = dict[str, Any]
PathLike = str | os.PathLike[str]


class Result(NamedTuple):
    """A finished run."""

    folder: Path
    """Where the run is; `load` takes it, and so do the commands of the shell."""
    summary: Json
    """The content of summary.json; `summary["final"]["test"]["accuracy"]` has "mean", "std", "n" and "values" by seed."""
    history: dict[str, np.ndarray]
    """[epochs, seeds] for each metric of a split, such as "train_loss" and "validation_accuracy"."""
    variables: Mapping[str, Any]
    """The selected weights, as Flax's `apply` takes them, with a leading seed axis [S]."""


def experiments() -> dict[str, Experiment]:
    """Every built-in experiment by id: frozen dataclasses, whose fields `train` can change.

    >>> experiments()["cifar10/lenet/super"].epochs
    200
    """
    return registry.all_experiments()


def train(experiment: Experiment | str, *, out: PathLike = "runs", quiet: bool = False, **changes: Any) -> Result:
    """Trains all seeds of an experiment at once, or resumes it, and returns what came of it.

    `train("cifar10/lenet/super", seeds=8, epochs=10, **{"data.source": "synthetic", "optim.lr": 3e-4})` does what
    `jaxnets run cifar10/lenet/super --seeds 8 --epochs 10 --data.source synthetic --optim.lr 3e-4` does, in the same folder.

    Args:
      experiment: one of `experiments()`, one of your own, or an id. `mine.py:id` names one in a config file.
      out: the run's folder is `out`/id. A run that is there already is resumed, or read if it is finished.
      quiet: prints nothing.
      changes: new values of fields, by their dotted paths.

    Raises:
      UserError: a field that does not exist or a value that does not fit, data that is not prepared, a folder that holds
        another run, or a loss that is no longer finite in every seed.
      jaxnets.training.signals.Interrupted: after Ctrl-C, when the run is saved.
    """
    changed = configure(experiment, changes)
    folder = user_path(out) / changed.id
    summary = runs_train.train(changed, folder, Reporter(Console(quiet=quiet)))
    return Result(folder, summary, history(folder), weights.load(folder)[0])


def configure(experiment: Experiment | str, changes: Mapping[str, Any]) -> Experiment:
    """An experiment with new values of fields, given by their dotted paths. Raises UserError as `train`."""
    changed = one_experiment(experiment) if isinstance(experiment, str) else experiment
    return validate(with_fields(changed, changes))


def one_experiment(name: str) -> Experiment:
    """The experiment that a name means. Raises UserError if it is a family's, or nobody's."""
    matches = registry.select([name])
    if len(matches) > 1:
        raise UserError(f"{name} names {len(matches)} experiments, {matches[0].id} and others: choose one")
    return matches[0]


def history(run: PathLike) -> dict[str, np.ndarray]:
    """Metrics of a run's epochs so far: "train_loss", "validation_accuracy", … -> [epochs, seeds]; NaN for failed seeds."""
    recorded = RunFolder(user_path(run)).metrics()
    return {name: np.array(curve, float) for name, curve in records.curves(recorded).items()}


def load(run: PathLike, replica: int = 0) -> Any:
    """The trained net of a run, ready to be called. Neither its data set nor its checkpoints are needed.

    What it takes and gives depends on its task:

    - classification of images: uint8 [N, H, W, C] -> probabilities [N, classes]
    - autoencoding: uint8 [N, H, W, C] -> reconstructions [N, H, W, C] in [0, 1]
    - sentiment: sentences -> probabilities [N, classes]
    - translation: sentences -> their translations
    - language models: the beginning of a text, or of a name -> its continuation

    The net's `meta` has class names and vocabulary, `model` and `variables` are Flax's.

    Args:
      run: its folder, or the name of a net that comes with jaxnets, such as "letters".
      replica: which of the run's seeds, counted from 0.

    Raises:
      UserError: there is no such run, or it has no weights or no such replica.
    """
    return runs_load.load(user_path(run), replica).predictor


def load_dataset(name: str) -> tuple[Mapping[str, np.ndarray], ...]:
    """The splits of a prepared data set, in the order train, validation, test: arrays by field, such as "image" and "label".

    The arrays are mapped from disk, so that only what is used is read. A synthetic set is made first, if need be.

    Raises:
      UserError: another set that is not prepared; the message says how to prepare it.
    """
    splits = catalog.open_dataset(name).splits
    return tuple(splits[split] for split in ("train", "validation", "test") if split in splits)
