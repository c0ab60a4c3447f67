"""Finished runs as rows of JSON Lines: the raw data behind every published table."""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from jaxnets.errors import UserError
from jaxnets.runs.folder import RunFolder

_DIGITS = 5


def rows(runs: Iterable[RunFolder]) -> Iterator[dict[str, Any]]:
    """One row per run: its summary, environment and configuration, its curves [epochs][seeds] by split and metric, and the
    losses of its first steps [steps][seeds].
    """
    for run in runs:
        environment, summary, recorded = run.environment(), run.summary(), run.metrics()
        yield {
            "kind": "run",
            **summary,
            "n": summary["seeds"],
            "hardware": hardware(environment, summary.get("devices")),
            "versions": environment["versions"],
            "commit": environment["commit"],
            "config": run.read("config.json"),
            "curves": {name: [_rounded(values) for values in curve] for name, curve in curves(recorded).items()},
            "first_losses": [_rounded(line["loss"]) for line in recorded if "epoch" not in line],
        }


def curves(recorded: Iterable[Mapping[str, Any]]) -> dict[str, list[list[float | None]]]:
    """The epochs among the lines of a metrics.jsonl, by split and metric: "train_loss", … -> [epochs][seeds]."""
    epochs = [line for line in recorded if "epoch" in line]
    return {
        f"{split}_{metric}": [line[split][metric] for line in epochs]
        for split in ("train", "validation")
        for metric in (epochs[0][split] if epochs else ())
    }


def _rounded(values: Iterable[float | None]) -> list[float | None]:
    return [None if value is None else round(value, _DIGITS) for value in values]


def hardware(environment: dict[str, Any], used: int | None = None) -> str:
    """The hardware in an environment.json, in words: "1 × NVIDIA H200", or the processor and its number of cores.

    `used` is how many of the devices trained; None: all.
    """
    devices = environment["devices"]
    if devices.get("platform", "cpu") == "cpu":
        return f"{environment['processor']}, {devices.get('cores', 'unknown')} cores"
    return f"{used or devices.get('count', 1)} × {devices.get('kind', devices['platform'])}"


def write(path: Path, runs: Iterable[RunFolder]) -> int:
    """Writes runs to a JSON Lines file and returns their number. Raises UserError if the file cannot be written."""
    lines = [json.dumps(row) + "\n" for row in rows(runs)]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(lines), "utf-8")
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from error
    return len(lines)


def read(path: Path) -> list[dict[str, Any]]:
    """The rows of a file written by `write`."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def lines(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl that a row holds: its first steps, as far as they were recorded, then its epochs."""
    first = [{"step": k, "loss": losses} for k, losses in enumerate(row.get("first_losses", ()), 1)]  # Older rows have none.
    by_split: dict[str, dict[str, Any]] = {"train": {}, "validation": {}}
    for name, curve in row["curves"].items():
        split, _, metric = name.partition("_")
        by_split[split][metric] = curve
    epochs = max((len(curve) for curve in row["curves"].values()), default=0)
    return first + [
        {"epoch": e + 1, **{split: {m: curve[e] for m, curve in curves.items()} for split, curves in by_split.items()}}
        for e in range(epochs)
    ]


def is_complete(row: Mapping[str, Any]) -> bool:
    """Whether a run may be compared with a report: it was not limited to some steps, and evaluated on whole splits."""
    return not row["config"]["steps"] and not row.get("eval_examples")  # Older rows lack this field.
