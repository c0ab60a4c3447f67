"""`jaxnets report`."""

import dataclasses
import sys
from pathlib import Path
from typing import Annotated

import tyro

from jaxnets.cli.parse import keep_inputs, optional, parse
from jaxnets.errors import UserError


@dataclasses.dataclass(frozen=True)
class ReportOptions:
    """Makes an HTML page with tables and plots of all finished runs in some folders and their subfolders."""

    folders: tyro.conf.Positional[Annotated[tuple[Path, ...], optional("FOLDER…")]] = ()
    """Folders of runs, for example runs or runs/cifar10."""
    out: Annotated[Path | None, optional("FOLDER")] = None
    """The page is OUT/report/index.html. By default OUT is the first folder."""
    jsonl: Annotated[Path | None, optional("FILE")] = None
    """Also write configuration, metrics and curves of each run to this file, as one JSON object per line."""


def report(args: list[str]) -> int:
    """Writes the page, prints its path, and returns exit status 0."""
    options = parse(ReportOptions, "report", args)
    if not options.folders:
        raise UserError("report needs at least one folder of runs, for example: jaxnets report runs")
    from jaxnets.analysis.report import page
    from jaxnets.runs import records

    runs = page.finished_runs(options.folders)
    keep_inputs("--jsonl", options.jsonl, (file for run in runs for file in run.path.iterdir()))
    if options.jsonl:
        print(f"{records.write(options.jsonl, runs)} runs written to {options.jsonl}")
    print(f"report: {page.write_report(options.folders, options.out or options.folders[0])}")
    for run in runs:
        if damaged := run.damaged():
            print(f"{run.path}: the trained net cannot be used: {', '.join(damaged)} is damaged or missing", file=sys.stderr)
    return 0
