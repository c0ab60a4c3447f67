"""Data of one's own: a folder of pictures, an .npz of arrays, or a table of labeled texts, by its path.

`--data.source PATH` takes any of these in place of a set's name. What is read is stored like every other set, under a name
that derives from the path and from the files' sizes and times, so that it is read again when they change.

Without folders or arrays for them, validation and test get a tenth of each class, drawn at random, always the same.
"""

import csv
import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxnets.data import image_io, imdb, store
from jaxnets.data.progress import Report, silent, track
from jaxnets.data.store import Dataset
from jaxnets.errors import UserError, first_line

_SPLIT_FOLDERS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val"),
    "test": ("test", "testing"),
}
_TEXT_COLUMNS, _LABEL_COLUMNS = ("text", "review", "sentence"), ("label", "sentiment", "class")
_MAX_BROKEN = 0.1
"""Share of files that may be unreadable."""
_SEED = 10

Columns = dict[str, np.ndarray]


def open_dataset(source: str, size: int | None = None, report: Report = silent) -> Dataset:
    """The data at a path, read and stored when it is first used.

    Args:
      source: a folder of pictures, with a folder for each class, or with folders train, validation and test of such; an
        .npz with arrays "image" (uint8 [N, H, W] or [N, H, W, C]) and "label" [N], or "train_image", "train_label" and so
        on; a .csv or .tsv with a header and the columns "text" and "label".
      size: pixels a side to which pictures are brought: the shorter side is resized, the middle cut out. Without it, all
        pictures must be of one size. Pictures of which all are gray have one channel, others three.
      report: is told about progress.

    Returns:
      The data set. Its `meta["notes"]` says in sentences how it was split and what was left out.

    Raises:
      UserError: nothing is there, or it is none of these, or has fewer than two classes or too few examples of one.
    """
    path = Path(source).expanduser().resolve()
    if not path.exists():
        raise UserError(f"data.source {source}: there is no such file, folder or data set; see `jaxnets data status`")
    name = f"own-{path.stem}-{_fingerprint(path, size)}"
    if not store.is_prepared(name):
        if path.is_dir():
            _save_images(name, path, *_pictures(path, size, report))
        elif path.suffix == ".npz":
            _save_images(name, path, *_arrays(path, size))
        elif path.suffix in (".csv", ".tsv"):
            _save_texts(name, path, report)
        else:
            raise UserError(f"{path} is not a folder of pictures, an .npz of arrays or a .csv or .tsv of labeled texts")
    return store.load(name)._replace(name=str(path))


def _fingerprint(path: Path, size: int | None) -> str:
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    facts = [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files if file.is_file()]
    return hashlib.sha256(repr((facts, size)).encode()).hexdigest()[:10]


def _save_images(name: str, path: Path, splits: Mapping[str, Columns], notes: list[str]) -> None:
    class_names = _class_names(path, [split["label"] for split in splits.values()])
    numbered = {
        split: {"image": columns["image"], "label": np.searchsorted(class_names, columns["label"]).astype(np.int32)}
        for split, columns in _complete(path, splits, class_names, notes).items()
    }
    statistics = store.image_statistics(numbered["train"]["image"])
    store.save(name, numbered, {"class_names": [str(c) for c in class_names], **statistics, "notes": notes})


def _pictures(folder: Path, size: int | None, report: Report) -> tuple[dict[str, Columns], list[str]]:
    """The pictures of a folder by split, "image" [N, H, W, C] and "label" [N] (names of folders), and notes."""
    folders = {
        split: next((folder / name for name in names if (folder / name).is_dir()), None)
        for split, names in _SPLIT_FOLDERS.items()
    }
    by_split = {split: root for split, root in folders.items() if root} if folders["train"] else {"train": folder}
    splits, broken, total = {}, [], 0
    for split, root in by_split.items():
        classes = [child for child in sorted(root.iterdir()) if child.is_dir() and not child.name.startswith(".")]
        if not classes:
            raise UserError(f"{root} has no folders: put the pictures of each class into one, named as the class")
        files = [
            (file, child.name)
            for child in classes
            for file in sorted(child.rglob("*"))
            if file.is_file() and not file.name.startswith(".")
        ]
        images, labels = [], []
        for file, label in track(files, f"reading {split}", report):
            pixels = image_io.decode(file.read_bytes())
            if pixels is None:
                broken.append(str(file.relative_to(folder)))
                continue
            images.append(pixels if size is None else image_io.center_square(pixels, size, size))
            labels.append(label)
        if empty := [child.name for child in classes if child.name not in labels]:
            raise UserError(f"{root / empty[0]} has no picture that can be read: add some, or remove the folder")
        total += len(files)
        shapes = Counter(image.shape[:2] for image in images)
        if len(shapes) > 1:
            some = ", ".join(f"{width}×{height}" for (height, width), _ in shapes.most_common(3))
            raise UserError(
                f"{root}: the pictures are of {len(shapes)} sizes ({some}, …): choose one, as with --data.size 32"
            )
        splits[split] = {"image": np.stack(images), "label": np.array(labels)}
    image_io.check_broken(str(folder), broken, total, _MAX_BROKEN, "remove them")
    if all((split["image"][..., :1] == split["image"]).all() for split in splits.values()):
        splits = {split: {**columns, "image": columns["image"][..., :1]} for split, columns in splits.items()}
    notes = [f"{len(broken):,} of {total:,} files are no readable pictures and left out ({', '.join(broken[:3])})"]
    return splits, notes if broken else []


def _arrays(path: Path, size: int | None) -> tuple[dict[str, Columns], list[str]]:
    """The arrays of an .npz by split."""
    if size is not None:
        raise UserError(f"{path}: --data.size is for pictures; arrays are taken as they are")
    try:
        with np.load(path) as file:
            arrays = dict(file)
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"{path} cannot be read ({first_line(error)})") from None
    prefixes = {"train": ""} if "image" in arrays else {split: f"{split}_" for split in _SPLIT_FOLDERS}
    splits = {}
    for split, prefix in prefixes.items():
        image, label = (arrays.get(f"{prefix}{field}") for field in ("image", "label"))
        if image is None and split != "train":
            continue
        if image is None or label is None:
            known = ", ".join(arrays) or "none"
            raise UserError(f"{path} has no arrays image and label, or train_image and train_label; its arrays: {known}")
        if image.dtype != np.uint8 or image.ndim not in (3, 4):
            raise UserError(
                f"{path}: {prefix}image must be uint8 [N, H, W] or [N, H, W, C], not {image.dtype} {list(image.shape)}"
            )
        if label.shape != image.shape[:1]:
            raise UserError(f"{path}: {prefix}label must be [{len(image)}], as many as images, not {list(label.shape)}")
        splits[split] = {"image": image if image.ndim == 4 else image[..., None], "label": label}
    return splits, []


def _save_texts(name: str, path: Path, report: Report) -> None:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file, delimiter="," if path.suffix == ".csv" else "\t"))
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} is not a table in UTF-8 ({first_line(error)})") from None
    header = [column for column in (rows[0] if rows else ()) if column]
    text_column, label_column = (
        next((column for column in header if column.strip().lower() in names), None)
        for names in (_TEXT_COLUMNS, _LABEL_COLUMNS)
    )
    if text_column is None or label_column is None:
        first = ", ".join(header) or "nothing"
        raise UserError(f"{path} needs a header with the columns text and label; its first line has {first}")
    complete = [row for row in rows if row[text_column] and row[label_column]]
    notes = [f"{len(rows) - len(complete):,} of {len(rows):,} lines lack a text or a label and are left out"]
    notes = notes if len(complete) < len(rows) else []
    columns = {
        "review": np.array([row[text_column] for row in complete], object),
        "label": np.array([row[label_column].strip() for row in complete]),
    }
    class_names = _class_names(path, [columns["label"]])
    if len(class_names) > 2:
        raise UserError(f"{path} has {len(class_names)} labels ({_some(class_names)}): nets for texts tell two apart")
    splits = _complete(path, {"train": columns}, class_names, notes)
    numbered = {
        split: {**part, "label": np.searchsorted(class_names, part["label"]).astype(np.int32)}
        for split, part in splits.items()
    }
    imdb.save(name, numbered, report, [str(c) for c in class_names], notes)


def _class_names(path: Path, labels: Sequence[np.ndarray]) -> np.ndarray:
    """The classes of the training labels, which come first, in order."""
    class_names = np.unique(labels[0])
    if len(class_names) < 2:
        raise UserError(f"{path} has {len(class_names)} class ({_some(class_names)}): at least two are needed")
    if unknown := set(np.unique(np.concatenate(labels[1:]))) - set(class_names) if labels[1:] else ():
        raise UserError(f"{path}: {_some(sorted(unknown))} does not occur in the training split")
    return class_names


def _complete(path: Path, splits: Mapping[str, Columns], class_names: np.ndarray, notes: list[str]) -> dict[str, Columns]:
    """`splits` with those that are missing, drawn from the training split: both, or validation alone if test is given."""
    if "validation" in splits:
        return dict(splits)
    held_out = ["validation"] if "test" in splits else ["validation", "test"]
    labels = splits["train"]["label"]
    rng = np.random.default_rng(_SEED)
    chosen: dict[str, list[np.ndarray]] = {split: [] for split in ("train", *held_out)}
    for class_name in class_names:
        order = rng.permutation(np.flatnonzero(labels == class_name))
        if len(order) <= len(held_out):
            raise UserError(
                f"{path}: class {class_name} has {len(order)} examples; at least {len(held_out) + 1} are needed, one for "
                f"each of {', '.join(chosen)}"
            )
        tenth = max(1, round(len(order) / 10))
        for i, split in enumerate(held_out):
            chosen[split].append(order[i * tenth : (i + 1) * tenth])
        chosen["train"].append(order[len(held_out) * tenth :])
    notes.append(f"a tenth of each class was drawn for {' and a tenth for '.join(held_out)}")
    drawn = {
        split: {field: array[np.sort(np.concatenate(indices))] for field, array in splits["train"].items()}
        for split, indices in chosen.items()
    }
    return {**drawn, **{split: columns for split, columns in splits.items() if split != "train"}}


def _some(names: Iterable[Any]) -> str:
    shown = [str(name) for name in names]
    return ", ".join(shown[:4]) + (", …" if len(shown) > 4 else "")
