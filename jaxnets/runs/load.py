"""Trained nets, read back from their run folders."""

from pathlib import Path
from typing import Any, NamedTuple

import jax

from jaxnets import registry
from jaxnets.config import Experiment, with_field
from jaxnets.data import catalog
from jaxnets.data.store import Dataset
from jaxnets.errors import UserError
from jaxnets.runs.folder import RunFolder
from jaxnets.training import engine as engines
from jaxnets.training.best import BestWeights, first_best
from jaxnets.training.checkpoint import Checkpoints, Snapshot
from jaxnets.training.memory import OutOfMemory


class TrainedNet(NamedTuple):
    """One replica of a run, with its data set."""

    experiment: Experiment
    model: Any
    variables: Any
    """As Flax's `apply` takes them, "params" included."""
    dataset: Dataset

    @property
    def predictor(self) -> Any:
        """The net as its task uses it: the `Predictor` of the task's module."""
        predictor = registry.resolve(self.experiment.task).Predictor
        return predictor(self.model, self.variables, self.dataset.meta, self.experiment)


def load(folder: Path, replica: int = 0) -> TrainedNet:
    """The net of a run folder: its best weights by validation, or its last, as the experiment says.

    Raises UserError for a folder without a checkpoint, a replica that is not there, and data that is not prepared.
    """
    experiment = RunFolder(folder).experiment()
    if not 0 <= replica < experiment.seeds:
        raise UserError(f"{folder} has replicas 0 to {experiment.seeds - 1}, not {replica}")
    dataset = catalog.open_dataset(experiment.dataset)
    # The checkpoint holds all weights: none are fetched to be replaced.
    scratch = with_field(experiment, "model.weights", "none") if hasattr(experiment.model, "weights") else experiment
    engine = engines.build(scratch, dataset)
    try:
        state = engine.init()
    except OutOfMemory as error:
        raise UserError(error.explain(experiment)) from error
    checkpoints = Checkpoints(folder / "checkpoints")
    try:
        snapshot, _ = checkpoints.restore(Snapshot(state, tuple(first_best(state)), {}))
    finally:
        checkpoints.close()
    if snapshot is None:
        raise UserError(f"{folder} has no checkpoint yet: train longer, or choose another folder")
    variables = snapshot.latest.variables if experiment.select == "last" else BestWeights(*snapshot.best).variables
    return TrainedNet(experiment, engine.model, jax.tree.map(lambda x: x[replica], variables), dataset)
