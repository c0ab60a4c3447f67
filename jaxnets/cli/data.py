"""`jaxnets data`."""

import dataclasses
from pathlib import Path
from typing import Literal

import tyro
from rich.console import Console
from rich.table import Table

from jaxnets.cli.parse import parse
from jaxnets.data import catalog, store
from jaxnets.errors import UserError


@dataclasses.dataclass(frozen=True)
class DataOptions:
    """Lists data sets, or prepares one."""

    action: tyro.conf.Positional[Literal["status", "prepare"]]
    name: tyro.conf.Positional[str | None] = None
    """The set to prepare."""
    manual_dir: Path | None = None
    """A folder of files fetched by hand, under the names their publishers gave them."""


def data(args: list[str]) -> int:
    """The state of the data sets, or the preparation of one."""
    options = parse(DataOptions, "data", args)
    if options.action == "prepare":
        if options.name is None:
            raise UserError(f"data prepare needs the name of a set: {', '.join(catalog.SETS)}")
        folder = catalog.get(options.name).prepare(options.manual_dir)
        found = store.load(options.name)
        sizes = ", ".join(f"{found.examples(split):,} {split}" for split in found.splits)
        print(f"{options.name}: {sizes} examples, ready in {folder}")
        if left_out := found.meta.get("left_out"):
            print(f"left out because they cannot be read: {', '.join(left_out)}")
        return 0
    console = Console()
    table = Table(box=None, pad_edge=False)
    for title in ("set", "ready", "what"):
        table.add_column(title)
    for name, data_set in catalog.SETS.items():
        ready = store.is_prepared(name)
        about = data_set.about if ready else f"{data_set.about}. To have it: {catalog.instructions(name)}"
        table.add_row(name, "yes" if ready else "no", about)
    console.print(table)
    console.print(f"prepared sets are kept in {store.root()}", highlight=False, soft_wrap=True)
    return 0
