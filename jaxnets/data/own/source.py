"""Own sources: which they are, and how they are prepared once and opened.

A source is prepared into the store under own-NAME-KEY-STATE. KEY stands for its path and the options that it is read with,
STATE for the sizes and times of its files, so that changed files are read again; what was prepared of an earlier state is
then removed. Its meta data have "source", "split_rule", "left_out" and "digest", a hash of the arrays.
"""

import hashlib
import json
import os
import re
import shutil
from pathlib import Path
from types import ModuleType
from typing import Any

from jaxnets import registry
from jaxnets.config import DataConfig
from jaxnets.config.fields import user_path
from jaxnets.data import store
from jaxnets.data.own import tfds_sets
from jaxnets.data.own.content import Content, refuse
from jaxnets.data.own.folders import files_below
from jaxnets.data.progress import Report, silent
from jaxnets.data.store import Dataset
from jaxnets.errors import first_line, naming

_VERSION = 3
"""To be raised whenever a reader changes what it makes of the same files."""
_SUFFIXES = (".csv", ".npz", ".tsv", ".txt")


def is_own(source: str, names: Any = ()) -> bool:
    """Whether `data.source` is a path or a set of TFDS, not one of the `names` of sets and not "synthetic".

    >>> [is_own(source) for source in ("./pictures", "~/book.txt", "book.txt", "tfds:kmnist", "synthetic")]
    [True, True, True, True, False]
    """
    if source == "synthetic" or source in names:
        return False
    looks_like_one = source.startswith((".", "~", tfds_sets.PREFIX)) or "/" in source or os.sep in source
    return looks_like_one or Path(source).suffix.lower() in _SUFFIXES or Path(source).exists()


def absolute(source: str) -> str:
    """An own source as it is recorded: the absolute path, whatever the folder one is in."""
    if source.startswith(tfds_sets.PREFIX):
        return source
    try:
        return str(user_path(source).resolve())
    except (OSError, RuntimeError) as error:  # A link in a circle.
        raise refuse(source, f"there is no such file or folder ({first_line(error)}); give another path") from None


def label(source: str) -> str:
    """A short name for tables: the last part of a path.

    >>> label("/data/pictures"), label("tfds:kmnist")
    ('pictures', 'tfds:kmnist')
    """
    return source if source.startswith(tfds_sets.PREFIX) else Path(source).name


def open_source(config: DataConfig, report: Report = silent) -> Dataset:
    """The data of an own source, which is read and stored first unless that has been done.

    Raises UserError for a source that is missing, may not be read, or is refused by the config's reader.
    """
    try:
        return _open(config, report)
    except OSError as error:
        raise refuse(config.source, f"{error.filename or 'it'} cannot be read: {error.strerror or error}") from error


def _open(config: DataConfig, report: Report) -> Dataset:
    reader = _reader(config)
    path, files = _locate(config)
    options = {name: getattr(config, name) for name in reader.OPTIONS}
    key = _hash([absolute(config.source), config.reader, options])
    prefix = f"own-{re.sub(r'[^a-z0-9]+', '_', label(config.source).lower())[:24].strip('_')}-{key}-"
    name = prefix + _hash([_VERSION, _state(files)])
    if not store.is_prepared(name):
        _prepare(config, path, name, prefix, reader, report)
    dataset = store.load(name)
    if hasattr(reader, "check"):
        reader.check(config, dataset)
    return dataset


def _prepare(config: DataConfig, path: Path | str, name: str, prefix: str, reader: ModuleType, report: Report) -> None:
    """Reads and stores a source, unless another process does so first, and removes what was prepared of earlier states."""
    with store.preparing(name, report):
        if store.is_prepared(name):
            return
        with naming(str(path)):
            content: Content = reader.read(config, path, report)
        meta = {
            **content.meta,
            "source": absolute(config.source),
            "split_rule": content.split_rule,
            "left_out": list(content.left_out),
        }
        store.save(name, content.splits, meta)
        for earlier in store.root().glob(f"{prefix}*"):
            if earlier.name != name:
                shutil.rmtree(earlier, ignore_errors=True)


def _reader(config: DataConfig) -> ModuleType:
    if not config.reader:
        raise refuse(config.source, f"{type(config).__name__} names no reader for sources of your own; use a prepared set")
    return registry.resolve(config.reader)


def _locate(config: DataConfig) -> tuple[Path | str, list[Path]]:
    """(what the reader reads, the files on which it depends)."""
    if config.source.startswith(tfds_sets.PREFIX):
        if config.reader != "jaxnets.data.own.pictures":
            raise refuse(config.source, "sets of TFDS can be used for experiments on pictures alone; give a file")
        return config.source, files_below(tfds_sets.folder(config.source))
    path = Path(absolute(config.source))
    if not path.exists():
        raise refuse(config.source, f"there is no such file or folder{_nearest(path)}; give another path")
    return path, files_below(path) if path.is_dir() else [path]


def _nearest(path: Path) -> str:
    """Where the path ends to exist, if it is not in its last part."""
    parent = next(parent for parent in path.parents if parent.exists())
    return "" if parent == path.parent else f" ({parent} is the last part that exists)"


def _state(files: list[Path]) -> list[Any]:
    stats = [(str(file), file.stat()) for file in files if file.exists()]
    return [[name, stat.st_size, stat.st_mtime_ns] for name, stat in stats]


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:10]
