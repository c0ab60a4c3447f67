"""`jaxnets data`."""

import dataclasses
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import tyro
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from jaxnets.cli.columns import aligned
from jaxnets.cli.parse import parse
from jaxnets.data import catalog, store
from jaxnets.data.progress import Report
from jaxnets.errors import UserError

_SECONDS = 2.0
"""Between two lines of progress where there is no terminal."""
_READY = {
    store.READY: "yes, in",
    store.MISSING: "no; it will be stored in",
    store.OUTDATED: "no; that of another version of jaxnets, to be prepared again, is in",
    store.DAMAGED: "no; damaged, to be prepared again, is",
    store.REFUSED: "no; the system refuses to read",
}


@dataclasses.dataclass(frozen=True)
class DataOptions:
    """Lists data sets, shows one, or prepares one."""

    action: tyro.conf.Positional[Literal["status", "show", "prepare"]]
    name: tyro.conf.Positional[str | None] = None
    """The set to show or to prepare."""
    manual_dir: Path | None = None
    """A folder of files fetched by hand, under the names their publishers gave them."""


def data(args: list[str]) -> int:
    """Lists the data sets, shows one, or prepares one, and returns exit status 0."""
    options = parse(DataOptions, "data", args)
    if options.action == "status":
        _print_status()
    elif options.name is None:
        raise UserError(f"data {options.action} needs the name of a set: {', '.join(catalog.SETS)}")
    elif options.action == "show":
        _print_set(options.name)
    else:
        _prepare(options.name, options.manual_dir)
    return 0


def _print_status() -> None:
    """One line per set."""
    rows = [("SET", "READY", "DOWNLOAD", "EXAMPLES")]
    for name, builder in catalog.SETS.items():
        download = "none" if builder.synthetic else catalog.megabytes(builder) or "by hand"
        rows.append((name, catalog.state(name), download, _sizes(catalog.element_spec(name))))
    print(aligned(rows))
    print(f"\nPrepared sets are stored in {store.root()}. How to get one: jaxnets data show SET")
    if again := [name for name, ready, *_ in rows if ready in (store.OUTDATED, store.DAMAGED)]:
        print(f"To be prepared again before use: {', '.join(again)}")


def _print_set(name: str) -> None:
    builder, spec, ready = catalog.get(name), catalog.element_spec(name), catalog.state(name)
    print(f"{name}: {builder.description}")
    for split, fields in spec.splits.items():
        shapes = (f"{field} {array.dtype}{list(array.shape)}" for field, array in fields.items())
        print(f"  {split:<13} {', '.join(shapes)}")
    for key in ("class_names", "categories"):
        if values := spec.meta.get(key):
            shown = ", ".join(values[:12]) + (", …" if len(values) > 12 else "")
            print(f"  {key.replace('_names', 'es'):<13} {len(values)}: {shown}")
    for key in (key for key in spec.meta if key.endswith("tokens")):
        print(f"  {key:<13} {len(spec.meta[key]):,}")
    if builder.license:
        print(f"  license       {builder.license}")
    print(f"  ready         {_READY[ready]} {store.root() / name}")
    print(f"  to get it     {catalog.instructions(name)}")


def _sizes(dataset: store.Dataset) -> str:
    return ", ".join(f"{dataset.examples(split):,} {split}" for split in dataset.splits)


def _prepare(name: str, manual_dir: Path | None) -> None:
    catalog.get(name)  # Raises UserError for an unknown name before progress is shown.
    with _progress() as report:
        folder = catalog.prepare(name, manual_dir, report)
    dataset = catalog.load(name)
    print(f"{name}: {_sizes(dataset)} examples, ready in {folder}")
    if left_out := dataset.meta.get("left_out"):
        print(f"left out: {', '.join(left_out)}")
    if dataset.meta.get("source") == catalog.OTHERWISE:
        print("these are not the published files, as tables will say: the sizes are theirs, the content is not")
    elif dataset.meta.get("source") == catalog.UNKNOWN:
        print("whether these are the published files cannot be told: no checksum is known, only sizes, which are theirs")


@contextmanager
def _progress() -> Iterator[Report]:
    """A function that shows the progress of each stage: as a bar on a terminal, elsewhere as a line every two seconds."""
    # TFDS's own output is silenced by redirecting stdout, which this console must not follow.
    console = Console(file=sys.stdout)
    if not console.is_terminal:
        yield _line_reporter()
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, redirect_stdout=False, redirect_stderr=False) as progress:
        task = progress.add_task("starting", total=None)

        def report(stage: str, done: int, total: int) -> None:
            if progress.tasks[0].description != stage:
                progress.reset(task, description=stage, total=total)
            progress.update(task, completed=done)

        yield report


def _line_reporter() -> Report:
    out, last = sys.stdout, time.monotonic()

    def report(stage: str, done: int, total: int) -> None:
        nonlocal last
        if time.monotonic() - last >= _SECONDS:
            last = time.monotonic()
            print(f"{stage}: {done:,} of {total:,}", file=out, flush=True)

    return report
