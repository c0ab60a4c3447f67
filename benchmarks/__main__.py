"""Timings against PyTorch; see README.md in this folder.

python -m benchmarks [WORKLOAD …] [--measure MEASURE …] [--device cpu|gpu] [--json FILE]
"""

import dataclasses
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro

from benchmarks import harness
from jaxnets.analysis.report import results
from jaxnets.cli.parse import parse
from jaxnets.errors import UserError


@dataclasses.dataclass(frozen=True)
class BenchOptions:
    """Times training against PyTorch, in turn."""

    workloads: tyro.conf.Positional[tuple[str, ...]] = ()
    """What to train; all by default."""
    measure: tuple[str, ...] = ("train step",)
    """What to time: "train step", "8 seeds", "epoch", "time to accuracy", or all."""
    device: str | None = None
    """cpu or gpu; by default JAX's choice."""
    json: Annotated[Path | None, tyro.conf.arg(name="json")] = None
    """Adds a line for each row to this file, as soon as it is measured."""
    rounds: int = harness.ROUNDS
    """Turns of each candidate."""


def main(args: list[str]) -> int:
    """Measures, prints a table, and returns the exit status."""
    options = parse(BenchOptions, "bench", args)
    try:
        harness.check_rounds(options.rounds)
    except ValueError as error:
        raise UserError(str(error)) from None
    from benchmarks.measures import MEASURES, WHOLE

    measures = tuple(MEASURES) if options.measure == ("all",) else options.measure
    if unknown := [measure for measure in measures if measure not in MEASURES]:
        raise UserError(f"unknown measure {unknown[0]!r}: choose from {', '.join(MEASURES)}, all")
    plan = [(measure, name) for measure in measures for name in _chosen(measure, options.workloads)]
    if not plan:
        raise UserError(f"{measures[0]!r} is measured of {WHOLE} alone, and {WHOLE} only in whole programs")
    if len(plan) == 1:
        return _measure(*plan[0], options)
    return _measure_apart(plan, options)


def _measure_apart(plan: Sequence[tuple[str, str]], options: BenchOptions) -> int:
    """Each in a process of its own: no workload inherits another's heap, or PyTorch's count of compilations, and how many
    CPU devices there are is settled when JAX starts."""
    with tempfile.TemporaryDirectory() as folder:
        file = options.json or Path(folder) / "rows.jsonl"
        before = len(results.read(file)) if file.exists() else 0
        settings = [arg for name in ("device", "rounds") for arg in _argument(name, getattr(options, name))]
        status = 0
        for measure, name in plan:
            command = [sys.executable, "-m", "benchmarks", name, "--measure", measure, "--json", str(file), *settings]
            status = max(status, subprocess.run(command).returncode)
            if status == harness.INTERRUPTED:
                break
        rows = results.read(file)[before:] if file.exists() else []
    print(f"\n{harness.table(rows)}")
    if noisy := [row["workload"] for row in rows if row["noisy"]]:
        print(f"noisy, not to be used: {', '.join(noisy)} (the spread is over {harness.NOISY:.0%})")
    return status


def _argument(name: str, value: object) -> list[str]:
    return [] if value is None else [f"--{name}", str(value)]


def _chosen(measure: str, wanted: tuple[str, ...]) -> tuple[str, ...]:
    """The workloads of a measure that are wanted. Raises UserError for one that does not exist."""
    from benchmarks.measures import PROGRAMS, WHOLE
    from benchmarks.workloads import WORKLOADS

    if unknown := [name for name in wanted if name not in (*WORKLOADS, WHOLE)]:
        raise UserError(f"unknown workload {unknown[0]!r}: choose from {', '.join((*WORKLOADS, WHOLE))}")
    known = (WHOLE,) if measure in PROGRAMS else tuple(WORKLOADS)
    return tuple(name for name in wanted or known if name in known)


def _measure(measure: str, name: str, options: BenchOptions) -> int:
    from benchmarks import measures
    from benchmarks.facts import choose_device
    from jaxnets.training import parallel, process

    process.tune()  # For every candidate alike.
    if measure == measures.SEEDS:
        parallel.split_cpu(measures.REPLICAS)
    choose_device(options.device)
    row = measures.MEASURES[measure](name, options.rounds)
    if options.json:
        harness.append(options.json, row)
    print(harness.table([row]), flush=True)
    return 0


if __name__ == "__main__":
    harness.start(main)
