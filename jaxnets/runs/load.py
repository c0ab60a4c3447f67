"""Trained nets, read back from their run folders."""

from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxnets import models, registry
from jaxnets.config import Experiment
from jaxnets.data.store import Dataset
from jaxnets.errors import UserError, first_line
from jaxnets.runs import shipped, weights
from jaxnets.runs.folder import RunFolder
from jaxnets.tasks import task as tasks


class TrainedNet(NamedTuple):
    """One replica of a run, and what is known of its data set."""

    experiment: Experiment
    model: Any
    variables: Any
    """As Flax's `apply` takes them, "params" included."""
    spec: Dataset
    """Shapes and meta data of the data set; its content is not needed."""

    @property
    def predictor(self) -> Any:
        """The net as its task uses it: the `Predictor` of the task's module."""
        predictor = registry.resolve(self.experiment.task).Predictor
        return predictor(self.model, self.variables, self.spec.meta, self.experiment)


def load(run: Path, replica: int = 0) -> TrainedNet:
    """One net of a run: its best weights by validation, or its last, as the experiment says.

    Neither the data set nor the machine of the training is needed.

    Args:
      run: its folder, or the name of a net that comes with jaxnets (see jaxnets.runs.shipped).
      replica: which of its seeds, counted from 0.

    Raises:
      UserError: a folder without weights, or a replica that is not there or failed in training.
    """
    trained = experiment(run)
    if not 0 <= replica < trained.seeds:
        raise UserError(f"{run} has replicas 0 to {trained.seeds - 1}, not {replica}")
    if replica not in (known := completed(run)):
        others = ", ".join(map(str, known))
        raise UserError(f"{run}: replica {replica} failed in training; those that completed it are {others}")
    return _load(shipped.locate(run), trained)[replica]


def experiment(run: Path) -> Experiment:
    """What a run trained. `run` is as in `load`."""
    return RunFolder(shipped.locate(run)).experiment()


def completed(run: Path) -> list[int]:
    """The replicas of a run whose training came to its end; all of them, where no summary says which did."""
    folder = RunFolder(shipped.locate(run))
    failed_at = folder.summary()["failed_at"] if folder.finished else [-1] * folder.experiment().seeds
    return [replica for replica, step in enumerate(failed_at) if step < 0]


def load_all(run: Path) -> list[TrainedNet]:
    """The nets of all replicas of a run that completed training, as `load` gives one."""
    nets = _load(shipped.locate(run), experiment(run))
    return [nets[replica] for replica in completed(run)]


def _load(folder: Path, experiment: Experiment) -> list[TrainedNet]:
    variables, spec = weights.load(folder)
    try:
        task = tasks.build(experiment, spec)
        model = models.build(experiment.model, task.sizes)
        like = models.variable_shapes(model, task.sample_inputs)
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise UserError(
            f"{folder}: {weights.NET} does not describe the data of its config.json ({first_line(error)})"
        ) from None
    expected, found = (jax.tree.map(np.shape, tree) for tree in (like, jax.tree.map(lambda x: x[0], variables)))
    if expected != found:
        raise UserError(f"{folder}: {weights.WEIGHTS} holds another net than config.json describes")
    # Those of shipped nets are rounded to float16.
    of_replica = lambda i: jax.tree.map(lambda x, like: x[i].astype(like.dtype, copy=False), variables, like)
    return [TrainedNet(experiment, model, of_replica(i), spec) for i in range(experiment.seeds)]
