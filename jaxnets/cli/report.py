"""`jaxnets report`."""

import dataclasses
from pathlib import Path

import tyro

from jaxnets.cli.parse import parse
from jaxnets.errors import UserError


@dataclasses.dataclass(frozen=True)
class ReportOptions:
    """Makes a report from all finished runs at or below some folders."""

    folders: tyro.conf.Positional[tuple[Path, ...]]
    out: Path | None = None
    """Where to write it; by default into the first folder."""
    jsonl: Path | None = None
    """Also write the raw figures, a line a run, to this file."""


def report(args: list[str]) -> int:
    """A page for finished runs."""
    options = parse(ReportOptions, "report", args)
    if not options.folders:
        raise UserError("report needs at least one folder of runs, for example: jaxnets report runs")
    from jaxnets.analysis.report import page, results

    runs = page.finished_runs(options.folders)
    if options.jsonl:
        print(f"{results.write(options.jsonl, runs)} runs written to {options.jsonl}")
    print(f"report: {page.write_report(options.folders, options.out or options.folders[0])}")
    return 0
