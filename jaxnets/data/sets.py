"""The data sets by name, and how each is obtained."""

import difflib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxnets.data import cifar10, shapes10, store
from jaxnets.data.store import Prepared
from jaxnets.errors import UserError


class DataSet(NamedTuple):
    """A set that can be prepared."""

    about: str
    prepare: Callable[[Path | None], Path]
    """Makes the arrays from a folder of files fetched by hand, or without one; returns where they are."""
    outline: Callable[[], Prepared]
    """Shapes and names of the prepared set, known beforehand; the values are zeros that take no memory."""
    howto: str
    """What a user does to have it, in one line."""
    made_here: bool = False
    """Drawn by our own code: needs no download, so it is prepared whenever it is first used."""


SETS: dict[str, DataSet] = {
    "cifar10": DataSet(
        "60,000 colour photographs of 32×32 pixels in 10 classes (Krizhevsky 2009)",
        cifar10.prepare,
        lambda: images_outline("cifar10", cifar10.CLASS_NAMES, (45_000, 5_000, 10_000)),
        "`jaxnets data prepare cifar10` downloads it (170 MB); with `--manual-dir DIR` it is read from DIR, which holds "
        "cifar-10-binary.tar.gz, cifar-10-python.tar.gz, cifar-10-batches-bin/ or cifar-10-batches-py/",
    ),
    "shapes10": DataSet(
        "14,000 drawn colour images of 32×32 pixels in 10 classes of shapes, made by jaxnets itself",
        shapes10.prepare,
        lambda: images_outline("shapes10", shapes10.CLASS_NAMES, (10_000, 2_000, 2_000)),
        "nothing to do: it is drawn in seconds when first used",
        made_here=True,
    ),
}


def images_outline(
    name: str, class_names: Sequence[str], sizes: Sequence[int], shape: tuple[int, ...] = (32, 32, 3)
) -> Prepared:
    """An outline of labelled images: `sizes` are those of the training, validation and test splits."""
    zeros = lambda dtype, *shape: np.broadcast_to(np.zeros((), dtype), shape)
    splits = {
        split: {"image": zeros(np.uint8, examples, *shape), "label": zeros(np.int32, examples)}
        for split, examples in zip(("train", "validation", "test"), sizes, strict=True)
    }
    channels = shape[-1]
    return Prepared(name, splits, {"class_names": class_names, "mean": [0.5] * channels, "std": [0.5] * channels})


def outline(name: str) -> Prepared:
    """The set's shapes and names: from the prepared set where there is one."""
    return store.load(name) if store.is_prepared(name) else get(name).outline()


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
