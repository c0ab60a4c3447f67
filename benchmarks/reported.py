"""Compares the training times that the reports state with those of the committed runs.

python -m benchmarks.reported [FILE …]      prints a Markdown table; default: all files in results/
"""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jaxnets import registry
from jaxnets.analysis.report import tables
from jaxnets.config import Experiment
from jaxnets.errors import UserError
from jaxnets.runs import records

RESULTS = Path(__file__).parent / "results"
Json = Mapping[str, Any]


class Comparison(NamedTuple):
    """The training time of one seed of an experiment, reported and ours."""

    id: str
    source: str
    epochs: int
    """Length of training that both times are for."""
    stated: bool
    """Whether the report states `epochs`; otherwise it is the configuration's number."""
    reported: float
    """Seconds."""
    ours: float
    """Seconds for one seed, extrapolated to `epochs` if our run had another length."""
    measured: int
    """Epochs of our run."""
    seeds: int
    """Seeds that our run trained at once; its time is divided evenly among them."""
    hardware: str

    @property
    def extrapolated(self) -> bool:
        """Whether our run had another number of epochs."""
        return self.measured != self.epochs


def compare(experiment: Experiment, run: Json) -> Comparison:
    """Compares the reported time with that of a run, a row of results/*.jsonl.

    Extrapolation assumes that the run's time without compilation is proportional to its epochs.
    """
    epochs = int(experiment.reported.get("epochs", experiment.epochs))
    total, compilation = run["seconds"]["total"], run["seconds"].get("compile", 0.0)
    ours = (total - compilation) * epochs / run["epochs"] + compilation
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
    """(comparisons, ids without a run) of all experiments whose time is reported.

    There is one comparison for each experiment and hardware, of the longest run. Runs on synthetic data, and runs that were
    cut to some steps or evaluated in part, do not count.
    """
    timed = {e.id: e for e in experiments if "gpu_seconds" in e.reported}
    longest: dict[tuple[str, str], Json] = {}
    for run in runs:
        if run["id"] not in timed or run["synthetic"] or not records.is_complete(run):
            continue
        key = run["id"], run["hardware"]
        if key not in longest or run["epochs"] > longest[key]["epochs"]:
            longest[key] = run
    compared = [compare(timed[id_], run) for (id_, _), run in longest.items()]
    order = list(timed)
    missing = [id_ for id_ in timed if id_ not in {c.id for c in compared}]
    return sorted(compared, key=lambda c: (order.index(c.id), c.hardware)), missing


def table(compared: Sequence[Comparison]) -> str:
    """Comparisons as a Markdown table."""
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
        for c in compared
    ]
    notes = (
        "Seconds for one seed: those of a run of several are shared out evenly. ≈ extrapolated from a run of another "
        "length. * the report does not say how many epochs; this is the configuration's number."
    )
    return f"{tables.markdown(header, body)}\n{notes}\n"


def read(paths: Iterable[Path]) -> list[Json]:
    """All runs in files of results. Raises UserError for a file that is missing or not in JSON Lines."""
    try:
        rows = [json.loads(line) for path in paths for line in path.read_text("utf-8").splitlines()]
    except (OSError, ValueError) as error:
        raise UserError(f"not a file of results: {error}") from None
    return [row for row in rows if row.get("kind") == "run"]


def main(args: Sequence[str]) -> None:
    """Prints the table and the ids of experiments without a run."""
    paths = [Path(arg) for arg in args] or sorted(RESULTS.glob("*.jsonl"))
    compared, missing = comparisons(registry.all_experiments().values(), read(paths))
    print(table(compared))
    if missing:
        print(f"No run yet of: {', '.join(missing)}")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except UserError as error:
        sys.exit(f"jaxnets: error: {error}")
