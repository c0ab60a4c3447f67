"""All data sets by name, and those that users bring."""

import dataclasses
from pathlib import Path

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
from jaxnets.data.builders import PINNED
from jaxnets.data.dataset_builder import DatasetBuilder, content_hash
from jaxnets.data.own import source as own
from jaxnets.data.progress import Report, silent
from jaxnets.data.store import Dataset, Prepared
from jaxnets.errors import UserError, did_you_mean, naming

_MODULES = (
    *(cifar10, tiny_imagenet, sun, mnist, nist36, emnist36, names, corpora, imdb, pairs),
    *(shapes, glyphs36, toy_text),
)
AS_PUBLISHED, OTHERWISE, UNKNOWN = "as published", "not as published", "of the published size"
"""Meta data "source" of sets that are not synthetic; the last where nothing but sizes is known of the published files."""
SETS: dict[str, DatasetBuilder] = {builder.name: builder for module in _MODULES for builder in module.SETS}


def get(name: str) -> DatasetBuilder:
    """The set called `name`. Raises UserError, which suggests the nearest name, if there is none."""
    if name not in SETS:
        hint = did_you_mean(name, SETS, f"known sets: {', '.join(SETS)}")
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
    """The shapes, types and meta data of a set: of the prepared set if it can be used, else as its file states them."""
    return _found(name)[1] or get(name).element_spec()


def prepare(name: str, manual_dir: Path | None = None, report: Report = silent) -> Path:
    """Makes a set, from files in `manual_dir` or without them, and stores it. Returns its folder.

    Raises UserError for files that are missing, damaged, or not the whole set.
    """
    builder = get(name)
    with store.preparing(name, report):
        return _prepare(builder, manual_dir, report)


def _prepare(builder: DatasetBuilder, manual_dir: Path | None, report: Report) -> Path:
    with naming(builder.name):
        content = builder.prepare(manual_dir, report)
    if fault := builder.fault(Dataset(builder.name, *content)):
        raise UserError(
            f"{builder.name}: the files are not the whole published set: {fault}; fetch them again, or give data of your "
            "own by its path, `--data.source PATH`"
        )
    return store.save(builder.name, content.splits, {**content.meta, **_source(builder, content)})


def _source(builder: DatasetBuilder, content: Prepared) -> dict[str, str]:
    """What is known of where a set came from, as meta data."""
    if builder.synthetic:
        return {}
    if not builder.published:
        return {"source": UNKNOWN}
    files = content.meta.get("files")
    is_published = files == PINNED or builder.published in (content_hash(content), files)
    return {"source": AS_PUBLISHED if is_published else OTHERWISE}


def is_ready(name: str) -> bool:
    """Whether a set is prepared, whole, and as this version of jaxnets prepares it."""
    return state(name) == store.READY


def state(name: str) -> str:
    """As `store.state`; also DAMAGED for arrays that are not whole, OUTDATED for those of another version of a set.

    REFUSED where the system refuses to read it.
    """
    return _found(name)[0]


def _found(name: str) -> tuple[str, Dataset | None]:
    """(the state of a set, the set if it can be used)."""
    store.root()  # Without a home folder nothing is known of any set.
    try:
        if (found := store.state(name)) != store.READY:
            return found, None
        dataset = store.load(name)
    except store.AccessRefusedError:
        return store.REFUSED, None
    except UserError:
        return store.DAMAGED, None
    return (store.OUTDATED, None) if get(name).fault(dataset) else (store.READY, dataset)


def load(name: str) -> Dataset:
    """Opens a prepared set. Raises UserError if it is missing, damaged, or of another version of jaxnets."""
    dataset = store.load(name)
    if fault := get(name).fault(dataset):
        raise UserError(
            f"prepared data in {store.root() / name} is not as this version of jaxnets prepares it ({fault}): run `jaxnets "
            f"data prepare {name}` again"
        )
    return dataset


def open_dataset(name: str, synthetic: str | None = None) -> Dataset:
    """The prepared set. A synthetic one is made first, if need be.

    Raises UserError for another set that is not prepared; it suggests the stand-in called `synthetic`.
    """
    builder = get(name)
    if builder.synthetic:
        if not is_ready(name):
            with store.preparing(name, silent):
                if not is_ready(name):  # No other process has made it meanwhile.
                    _prepare(builder, None, silent)
    elif (found := store.state(name)) != store.READY:
        if found != store.MISSING:
            raise UserError(f"prepared data in {store.root() / name} is {found}; prepare it again: {instructions(name)}")
        instead = f". Or try `--data.source synthetic` ({synthetic}, no download)" if synthetic else ""
        raise UserError(f"data set {name} is not prepared. {instructions(name)}{instead}")
    return load(name)


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


def spec_of(config: DataConfig) -> Dataset:
    """The shapes, types and meta data of a config's data set, which need not be prepared unless it is the user's own."""
    return open_data(config) if is_own(config.source) else element_spec(config.dataset)


def with_absolute_source(experiment: Experiment) -> Experiment:
    """The experiment with its own source, if it has one, as an absolute path, so that it means the same everywhere."""
    if not is_own(experiment.data.source):
        return experiment
    return dataclasses.replace(
        experiment, data=dataclasses.replace(experiment.data, source=own.absolute(experiment.data.source))
    )


def label(experiment: Experiment, dataset: Dataset) -> str:
    """The data set of an experiment as tables show it: its name, or the last part of its path."""
    if is_own(experiment.dataset):
        return own.label(experiment.dataset)
    return experiment.dataset + (f" ({OTHERWISE})" if dataset.meta.get("source") == OTHERWISE else "")


def is_published(experiment: Experiment, dataset: Dataset) -> bool:
    """Whether reported figures are of this data set, as far as is known: not of the user's own, nor of changed files."""
    return not is_own(experiment.dataset) and dataset.meta.get("source") != OTHERWISE
