"""Prepared data sets on disk: one .npy file for each field of each split, and meta.json. Training reads nothing else."""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxnets.data.phrases import some
from jaxnets.data.progress import Report
from jaxnets.errors import UserError, first_line

_FORMAT = 2
"""To be raised whenever the content or layout of a set changes, so that sets in the old form are prepared again."""

_ABSENT = (FileNotFoundError, NotADirectoryError, IsADirectoryError)
"""Errors by which a file is not there."""

READY, MISSING, OUTDATED, DAMAGED, REFUSED = "yes", "no", "outdated", "damaged", "no access"
"""Whether a set can be used, as tables say it."""

Splits = Mapping[str, Mapping[str, np.ndarray]]


class Prepared(NamedTuple):
    """The content of a data set before it is stored; see Dataset."""

    splits: Splits
    meta: Mapping[str, Any]


class Dataset(NamedTuple):
    """A data set ready for training."""

    name: str
    splits: Splits
    """Memory-mapped arrays by split ("train", "validation", "test") and field; equal lengths within a split."""
    meta: Mapping[str, Any]
    """What the arrays do not tell: "class_names", per-channel "mean" and "std" of the training images, …"""

    def examples(self, split: str) -> int:
        """Number of examples in a split; of tokens, for running text."""
        return len(next(iter(self.splits[split].values())))


def describe(dataset: Dataset) -> dict[str, Any]:
    """All but a data set's content, as JSON: name, shapes and types of its arrays, meta data."""
    splits = {
        split: {name: {"dtype": str(array.dtype), "shape": list(array.shape)} for name, array in fields.items()}
        for split, fields in dataset.splits.items()
    }
    return {"name": dataset.name, "splits": splits, "meta": dict(dataset.meta)}


def undescribe(description: Mapping[str, Any]) -> Dataset:
    """The data set that `describe` described, with zeros for its content, which take no memory.

    >>> spec = undescribe({"name": "tiny", "splits": {"train": {"label": {"dtype": "int32", "shape": [5]}}}, "meta": {}})
    >>> spec.examples("train"), spec.splits["train"]["label"].dtype
    (5, dtype('int32'))
    """
    zeros = lambda field: np.broadcast_to(np.zeros((), field["dtype"]), tuple(field["shape"]))
    splits = {
        split: {name: zeros(field) for name, field in fields.items()} for split, fields in description["splits"].items()
    }
    return Dataset(description["name"], splits, description["meta"])


def root() -> Path:
    """The folder of all prepared sets: $JAXNETS_DATA, or ~/.cache/jaxnets/data."""
    try:
        return Path(os.environ.get("JAXNETS_DATA") or "~/.cache/jaxnets/data").expanduser()
    except RuntimeError:
        raise UserError("there is no home folder: set JAXNETS_DATA to a folder for data sets") from None


@contextlib.contextmanager
def lock(name: str, waiting: Callable[[], None] | None = None, shared: bool = False) -> Iterator[None]:
    """Holds the lock called `name` of this store, alone or with others that hold it `shared`.

    Where another process has it, `waiting` is called first. Who only reads goes without it where nothing can be written;
    others get a UserError.
    """
    path = root() / ".locks" / name
    try:
        if not shared:
            root().mkdir(parents=True, exist_ok=True)
        path.parent.mkdir(exist_ok=True)
        file = path.open("ab")
    except OSError as error:
        if not shared:
            raise cannot_write(path, error) from error
        file = None
    with file or contextlib.nullcontext():
        if file:
            kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
            try:
                fcntl.flock(file, kind | fcntl.LOCK_NB)
            except BlockingIOError:
                if waiting:
                    waiting()
                fcntl.flock(file, kind)
        yield


def preparing(name: str, report: Report) -> contextlib.AbstractContextManager[None]:
    """Holds a lock, so that one process at a time prepares what `name` stands for."""
    return lock(f"{name}.preparation", lambda: report(f"waiting for another preparation of {name}", 0, 1))


def cannot_write(path: Path, error: OSError) -> UserError:
    """The error to raise where something cannot be stored."""
    return UserError(f"cannot write {path}: {error.strerror}; set JAXNETS_DATA to another folder")


class AccessRefusedError(UserError):
    """The system refuses to read what may be whole, by permissions or limits, say."""


def cannot_read(path: Path, error: OSError) -> AccessRefusedError:
    """The error to raise where the system refuses to read a set."""
    return AccessRefusedError(f"prepared data in {path} cannot be read: {error.strerror or error}")


def is_prepared(name: str) -> bool:
    """Whether the set is in the store, in the form of this version of jaxnets."""
    return state(name) == READY


def state(name: str) -> str:
    """READY for a set in the form of this version of jaxnets, MISSING, OUTDATED, or DAMAGED without whole meta data.

    Raises AccessRefusedError where the system refuses to read it.
    """
    with lock(name, shared=True):
        if not (root() / name).exists():
            return MISSING
        form = _meta(name).get("format")
        return READY if form == _FORMAT else DAMAGED if form is None else OUTDATED


def _meta(name: str) -> dict[str, Any]:
    """The content of a set's meta.json; empty if it is missing or no JSON object. Raises AccessRefusedError as `state`."""
    try:
        found = json.loads((root() / name / "meta.json").read_text("utf-8"))
    except (*_ABSENT, ValueError, RecursionError):
        return {}
    except OSError as error:
        raise cannot_read(root() / name, error) from error
    return found if isinstance(found, dict) else {}


def save(name: str, splits: Splits, meta: Mapping[str, Any]) -> Path:
    """Writes a set under a temporary name, then renames it, so that it is complete or absent. Returns its folder.

    A hash of its arrays, "digest", joins the meta data.

    Raises UserError if the folder cannot be written, and where it holds what is not a set's and would be lost.
    """
    target, building = root() / name, root() / f".{name}.building"
    with lock(f"{name}.building"):
        if foreign := [path.name for path in target.glob("*") if path.name != "meta.json" and path.suffix != ".npy"]:
            raise UserError(
                f"cannot store {name}: {target} holds {some(sorted(foreign))}, which no prepared set does; set JAXNETS_DATA "
                "to another folder"
            )
        shutil.rmtree(building, ignore_errors=True)  # A process that was killed leaves it.
        try:
            building.mkdir()
            for split, fields in splits.items():
                for field, array in fields.items():
                    np.save(building / f"{split}.{field}.npy", array)
            shapes = {split: {field: list(a.shape) for field, a in fields.items()} for split, fields in splits.items()}
            facts = {**meta, "format": _FORMAT, "splits": shapes, "digest": digest(splits)}
            (building / "meta.json").write_text(json.dumps(facts, indent=1), "utf-8")
            with lock(name):
                shutil.rmtree(target, ignore_errors=True)
                building.rename(target)
        except OSError as error:
            raise cannot_write(target, error) from error
        finally:
            shutil.rmtree(building, ignore_errors=True)
    return target


def load(name: str) -> Dataset:
    """Opens a prepared set without reading its arrays into memory.

    Raises UserError if it is missing, damaged, or cannot be read.
    """
    folder = root() / name
    with lock(name, shared=True):
        meta = _meta(name)
        if meta.get("format") != _FORMAT:
            raise UserError(f"data set {name} is not prepared: run `jaxnets data prepare {name}`")
        try:
            splits = {
                split: {field: np.load(folder / f"{split}.{field}.npy", mmap_mode="r") for field in fields}
                for split, fields in meta["splits"].items()
            }
            shapes = {split: {field: list(a.shape) for field, a in fields.items()} for split, fields in splits.items()}
            if shapes != meta["splits"] or not all(shapes.values()):
                raise ValueError("shapes differ from meta.json")
            if any(len({shape[0] for shape in fields.values()}) != 1 for fields in shapes.values()):
                raise ValueError("fields of a split differ in length")
        except (OSError, ValueError, KeyError, EOFError, TypeError, AttributeError, IndexError) as error:
            if isinstance(error, OSError) and not isinstance(error, _ABSENT):
                raise cannot_read(folder, error) from error
            raise UserError(
                f"prepared data in {folder} is damaged ({first_line(error)}): run `jaxnets data prepare {name}` again"
            ) from error
    return Dataset(name, splits, meta)


def digest(splits: Splits) -> str:
    """A hash of the names and contents of arrays; those of objects hold bytes or texts."""
    total = hashlib.sha256()
    for split, fields in sorted(splits.items()):
        for field, array in sorted(fields.items()):
            total.update(f"{split} {field} {array.dtype} {array.shape}".encode())
            if array.dtype != object:
                total.update(np.ascontiguousarray(array).data)
                continue
            for item in array:
                content = item.encode() if isinstance(item, str) else item
                total.update(f"{len(content)} ".encode() + content)
    return total.hexdigest()[:16]


def images(splits: Splits, class_names: Sequence[str], **meta: Any) -> Prepared:
    """The content of a set of images with class names and the statistics of its training images."""
    return Prepared(splits, {"class_names": tuple(class_names), **meta, **image_statistics(splits["train"]["image"])})


def image_statistics(images: np.ndarray) -> dict[str, list[float]]:
    """Per-channel mean and standard deviation of uint8 images [N, H, W, C], on the scale [0, 1]."""
    counts = np.stack([np.bincount(images[..., c].ravel(), minlength=256) for c in range(images.shape[-1])])
    levels = np.arange(256) / 255
    weights = counts / counts.sum(1, keepdims=True)
    mean = weights @ levels
    return {"mean": mean.tolist(), "std": np.sqrt(weights @ levels**2 - mean**2).tolist()}
