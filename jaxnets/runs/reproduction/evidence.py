"""What runs say of an experiment: which of them count, and their measures by replica.

Measures are those that reports state (`Experiment.reported`), and some that claims need:

    SPLIT_METRIC               final, such as "test_accuracy"; accuracies in percent
    SPLIT_METRIC/CLASS         of one class; of older rows a single value, over all replicas together
    SPLIT_METRIC@EPOCH         after an epoch, from the curves of training and validation
    train_gap, validation_gap  training accuracy minus that of the test split, or of validation
    initial_loss               of the first step
    steps_above_chance         how many of the first recorded steps had a loss above ln(classes)
    epochs_to_best             first epoch with 99 % of the best validation accuracy
    fluctuation                standard deviation of the change of validation accuracy from epoch to epoch
    parameters                 the same in all replicas
    gpu_seconds, gpu_memory_gb, gpu_utilization      cost; ours in seconds a seed on the run's hardware
"""

import functools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from jaxnets.config import Experiment, differences, from_json, to_json, without_description
from jaxnets.errors import UserError
from jaxnets.runs import records
from jaxnets.runs.folder import RunFolder, find_runs

Json = Mapping[str, Any]
Replica = tuple[int, int]
"""(root seed, number of the replica): equal ones draw the same weights, order and masks, whatever the experiment."""

COSTS = ("gpu_seconds", "gpu_memory_gb", "gpu_utilization")
GAPS = {
    "train_gap": ("train_accuracy", "test_accuracy"),
    "validation_gap": ("train_accuracy", "validation_accuracy"),
}
"""Measures that are the difference of two others."""
_LENGTH, _DATA = {"epochs", "steps", "eval_examples"}, {"data.source"}
_AT_THE_START = ("initial_loss", "parameters", "steps_above_chance")
"""Measures to which the length of training means nothing."""


@dataclass(frozen=True)
class Record:
    """A finished run."""

    row: Json
    """As `records.rows` makes it."""
    experiment: Experiment
    folder: Path | None = None
    """Where it is on this machine, with its weights and images."""

    @property
    def replicas(self) -> list[Replica]:
        """Of its replicas, in order."""
        return [(self.experiment.seed, i) for i in range(self.row["seeds"])]

    @functools.cached_property
    def settings(self) -> Json:
        """Those of its experiment, computed once however many it is compared with."""
        return settings(self.experiment)


def committed() -> list[Path]:
    """The files of records that a checkout of jaxnets brings along; none in an installed package."""
    return sorted((Path(__file__).parents[3] / "benchmarks" / "results").glob("*.jsonl"))


def gather(files: Iterable[Path], folders: Iterable[Path]) -> list[Record]:
    """The runs in files of records, and the finished ones below folders. Sweeps, whose replicas differ, are left out."""
    found: list[tuple[Json, Path | None]] = [
        (row, None) for path in files for row in records.read(path) if row["kind"] == "run"
    ]
    runs = [run for folder in folders for run in find_runs(folder) if run.finished]
    found += [(row, run.path) for run in runs for row in _rows(run)]
    gathered = []
    for row, path in found:
        try:
            experiment = from_json(Experiment, row["config"])
        except UserError:  # Of a config file that is not loaded: no document names it.
            continue
        if not experiment.grid:
            gathered.append(Record(row, experiment, path))
    return gathered


def _rows(run: RunFolder) -> list[dict[str, Any]]:
    try:
        return list(records.rows([run]))
    except UserError:  # Its config file is not loaded, or a file is damaged: whoever opens that run is told.
        return []


def settings(experiment: Experiment) -> Json:
    """The JSON of all that the results of one replica depend on."""
    data = replace(experiment.data, synthetic="")
    same: dict[str, Any] = dict(id="", seeds=1, seed=0, grid={}, eval_batch_size=1, grad_accumulation_steps=1)
    return to_json(replace(without_description(experiment), **same, data=data))


def departures(ours: Json, documented: Json) -> set[str]:
    """The fields in which two experiments' `settings` differ, by dotted path."""
    return {text.partition(" (")[0] for text in differences(ours, documented)}


@dataclass(frozen=True)
class Evidence:
    """The runs that count for an experiment, all with the same departures from its documentation."""

    documented: Experiment
    records: tuple[Record, ...] = ()
    dataset: str = ""
    """Where it is another data set: its name."""
    epochs: int | None = None
    """Where it is another length: that of the runs."""
    starts: tuple[Record, ...] = ()
    """All runs on the same data, of whatever length."""

    @property
    def exact(self) -> bool:
        """Whether there are runs, on the documented data, of the documented length."""
        return bool(self.records) and not self.dataset and self.epochs is None

    def fitted_to(self, measure: str) -> tuple[str, ...]:
        """The documented settings that were fitted to the reported figure of a measure, or to those it is made of."""
        return tuple(path for name in GAPS.get(measure, (measure,)) for path in self.documented.fitted_to(name))

    def departs(self, measure: str) -> bool:
        """Whether runs depart from the documentation in what matters to a measure."""
        return bool(self.dataset) or (self.epochs is not None and measure not in _AT_THE_START)

    def replicas(self, measure: str) -> dict[Replica, float]:
        """A measure of every replica that came to a finite one; of replicas that ran twice, the later."""
        found: dict[Replica, float] = {}
        for record in (self.starts or self.records) if measure in _AT_THE_START else self.records:
            for replica, value in zip(record.replicas, _values(record.row, measure), strict=False):
                if value is not None and math.isfinite(value):
                    found[replica] = float(value)
        return found

    def values(self, measure: str) -> list[float]:
        """`replicas` in their order, without their names."""
        return [value for _, value in sorted(self.replicas(measure).items())]


def of(documented: Experiment, gathered: Sequence[Record], synthetic: bool = False) -> Evidence:
    """The evidence on an experiment: exact if there is any, else on other data, else of another length.

    Synthetic runs count for nothing unless `synthetic`, and then only they, each on its experiment's own stand-in.
    """
    kinds: dict[tuple[str, int | None], list[Record]] = {}
    stated = settings(documented)
    for record in gathered:
        if record.row["synthetic"] != synthetic:
            continue
        different = departures(record.settings, stated)
        if different <= _LENGTH | _DATA:
            dataset = record.row["dataset"] if different & _DATA else ""
            kinds.setdefault((dataset, record.row["epochs"] if different & _LENGTH else None), []).append(record)
    if not kinds:
        return Evidence(documented)
    order = lambda kind: (kind[1] is not None, bool(kind[0]), -(kind[1] or 0), -sum(r.row["seeds"] for r in kinds[kind]))
    dataset, epochs = min(kinds, key=order)
    same_data = [record for kind, runs in kinds.items() if kind[0] == dataset for record in runs]
    return Evidence(documented, tuple(kinds[dataset, epochs]), dataset, epochs, tuple(same_data))


def _values(row: Json, measure: str) -> Sequence[float | None]:
    """A measure by replica; none where it was not measured.

    A single value where it does not depend on the replica, or was recorded of all together.
    """
    if measure == "parameters":
        return [row["parameters"]]
    if measure == "gpu_seconds":
        return [row["seconds"]["total"] / row["seeds"]]
    if measure == "gpu_memory_gb":
        return [row["peak_memory_bytes"] / 1e9]
    if measure == "initial_loss":
        return row["initial_loss"]["values"] if row["initial_loss"] else ()
    if measure in GAPS:
        return _subtract(*(_values(row, accuracy) for accuracy in GAPS[measure]))
    if measure == "steps_above_chance":
        losses = np.array(row.get("first_losses") or np.empty((0, 0)), float)
        if not row.get("class_names"):
            return ()
        return _where_finite(losses, (losses > math.log(len(row["class_names"]))).sum(0))
    if measure in ("epochs_to_best", "fluctuation"):
        curve = 100 * np.array(row["curves"].get("validation_accuracy") or np.empty((0, 0)), float)
        if len(curve) < (3 if measure == "fluctuation" else 1):
            return ()
        if measure == "fluctuation":
            return _where_finite(curve, np.diff(curve, axis=0).std(0, ddof=1))
        return _where_finite(curve, 1 + (curve >= 0.99 * curve.max(0)).argmax(0))
    name, _, at = measure.partition("@")
    split, _, metric = name.partition("_")
    metric, _, of_class = metric.partition("/")
    factor = 100 if metric.endswith("accuracy") else 1
    if at:
        curve = row["curves"].get(name, ())
        values = curve[int(at) - 1] if int(at) <= len(curve) else ()
    elif of_class:
        names, details = row.get("class_names") or (), row["details"].get(split, {})
        by_class = details.get("accuracy_by_class") or [_hits(details.get("confusion", ()))]
        place = names.index(of_class) if of_class in names else len(names)
        values = [of_seed[place] for of_seed in by_class if place < len(of_seed)]
    else:
        values = row["final"].get(split, {}).get(metric, {}).get("values", ())
    return [None if value is None else factor * value for value in values]


def _where_finite(curves: np.ndarray, values: np.ndarray) -> list[float | None]:
    """The values [S] of those replicas whose curves [epochs or steps, S] have no gap: others failed on the way."""
    return [float(v) if whole else None for v, whole in zip(values, np.isfinite(curves).all(0), strict=True)]


def _hits(confusion: Sequence[Sequence[float]]) -> list[float | None]:
    """The share of each class that is told right, of counts [true, predicted]."""
    return [counts[i] / sum(counts) if sum(counts) else None for i, counts in enumerate(confusion)]


def _subtract(left: Sequence[float | None], right: Sequence[float | None]) -> list[float | None]:
    return [None if a is None or b is None else a - b for a, b in zip(left, right, strict=False)]


def examples(row: Json, split: str) -> int | None:
    """The number of examples on which a split's accuracy was measured, as far as the row tells."""
    confusion = row["details"].get(split, {}).get("confusion")
    completed = sum(step < 0 for step in row["failed_at"])
    return round(sum(map(sum, confusion)) / completed) if confusion and completed else None
