"""Finished runs as rows of JSON Lines: the raw data behind every published table."""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from jaxnets.analysis.report import tables
from jaxnets.errors import UserError
from jaxnets.runs.folder import RunFolder

_DIGITS = 5


def rows(runs: Iterable[RunFolder]) -> Iterator[dict[str, Any]]:
    """One row per run: its summary, environment and configuration, and its curves [epochs][seeds] by split and metric."""
    for run in runs:
        environment, summary = run.environment(), run.summary()
        epochs = [line for line in run.metrics() if "epoch" in line]
        yield {
            "kind": "run",
            **summary,
            "n": summary["seeds"],
            "hardware": hardware(environment),
            "versions": environment["versions"],
            "commit": environment["commit"],
            "config": run.read("config.json"),
            "curves": {
                f"{split}_{metric}": [
                    [None if v is None else round(v, _DIGITS) for v in line[split][metric]] for line in epochs
                ]
                for split in ("train", "validation")
                for metric in (epochs[0][split] if epochs else ())
            },
        }


def hardware(environment: dict[str, Any]) -> str:
    """The hardware in an environment.json, in words: "1 × NVIDIA H200", or the processor and its number of cores."""
    devices = environment["devices"]
    if devices.get("platform", "cpu") == "cpu":
        return f"{environment['processor']}, {devices.get('cores', 'unknown')} cores"
    return f"{devices.get('count', 1)} × {devices.get('kind', devices['platform'])}"


def write(path: Path, runs: Iterable[RunFolder]) -> int:
    """Writes runs to a JSON Lines file and returns their number. Raises UserError if the file cannot be written."""
    lines = [json.dumps(row) + "\n" for row in rows(runs)]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(lines))
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from error
    return len(lines)


def read(path: Path) -> list[dict[str, Any]]:
    """The rows of a file written by `write`."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def is_complete(row: Mapping[str, Any]) -> bool:
    """Whether a run may be compared with a report: it was not limited to some steps, and evaluated on whole splits."""
    return not row["config"]["steps"] and not row.get("eval_examples")  # Older rows lack this field.


def table(path: Path) -> str:
    """A Markdown table of the runs in a file, with a line on what it shows, the hardware and the version of JAX."""
    runs = [row for row in read(path) if row["kind"] == "run"]
    header, body = tables.cells([tables.row(run) for run in runs], brief=True)
    first = runs[0]
    notes = (tables.legend(body), first["hardware"], f"jax {first['versions']['jax']}", f"raw data in `{path.name}`")
    return f"{tables.markdown(header, body)}\n{'; '.join(note for note in notes if note)}\n"
