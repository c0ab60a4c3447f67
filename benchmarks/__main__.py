"""Times training against PyTorch; see README.md in this folder.

python -m benchmarks [WORKLOAD …] [--measure MEASURE …] [--device cpu|gpu] [--json FILE]
"""

import dataclasses
from pathlib import Path
from typing import Annotated

import tyro

from benchmarks import harness, separate
from jaxnets.cli.parse import parse
from jaxnets.errors import UserError


@dataclasses.dataclass(frozen=True)
class BenchOptions:
    """Times training against PyTorch, the candidates in turn."""

    workloads: tyro.conf.Positional[tuple[str, ...]] = ()
    """What to train. Default: all workloads."""
    measure: tuple[str, ...] = ("train step",)
    """What to time: "train step", "8 seeds", "epoch", "time to accuracy", or "all"."""
    device: str | None = None
    """cpu or gpu. Default: JAX's choice."""
    json: Annotated[Path | None, tyro.conf.arg(name="json")] = None
    """Append each row to this JSON Lines file as soon as it is measured."""
    rounds: int = harness.ROUNDS
    """Number of turns of each candidate, at least 7."""


def main(args: list[str]) -> int:
    """Measures and prints a table. Returns the exit status."""
    options = parse(BenchOptions, "bench", args)
    harness.check_rounds(options.rounds)
    from benchmarks.facts import DEVICES
    from benchmarks.measurements import FULL_RUN_WORKLOAD, MEASUREMENTS

    if options.device not in (None, *DEVICES):
        raise UserError(f"unknown device {options.device!r}: choose from {', '.join(DEVICES)}")
    measures = tuple(MEASUREMENTS) if options.measure == ("all",) else options.measure
    if unknown := [measure for measure in measures if measure not in MEASUREMENTS]:
        raise UserError(f"unknown measure {unknown[0]!r}: choose from {', '.join(MEASUREMENTS)}, all")
    plan = [(measure, name) for measure in measures for name in _select(measure, options.workloads)]
    if not plan:
        raise UserError(
            f"{measures[0]!r} is not measured of this workload: {FULL_RUN_WORKLOAD} has epoch and time to accuracy, all "
            "others have train step and 8 seeds"
        )
    rows, status = [], 0
    for measure, name in plan:
        row, result = separate.measure(name, measure, options.rounds, options.device)
        status = max(status, result)
        if row is not None:
            rows.append(row)
            if options.json:
                harness.append(options.json, row)
        if result == harness.INTERRUPTED:
            break
    print(f"\n{harness.table(rows)}")
    if noisy := [row["workload"] for row in rows if row["noisy"]]:
        print(f"noisy, not to be used: {', '.join(noisy)} (the spread is over {harness.NOISY:.0%})")
    return status


def _select(measure: str, names: tuple[str, ...]) -> tuple[str, ...]:
    """Those of the named workloads that have a measure, or all that have it. Raises UserError for an unknown name."""
    from benchmarks.measurements import FULL_RUN_WORKLOAD, FULL_RUNS
    from benchmarks.workloads import WORKLOADS

    if unknown := [name for name in names if name not in (*WORKLOADS, FULL_RUN_WORKLOAD)]:
        raise UserError(f"unknown workload {unknown[0]!r}: choose from {', '.join((*WORKLOADS, FULL_RUN_WORKLOAD))}")
    measurable = (FULL_RUN_WORKLOAD,) if measure in FULL_RUNS else tuple(WORKLOADS)
    return tuple(name for name in names or measurable if name in measurable)


if __name__ == "__main__":
    harness.start(main)
