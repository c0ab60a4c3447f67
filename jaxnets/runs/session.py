"""What one call of training works with, and how far it is."""

import dataclasses
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from jaxnets.config import Experiment
from jaxnets.data.store import Dataset
from jaxnets.runs.clock import Clock
from jaxnets.runs.folder import RunFolder
from jaxnets.runs.progress import Reporter
from jaxnets.runs.tensorboard import TensorBoard
from jaxnets.training import distributed
from jaxnets.training.best import BestWeights
from jaxnets.training.checkpoint import Checkpoints, Snapshot
from jaxnets.training.engine import Engine
from jaxnets.training.state import TrainState


@dataclasses.dataclass
class Position:
    """How far training is: what a checkpoint holds, and when the last was written."""

    state: TrainState
    best: BestWeights
    clock: Clock
    step: int = 0
    sums: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    """Metrics of the current epoch: name -> [2, S] (total, weight)."""
    saved_at: float = dataclasses.field(default_factory=time.perf_counter)
    reported_failures: set[int] = dataclasses.field(default_factory=set)

    def snapshot(self, recorded: int = 0, data: Mapping[str, str] | None = None) -> Snapshot:
        """The content of a checkpoint; `recorded` counts the lines of metrics.jsonl, `data` is a fingerprint."""
        sums = {name: pair.tolist() for name, pair in self.sums.items()}
        progress = {"step": self.step, "sums": sums, "seconds": self.clock.seconds, "recorded": recorded, "data": data}
        return Snapshot(self.state, tuple(self.best), progress)


class Session(NamedTuple):
    """What one call of `train` works with."""

    experiment: Experiment
    dataset: Dataset
    data: Mapping[str, str]
    """The fingerprint of the data set."""
    engine: Engine
    run: RunFolder
    checkpoints: Checkpoints
    reporter: Reporter
    checkpoint_every: float
    board: TensorBoard | None
    noticed: Callable[[], int]
    """The number of the signal that asks this process to stop, or 0."""

    def stop(self) -> int:
        """The number of the signal that asks any process to stop, or 0; all ask at the same step."""
        return int(distributed.largest(self.noticed()))

    @property
    def epochs(self) -> int:
        """Length of training in epochs, the last of which may be incomplete."""
        return -(-self.engine.total_steps // self.engine.steps_per_epoch)

    def is_save_due(self, position: Position) -> bool:
        """Whether a signal asks for a checkpoint, or the time since the last one: on the writer's clock."""
        due = distributed.is_writer() and time.perf_counter() - position.saved_at >= self.checkpoint_every
        return bool(distributed.largest([self.noticed(), due]).any())

    def save(self, position: Position) -> None:
        """Writes a checkpoint."""
        self.run.sync()
        self.checkpoints.save(position.step, position.snapshot(self.run.recorded, self.data))
        position.saved_at = time.perf_counter()
        position.clock.lap("save")
