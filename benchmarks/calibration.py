"""Sets the estimates of `jaxnets plan` beside the truth, where it is at hand.

python -m benchmarks.calibration [WORKLOAD …] [--json FILE]                 beside steps measured on this machine's CPU
python -m benchmarks.calibration [ID …] --on a6000 [--json FILE]            beside the times that the reports state

The card of the reports need not be there: the programs are compiled for it. Its times have loading of data and evaluation in
them, an estimate has neither.
"""

import dataclasses
import datetime
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import tyro

from benchmarks import harness, train_step, workloads
from benchmarks.facts import choose_device, facts
from benchmarks.workloads import WORKLOADS
from jaxnets import registry
from jaxnets.analysis.report import tables
from jaxnets.cli.parse import parse
from jaxnets.config import Experiment
from jaxnets.data import catalog
from jaxnets.errors import UserError
from jaxnets.training import accelerators, estimate, process

Row = dict[str, Any]

CARD = "a6000"
"""On which the reports' times were taken."""
MEASURED = ("nist36_mlp", "lenet_bn", "small_cnn", "resnet34", "rows_gru_128", "char_rnn")
"""Workloads of each kind: dense, convolutional of several sizes, recurrent."""
REPORTED = (
    *("cifar10/lenet/plain", "cifar10/lenet/bn", "tiny_imagenet/lenet/plain"),
    *("cifar10/resnet34/plain", "cifar10/resnet34/dropout", "cifar10/resnet34/super", "tiny_imagenet/resnet34/super"),
    *(f"study/batch_size/{size}" for size in (128, 512, 2048, 8192)),
)
"""Of S4's tables 1 to 4 and 7."""


def measured(name: str, rounds: int) -> Row:
    """The row of a workload: the estimate for this machine's CPU, and its training step as timed here."""
    workload = workloads.prepare(WORKLOADS[name])
    estimated = _estimated(workload.experiment, accelerators.CPU)
    timings = harness.interleave({harness.OURS: train_step.candidate(workload)}, rounds)
    if harness.OURS not in timings:
        raise UserError(f"{name}: it did not run; see above")
    timing = timings[harness.OURS]
    return {
        **_head(workload.experiment, accelerators.CPU),
        "workload": name,
        **estimated,
        "milliseconds": 1e3 * timing.median,
        "spread": timing.spread,
        "disturbed_rounds": timing.disturbed,
        "n": rounds,
        **facts(),
    }


def reported(id_: str) -> Row:
    """The row of an experiment: the estimate for the reports' card, and the time that a report states, for a step."""
    experiment = dataclasses.replace(registry.select([id_])[0], seeds=1)
    stated = experiment.reported
    if "gpu_seconds" not in stated:
        raise UserError(f"{id_}: the report states no time of it")
    estimated = _estimated(experiment, CARD)
    epochs = stated.get("epochs", experiment.epochs)
    circumstances = facts()
    return {
        **_head(experiment, CARD),
        "source": experiment.source,
        **estimated,
        "milliseconds": 1e3 * stated["gpu_seconds"] / (epochs * estimated["steps_per_epoch"]),
        "epochs": epochs,
        "epochs_stated": "epochs" in stated,
        "gpu_memory_gb": stated.get("gpu_memory_gb"),
        "gpu_utilization": stated.get("gpu_utilization"),
        "n": 1,
        "hardware": "NVIDIA RTX A6000, as the report states; the estimate is compiled, not run",
        **{name: circumstances[name] for name in ("versions", "commit")},
    }


def _head(experiment: Experiment, on: str) -> Row:
    return {
        "kind": "calibration",
        "date": datetime.date.today().isoformat(),
        "on": on,
        "id": experiment.id,
        "batch": experiment.data.batch_size,
    }


def _estimated(experiment: Experiment, on: str) -> Row:
    found = estimate.estimate(experiment, catalog.spec_of(experiment.data), on)
    return {
        "fastest": 1e3 * found.fastest,
        "slowest": 1e3 * found.slowest,
        "gigaflops": found.flops / 1e9,
        "megabytes": found.bytes / 1e6,
        "kernels": found.kernels,
        "gigabytes": found.needed.total / 1e9,
        "steps_per_epoch": found.steps_per_epoch,
    }


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows of one device as a Markdown table."""
    is_card = rows[0]["on"] != accelerators.CPU
    header = ["experiment", "batch", "GFLOP", "MB", "kernels", "ms a step, estimated", "reported" if is_card else "measured"]
    header += ["times the longer", *["GPU %", "GB, estimated", "GB, reported"] * is_card]
    return tables.markdown(header, [_cells(row, is_card) for row in rows]).rstrip("\n")


def _cells(row: Mapping[str, Any], is_card: bool) -> list[str]:
    text = lambda value, digits: tables.NOTHING if value is None else f"{value:,.{digits}f}"
    cells = [
        row["id"],
        f"{row['batch']:,}",
        text(row["gigaflops"], 2),
        text(row["megabytes"], 0),
        text(row["kernels"], 0),
        f"{row['fastest']:.2f}–{row['slowest']:.2f}",
        f"{row['milliseconds']:.2f}{'' if row.get('epochs_stated', True) else '*'}",
        text(row["milliseconds"] / row["slowest"], 1),
    ]
    memory = [text(row.get("gpu_utilization"), 0), text(row["gigabytes"], 2), text(row.get("gpu_memory_gb"), 2)]
    return cells + memory * is_card


@dataclasses.dataclass(frozen=True)
class CalibrationOptions:
    """Sets estimates beside measured or reported times."""

    names: tyro.conf.Positional[tuple[str, ...]] = ()
    """Workloads, or ids of experiments whose time is reported. Default: some of each kind."""
    on: str = accelerators.CPU
    """cpu measures here; a6000 compiles for the reports' card."""
    json: Annotated[Path | None, tyro.conf.arg(name="json")] = None
    """Append the rows to this JSON Lines file."""
    rounds: int = harness.ROUNDS
    """Rounds of measurement."""


def main(args: Sequence[str]) -> int:
    """Prints the table, each row as it comes to the file. Returns the exit status."""
    options = parse(CalibrationOptions, "calibration", list(args))
    if options.on not in (accelerators.CPU, CARD):
        raise UserError(f"--on must be {accelerators.CPU} or {CARD}, for which there are times, got {options.on}")
    on_cpu = options.on == accelerators.CPU
    names = options.names or (MEASURED if on_cpu else REPORTED)
    if on_cpu and (unknown := [name for name in names if name not in WORKLOADS]):
        raise UserError(f"unknown workload {unknown[0]!r}: choose from {', '.join(WORKLOADS)}")
    harness.check_rounds(options.rounds)
    choose_device("cpu") if on_cpu else process.without_accelerators()
    rows = []
    for name in names:
        row = measured(name, options.rounds) if on_cpu else reported(name)
        print(f"{name}: {row['milliseconds']:.3f} ms, estimated {row['fastest']:.3f} to {row['slowest']:.3f}", flush=True)
        rows.append(row)
        if options.json:
            harness.append(options.json, row)
    print(table(rows))
    return 0


if __name__ == "__main__":
    harness.start(main)
