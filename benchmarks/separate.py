"""One measurement in a process of its own.

So no workload inherits another's heap or PyTorch's count of compilations. The number of CPU devices, too, is fixed when JAX
starts.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import contention, harness
from benchmarks.harness import CONTENDED, ContentionError

Row = dict[str, Any]
_TRIES, _PAUSE = 3, 20.0
"""How often a disturbed measurement is made, and the seconds between."""
_PLAUSIBLE, _AGREEMENT = (0.2, 5.0), 1.25
"""Ratios that one process is believed, and the factor by which two processes may differ on others."""


def measure(name: str, measure: str, rounds: int, device: str | None) -> tuple[Row | None, int]:
    """Measures a workload. Returns (row, exit status); the row is None where the status is not 0.

    A measurement that something disturbed is made again after a pause, and then left out. A ratio that is hard to believe
    needs a second process that finds the same.
    """
    arguments = [name, measure, str(rounds), device or ""]
    row, status = _undisturbed(arguments)
    if row is None or row["ratio"] is None or _PLAUSIBLE[0] <= row["ratio"] <= _PLAUSIBLE[1]:
        return row, status
    print(f"{name}, {measure}: a ratio of {row['ratio']:.3g} is measured again", flush=True)
    second, status = _undisturbed(arguments)
    if second is None:
        return None, status
    if max(row["ratio"], second["ratio"]) > _AGREEMENT * min(row["ratio"], second["ratio"]):
        print(
            f"{name}, {measure} is left out: two processes found ratios of {row['ratio']:.3g} and {second['ratio']:.3g}",
            file=sys.stderr,
        )
        return None, CONTENDED
    return row | {"second_ratio": second["ratio"]}, 0


def _undisturbed(arguments: list[str]) -> tuple[Row | None, int]:
    for left in reversed(range(_TRIES)):
        row, status = _once(arguments)
        if status != CONTENDED:
            break
        if left:
            time.sleep(_PAUSE)
    return row, status


def _once(arguments: list[str]) -> tuple[Row | None, int]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "row.json"
        status = subprocess.run([sys.executable, "-m", "benchmarks.separate", *arguments, str(file)]).returncode
        return (json.loads(file.read_text(encoding="utf-8")), 0) if status == 0 else (None, status)


def main(args: list[str]) -> int:
    """Measures NAME MEASURE ROUNDS DEVICE and writes the row to FILE. Returns the exit status."""
    name, measure, rounds, device, file = args
    from benchmarks import measurements
    from benchmarks.facts import choose_device
    from jaxnets.training import parallel, process

    process.tune()  # For all candidates alike.
    if measure == measurements.EIGHT_SEEDS:
        parallel.split_cpu(measurements.REPLICAS)
    choose_device(device or None)
    try:
        row = _with_probes(measurements.MEASUREMENTS[measure], name, int(rounds))
    except ContentionError as error:
        raise ContentionError(f"{name}, {measure}: {error}") from None
    Path(file).write_text(json.dumps(row), encoding="utf-8")
    print(harness.table([row]), flush=True)
    return 0


def _with_probes(measurement: Any, name: str, rounds: int) -> Row:
    """Raises ContentionError if a known product was slowed down before or after."""
    before = contention.probe()
    row = measurement(name, rounds)
    slowdown = contention.slowdown(before, contention.probe())
    if slow := [f"{factor:g} times in {name}" for name, factor in slowdown.items() if factor > contention.SLOW]:
        raise ContentionError(
            f"a product of matrices took its best time {', '.join(slow)}: something slows the machine down"
        )
    return row | {"probe_slowdown": slowdown}


if __name__ == "__main__":
    harness.start(main)
