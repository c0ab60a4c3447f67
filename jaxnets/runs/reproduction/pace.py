"""How long training takes on this machine: what earlier runs of the same work took, or else a few steps, timed.

Times recorded on other hardware are scaled by one measurement: how long a step of `REFERENCE` takes here and took there.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import jax

from jaxnets import registry
from jaxnets.config import Experiment, to_json
from jaxnets.data import catalog
from jaxnets.runs.reproduction.evidence import Record
from jaxnets.tasks import task as tasks
from jaxnets.training import engine as engines

REFERENCE = "cifar10/lenet/super"
_TIMED_SECONDS, _EXAMPLES, _BATCH = 1.5, 4096, 128
_VOCABULARIES = ("tokens", "words", "source", "target")
"""What names of vocabularies among the meta data of sets begin with."""
EVALUATION = 1.1
"""What evaluation after every epoch adds to steps that were timed alone."""
_PARAMETERS = 10**9
"""Stands for a model's own number where work is compared: models of equal sizes have equally many."""
_LAST_EVALUATION = 12
"""The last evaluation, of all splits, takes as long as this many of the validation split, as of CIFAR-10's."""


class Pace(NamedTuple):
    """The time that training takes."""

    example: float
    """Seconds of a step of one replica for each example of its batch, evaluation included."""
    start: float
    """Seconds besides all steps: compilation and the last evaluation."""
    measured: bool
    """Whether it was timed here and now."""


class Paces:
    """The paces of experiments. Each is measured at most once; `report` is told before, since it takes a while."""

    def __init__(self, records: Sequence[Record], report: Callable[[str], None] = lambda text: None) -> None:
        self._report = report
        self._recorded: dict[str, list[tuple[str, Pace]]] = {}
        # Long runs first, in which the last evaluation weighs less; of these the one that was disturbed least.
        for record in sorted(records, key=_least_disturbed):
            if not catalog.is_own(record.experiment.data.source):
                known = self._recorded.setdefault(_work(record.experiment), [])
                known.append((record.row["hardware"], _recorded(record)))
        self._measured: dict[str, Pace] = {}

    def of(self, experiment: Experiment) -> Pace:
        """The pace of an experiment, in batches of any size. Where it has to be measured this takes seconds or a minute."""
        recorded = self._recorded.get(_work(experiment))
        if not recorded:
            return self._measure(experiment)
        hardware, pace = recorded[0]
        factor = self._factor(hardware)
        return Pace(factor * pace.example, factor * pace.start, measured=False)

    def _factor(self, hardware: str) -> float:
        """How much longer a step takes here than on the hardware of a record; 1 where nothing can be compared."""
        reference = registry.all_experiments()[REFERENCE]
        there = [pace.example for name, pace in self._recorded.get(_work(reference), ()) if name == hardware]
        return self._measure(reference).example / there[0] if there else 1.0

    def _measure(self, experiment: Experiment) -> Pace:
        key = _work(experiment)
        if key not in self._measured:
            self._report(f"timing a few steps of {experiment.id}")
            self._measured[key] = measure(experiment)
        return self._measured[key]


def steps(experiment: Experiment) -> int:
    """Steps of the whole training of an experiment, whose data need not be prepared."""
    return (
        experiment.steps or experiment.epochs * tasks.build(experiment, catalog.spec_of(experiment.data)).train_loader.steps
    )


def measure(experiment: Experiment) -> Pace:
    """Times steps of one replica in batches of _BATCH at most, on zeros of the data's shapes."""
    spec = catalog.spec_of(experiment.data)
    batch = min(experiment.data.batch_size, _BATCH)
    small = replace(experiment, seeds=1, grad_accumulation_steps=1, data=replace(experiment.data, batch_size=batch))
    few = {split: {name: array[:_EXAMPLES] for name, array in fields.items()} for split, fields in spec.splits.items()}
    started = time.perf_counter()
    engine = engines.build(small, spec._replace(splits=few), pretrained={})
    state = engine.init()
    first = jax.tree.map(lambda x: x[:, :1], engine.epoch_indices(state.key, 0))
    state = jax.block_until_ready(engine.train(state, first))[0]
    ready, timed = time.perf_counter(), 0
    while not timed or time.perf_counter() - ready < _TIMED_SECONDS:
        state = jax.block_until_ready(engine.train(state, first))[0]
        timed += 1
    return Pace(EVALUATION * (time.perf_counter() - ready) / timed / batch, ready - started, measured=True)


def _recorded(record: Record) -> Pace:
    row, batch = record.row, record.experiment.data.batch_size
    seconds, replica_steps = row["seconds"], row["steps"] * row["seeds"]
    training = (seconds["train"] + seconds.get("save", 0.0)) / replica_steps  # Older rows have no time for saving.
    evaluation = seconds["eval"] / (row["epochs"] + _LAST_EVALUATION)
    start = seconds.get("compile", 0.0) + _LAST_EVALUATION * evaluation
    return Pace((training + evaluation * row["epochs"] / replica_steps) / batch, start, measured=False)


def _work(experiment: Experiment) -> str:
    """What the time of an example depends on: the sizes of the model and of its input, not rates and initial weights."""
    model = {name: value for name, value in to_json(experiment.model).items() if name != "init" and not _is_rate(value)}
    data = to_json(experiment.data)
    shape = {name: data[name] for name in ("type", "window", "max_length", "gray") if name in data}
    spec = catalog.spec_of(experiment.data)
    shrink = data.get("shrink", 1)
    fields = {name: [size // shrink for size in array.shape[1:-1]] for name, array in spec.splits["train"].items()}
    sizes = [(name, len(spec.meta[name])) for name in sorted(spec.meta) if name.startswith(_VOCABULARIES)]
    return repr(
        (sorted(model.items()), sorted(shape.items()), fields, sizes, experiment.optim.evaluations_per_step(_PARAMETERS))
    )


def _is_rate(value: Any) -> bool:
    return isinstance(value, float) or (isinstance(value, list) and any(isinstance(item, float) for item in value))


def _least_disturbed(record: Record) -> tuple[float, float]:
    return -record.row["steps"] * record.row["seeds"], record.row["seconds"]["train"]
