"""The data sets by name, and how each is obtained."""

import difflib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from jaxnets.data import cifar10, shapes10, store
from jaxnets.data.store import Prepared
from jaxnets.errors import UserError


class DataSet(NamedTuple):
    """A set that can be prepared."""

    about: str
    prepare: Callable[[Path | None], Path]
    """Makes the arrays from a folder of files fetched by hand, or without one; returns where they are."""
    howto: str
    """What a user does to have it, in one line."""
    made_here: bool = False
    """Drawn by our own code: needs no download, so it is prepared whenever it is first used."""


SETS: dict[str, DataSet] = {
    "cifar10": DataSet(
        "60,000 colour photographs of 32×32 pixels in 10 classes (Krizhevsky 2009)",
        cifar10.prepare,
        "`jaxnets data prepare cifar10` downloads it (170 MB); with `--manual-dir DIR` it is read from DIR, which holds "
        "cifar-10-binary.tar.gz, cifar-10-python.tar.gz, cifar-10-batches-bin/ or cifar-10-batches-py/",
    ),
    "shapes10": DataSet(
        "14,000 drawn colour images of 32×32 pixels in 10 classes of shapes, made by jaxnets itself",
        shapes10.prepare,
        "nothing to do: it is drawn in seconds when first used",
        made_here=True,
    ),
}


def get(name: str) -> DataSet:
    """The set called `name`, or UserError naming the nearest one."""
    if name not in SETS:
        near = difflib.get_close_matches(name, SETS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known sets: {', '.join(SETS)}"
        raise UserError(f"unknown data set {name!r}: {hint}")
    return SETS[name]


def open_set(name: str, embedded: str) -> Prepared:
    """The prepared set; one that is made here is made first if need be. `embedded` is only for the message."""
    data_set = get(name)
    if not store.is_prepared(name):
        if not data_set.made_here:
            raise UserError(
                f"data set {name} is not prepared. {data_set.howto}. "
                f"Or try `--data.source embedded` ({embedded}, no download)"
            )
        data_set.prepare(None)
    return store.load(name)
