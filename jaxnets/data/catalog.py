"""All data sets by name, and those that users bring."""

import dataclasses
import difflib

from jaxnets.config import DataConfig, Experiment
from jaxnets.data import (
    cifar10,
    corpora,
    emnist36,
    glyphs36,
    imdb,
    mnist,
    names,
    nist36,
    pairs,
    shapes,
    store,
    sun,
    tiny_imagenet,
    toy_text,
)
from jaxnets.data.dataset_builder import DatasetBuilder
from jaxnets.data.own import source as own
from jaxnets.data.progress import Report, silent
from jaxnets.data.store import Dataset
from jaxnets.errors import UserError

_MODULES = (
    *(cifar10, tiny_imagenet, sun, mnist, nist36, emnist36, names, corpora, imdb, pairs),
    *(shapes, glyphs36, toy_text),
)
SETS: dict[str, DatasetBuilder] = {builder.name: builder for module in _MODULES for builder in module.SETS}


def get(name: str) -> DatasetBuilder:
    """The set called `name`. Raises UserError, which suggests the nearest name, if there is none."""
    if name not in SETS:
        near = difflib.get_close_matches(name, SETS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known sets: {', '.join(SETS)}"
        raise UserError(f"unknown data set {name!r}: {hint}")
    return SETS[name]


def instructions(name: str) -> str:
    """How to get a set, in one line."""
    builder = get(name)
    if builder.synthetic:
        return "nothing to do: jaxnets makes it in seconds when it is first used"
    if not builder.download_bytes:
        return f"`jaxnets data prepare {name} --manual-dir DIR` reads it from DIR, which holds {builder.files}"
    return (
        f"`jaxnets data prepare {name}` downloads it ({megabytes(builder)}); with `--manual-dir DIR` it is read from DIR, "
        f"which holds {builder.files}"
    )


def megabytes(builder: DatasetBuilder) -> str:
    """The size of a set's download, for example "170 MB"; empty if there is nothing to download."""
    return f"{max(1, round(builder.download_bytes / 1e6))} MB" if builder.download_bytes else ""


def element_spec(name: str) -> Dataset:
    """The shapes, types and meta data of a set: of the prepared set if there is one, else as its file states them."""
    return store.load(name) if store.is_prepared(name) else get(name).element_spec()


def open_dataset(name: str, synthetic: str | None = None) -> Dataset:
    """The prepared set. A synthetic one is made first, if need be.

    Raises UserError for another set that is not prepared; it suggests the stand-in called `synthetic`.
    """
    builder = get(name)
    if not store.is_prepared(name):
        if not builder.synthetic:
            instead = f". Or try `--data.source synthetic` ({synthetic}, no download)" if synthetic else ""
            raise UserError(f"data set {name} is not prepared. {instructions(name)}{instead}")
        builder.prepare(None, silent)
    return store.load(name)


def is_own(source: str) -> bool:
    """Whether a config's `source` is the user's own, a path or a set of TFDS. Names of the catalog come first."""
    return own.is_own(source, SETS)


def open_data(config: DataConfig, report: Report = silent) -> Dataset:
    """The data set of a config: a prepared one, a synthetic one, or the user's own, which is read when it is first used.

    Raises UserError as `open_dataset`, and for an own source that cannot be read.
    """
    if is_own(config.source):
        return own.open_source(config, report)
    return open_dataset(config.dataset, config.synthetic)


def with_absolute_source(experiment: Experiment) -> Experiment:
    """The experiment with its own source, if it has one, as an absolute path, so that it means the same everywhere."""
    if not is_own(experiment.data.source):
        return experiment
    return dataclasses.replace(
        experiment, data=dataclasses.replace(experiment.data, source=own.absolute(experiment.data.source))
    )


def label(experiment: Experiment) -> str:
    """The data set of an experiment as tables show it: its name, or the last part of its path."""
    return own.label(experiment.dataset) if is_own(experiment.dataset) else experiment.dataset
