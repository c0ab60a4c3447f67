"""The seconds that the reports state beside ours, from the committed runs.

python -m benchmarks.reported [FILE …]      prints a Markdown table; by default of all files in results/
"""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jaxnets import registry
from jaxnets.analysis.report import results, tables
from jaxnets.config import Experiment
from jaxnets.errors import UserError

RESULTS = Path(__file__).parent / "results"
Json = Mapping[str, Any]


class Comparison(NamedTuple):
    """One experiment's seconds for one seed's training."""

    id: str
    source: str
    epochs: int
    stated: bool
    """Whether the report states this number of epochs; otherwise it is ours."""
    reported: float
    ours: float
    """Ours for as many epochs, of one seed."""
    measured: int
    """Epochs of our run; where there were fewer or more, `ours` is extrapolated."""
    seeds: int
    """Trained at once, whose time was shared out evenly."""
    hardware: str

    @property
    def extrapolated(self) -> bool:
        """Whether `ours` is of another number of epochs than was run."""
        return self.measured != self.epochs


def compare(experiment: Experiment, run: Json) -> Comparison:
    """The experiment's reported seconds beside those of a run, a row of results/*.jsonl.

    What a run takes besides compilation grows with its epochs; compilation does not.
    """
    epochs = int(experiment.reported.get("epochs", experiment.epochs))
    seconds, compiling = run["seconds"]["total"], run["seconds"].get("compile", 0.0)
    ours = (seconds - compiling) * epochs / run["epochs"] + compiling
    return Comparison(
        id=experiment.id,
        source=experiment.source,
        epochs=epochs,
        stated="epochs" in experiment.reported,
        reported=experiment.reported["gpu_seconds"],
        ours=ours / run["seeds"],
        measured=run["epochs"],
        seeds=run["seeds"],
        hardware=run["hardware"],
    )


def comparisons(experiments: Iterable[Experiment], runs: Iterable[Json]) -> tuple[list[Comparison], list[str]]:
    """Comparisons of every run with a reported time, the longest of each experiment and hardware; ids without a run."""
    timed = {e.id: e for e in experiments if "gpu_seconds" in e.reported}
    best: dict[tuple[str, str], Json] = {}
    for run in runs:
        if run["id"] not in timed or run["synthetic"] or not results.is_complete(run):
            continue
        key = run["id"], run["hardware"]
        if key not in best or run["epochs"] > best[key]["epochs"]:
            best[key] = run
    found = [compare(timed[id_], run) for (id_, _), run in best.items()]
    order = list(timed)
    missing = [id_ for id_ in timed if id_ not in {c.id for c in found}]
    return sorted(found, key=lambda c: (order.index(c.id), c.hardware)), missing


def table(found: Sequence[Comparison]) -> str:
    """A Markdown table."""
    header = ["experiment", "source", "epochs", "reported s", "ours s", "reported / ours", "run: epochs × seeds", "on"]
    body = [
        [
            c.id,
            c.source,
            f"{c.epochs}{'' if c.stated else '*'}",
            f"{c.reported:,.0f}",
            f"{'≈ ' if c.extrapolated else ''}{c.ours:,.0f}",
            f"{'≈ ' if c.extrapolated else ''}{c.reported / c.ours:.1f}",
            f"{c.measured} × {c.seeds}",
            c.hardware,
        ]
        for c in found
    ]
    notes = (
        "Seconds for one seed: those of a run of several are shared out evenly. ≈ extrapolated from a run of another "
        "length. * the report does not say how many epochs; this is the configuration's number."
    )
    return f"{tables.markdown(header, body)}\n{notes}\n"


def read(paths: Iterable[Path]) -> list[Json]:
    """All runs in files of results. Raises UserError for a file that is not there or not one."""
    try:
        rows = [json.loads(line) for path in paths for line in path.read_text().splitlines()]
    except (OSError, ValueError) as error:
        raise UserError(f"not a file of results: {error}") from None
    return [row for row in rows if row.get("kind") == "run"]


def main(args: Sequence[str]) -> None:
    """Prints the table, and which experiments it lacks."""
    paths = [Path(arg) for arg in args] or sorted(RESULTS.glob("*.jsonl"))
    found, missing = comparisons(registry.all_experiments().values(), read(paths))
    print(table(found))
    if missing:
        print(f"No run yet of: {', '.join(missing)}")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except UserError as task:
        sys.exit(f"jaxnets: error: {task}")
