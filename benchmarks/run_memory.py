"""What memory a run takes as a process, beside the compiler's count for its largest program.

python -m benchmarks.run_memory [ID …] [--json FILE]

Each run is a process of its own, `jaxnets run`, of 5 steps and evaluations of 1,000 examples, whose programs are compiled
anew. The most memory that it ever held is the operating system's count, as `/usr/bin/time -v` shows it ("maximum resident
set size"). It has what the compiler does not know of: Python and the libraries, a process that only imports them being shown
too; the prepared set in the page cache; and the compiler itself.
"""

import dataclasses
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import tyro

from benchmarks import harness
from benchmarks.facts import facts
from jaxnets.analysis.report import tables
from jaxnets.cli.parse import parse
from jaxnets.errors import UserError
from jaxnets.runs import records
from jaxnets.runs.folder import find_runs

SHOWN = {
    "cifar10/lenet/plain": (1, 8, 64),
    "cifar10/small_cnn": (1, 8),
    "mnist_rows/lstm_256": (1, 8),
    "imdb/lstm": (1,),
    "cifar10/resnet34/super": (1,),
}
"""Numbers of seeds by experiment."""
SEEDS = (1, 8)
"""Those of any other experiment."""
IMPORTED = "import jax, jaxnets.cli; jax.devices()"
_LENGTH = ("--steps", "5", "--eval-examples", "1000")
_KIB = 1024 if sys.platform == "linux" else 1
"""Bytes of the unit in which the system counts: kibibytes, but for macOS."""


# A process takes over the count of the one that starts it, which must be small.
_COUNT = """
import resource, subprocess, sys
status = subprocess.call([sys.executable, *sys.argv[1:]], stdout=sys.stderr)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(status)
"""


def resident(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Bytes of memory that a Python process held at most. Raises UserError where it fails."""
    arguments = [sys.executable, "-c", _COUNT, *command]
    counted = subprocess.run(arguments, env=dict(environment), capture_output=True, encoding="utf-8")
    if counted.returncode:
        last = (counted.stderr.strip().splitlines() or ["it printed nothing"])[-1]
        raise UserError(f"{' '.join(command)}: status {counted.returncode}: {last}")
    return int(counted.stdout) * _KIB


def row(id_: str, seeds: int, others: Sequence[str] = ()) -> dict[str, Any]:
    """Of one run, with further arguments. The largest program is its summary's."""
    with tempfile.TemporaryDirectory() as folder:
        fresh = os.environ | {"JAX_COMPILATION_CACHE_DIR": f"{folder}/programs"}
        options = ["--seeds", str(seeds), *_LENGTH, "--out", f"{folder}/runs", *others]
        whole = resident(["-m", "jaxnets", "run", id_, *options], fresh)
        [run] = find_runs(Path(folder) / "runs")
        [trained] = records.rows([run])
        imported = resident(["-c", IMPORTED], fresh)
    return {
        "kind": "run memory",
        "id": id_,
        "dataset": trained["dataset"],
        "seeds": seeds,
        "parameters": trained["parameters"],
        "program_bytes": trained["peak_memory_bytes"],
        "resident_bytes": whole,
        "imported_bytes": imported,
        "n": 1,
        **facts(),
    }


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Megabytes, a line for each run."""
    header = [
        "experiment",
        "data",
        "seeds",
        "parameters",
        "MB, largest program",
        "MB, process",
        "of it Python and libraries",
    ]
    body = [
        [r["id"], r["dataset"], str(r["seeds"]), f"{r['parameters']:,}"]
        + [f"{r[field] / 1e6:,.0f}" for field in ("program_bytes", "resident_bytes", "imported_bytes")]
        for r in rows
    ]
    return tables.markdown(header, body).rstrip()


@dataclasses.dataclass(frozen=True)
class MemoryOptions:
    """Measures what memory runs take as processes."""

    ids: tyro.conf.Positional[tuple[str, ...]] = ()
    """Experiments. Default: one of each kind."""
    json: Annotated[Path | None, tyro.conf.arg(name="json")] = None
    """Append each row to this JSON Lines file as soon as it is there. What the file has already is not run again."""


def main(args: Sequence[str]) -> int:
    """Runs, appends the rows to a file and prints the table. Returns the exit status."""
    options = parse(MemoryOptions, "bench run_memory", list(args))
    runs = [(id_, seeds) for id_ in options.ids or SHOWN for seeds in SHOWN.get(id_, SEEDS)]
    print(table(harness.one_each(options.json, runs, lambda r: (r["id"], r["seeds"]), lambda run: row(*run))))
    return 0


if __name__ == "__main__":
    harness.start(main)
