"""Finished runs as rows of JSON Lines: the raw figures behind every published table."""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from jaxnets.analysis.report import tables
from jaxnets.errors import UserError
from jaxnets.runs.folder import RunFolder

_DIGITS = 5


def rows(runs: Iterable[RunFolder]) -> Iterator[dict[str, Any]]:
    """One row a run: its summary, its environment, its configuration, and its curves by epoch and seed."""
    for run in runs:
        environment = run.read("environment.json")
        epochs = [line for line in run.metrics() if "epoch" in line]
        yield {
            "kind": "run",
            **run.read("summary.json"),
            "n": run.read("summary.json")["seeds"],
            "hardware": hardware(environment),
            "versions": environment["versions"],
            "commit": environment["commit"],
            "config": run.read("config.json"),
            "curves": {
                f"{split}_{measure}": [
                    [None if v is None else round(v, _DIGITS) for v in line[split][measure]] for line in epochs
                ]
                for split in ("train", "validation")
                for measure in (epochs[0][split] if epochs else ())
            },
        }


def hardware(environment: dict[str, Any]) -> str:
    """One line: "1 × NVIDIA H200, …" or the processor and its cores."""
    devices = environment["devices"]
    if devices["platform"] == "cpu":
        return f"{environment['processor']}, {devices['cores']} cores"
    return f"{devices['count']} × {devices['kind']}"


def write(path: Path, runs: Iterable[RunFolder]) -> int:
    """Writes rows to a JSON Lines file and returns how many."""
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


def whole(row: Mapping[str, Any]) -> bool:
    """Whether a run's figures may stand against a report's: it was not cut to some steps, nor evaluated in part."""
    return not row["config"]["steps"] and not row.get("eval_examples")  # Rows of old have no such field.


def table(path: Path) -> str:
    """A Markdown table of the runs in a file, with what they ran on."""
    found = [row for row in read(path) if row["kind"] == "run"]
    header, body = tables.cells([tables.row(row) for row in found], brief=True)
    note = (
        f"reported | ours, mean ± standard deviation over seeds; "
        f"{found[0]['hardware']}; jax {found[0]['versions']['jax']}; raw figures in `{path.name}`"
    )
    return f"{tables.markdown(header, body)}\n{note}\n"
