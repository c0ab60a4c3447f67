"""Eight classes of scenes from the SUN database (Xiao et al. 2010), with a course's lists of 1,177 photographs to train and
400 to test (report S2 Q6.1.4).

The set is read from a folder with train_files.txt, train_labels.txt, test_files.txt and test_labels.txt, whose lines are the
paths of pictures below that folder and their labels, and with a folder of pictures for each class. These are not published
for download.

The pictures differ in size. Stored are squares of 224 pixels a side: the shorter side is brought to 256 and the middle cut
out, as is usual for networks trained on ImageNet. One training picture in ten of each class is held out for validation, by a
fixed draw.
"""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import ClassVar, NamedTuple

import numpy as np
import tensorflow_datasets as tfds

from jaxnets.data import image_io, store, text_files
from jaxnets.data.builders import Builder, Columns, file_feature, to_arrays
from jaxnets.data.dataset_builder import DatasetBuilder, labeled_images
from jaxnets.data.progress import Report, silent, track
from jaxnets.data.store import Prepared
from jaxnets.errors import UserError

CLASS_NAMES = ("aquarium", "desert", "highway", "kitchen", "laundromat", "park", "waterfall", "windmill")
_SIDE = 224
_FILES = "train_files.txt, train_labels.txt, test_files.txt, test_labels.txt, and the pictures in a folder for each class"
_SHORTER = 256
_HELD_OUT = 10
_SPLIT_SEED = 1_177
_PLACES = tuple(f"{folder}train_files.txt" for folder in ("", "data/", "HW1/data/"))
_MAX_BROKEN = 0.01
"""Share of unreadable pictures above which the files are refused."""


class Listed(NamedTuple):
    """One line of a split's two lists."""

    path: str
    """Below the folder of the lists."""
    label: int


class Sun8(Builder):
    """Reads the folder of lists and pictures."""

    features: ClassVar = {
        "file": file_feature(),
        "label": tfds.features.ClassLabel(names=CLASS_NAMES),
        "name": tfds.features.Text(),
    }

    def read(self) -> dict[str, Columns]:
        """The files of the three splits."""
        folder = self.locate("the course's lists and pictures", *_PLACES).parent
        listed, test = read_lists(folder, "train"), read_lists(folder, "test")
        if shared := {one.path for one in listed} & {one.path for one in test}:
            raise UserError(f"sun8: {min(shared)} is in both train_files.txt and test_files.txt; fix the lists in {folder}")
        train, validation = hold_out(listed)
        return {
            split: {
                "file": [(folder / one.path).read_bytes() for one in track(part, f"reading {split}", self.report)],
                "label": [one.label for one in part],
                "name": [one.path for one in part],
            }
            for split, part in (("train", train), ("validation", validation), ("test", test))
        }


def prepare(manual_dir: Path | None, report: Report = silent) -> Prepared:
    """Reads the pictures from `manual_dir`.

    Up to one picture in a hundred may be unreadable; those are left out and named in meta["left_out"].

    Raises UserError without `manual_dir`, where files are missing or lists are wrong, and for more unreadable pictures.
    """
    if manual_dir is None:
        raise UserError(f"sun8 cannot be downloaded: give it with `--manual-dir DIR`, a folder of {_FILES}")
    read = to_arrays(Sun8, manual_dir, report)
    splits, broken = {}, []
    for split, columns in read.splits.items():
        pictures = [image_io.decode(content) for content in track(columns["file"].tolist(), f"decoding {split}", report)]
        readable = np.array([picture is not None for picture in pictures])
        broken += columns["name"][~readable].tolist()
        squares = [image_io.center_square(picture, _SHORTER, _SIDE) for picture in pictures if picture is not None]
        splits[split] = {
            "image": np.stack(squares) if squares else np.zeros((0, _SIDE, _SIDE, 3), np.uint8),
            "label": columns["label"][readable],
        }
    total = sum(len(columns["label"]) for columns in read.splits.values())
    image_io.check_broken("sun8", broken, total, _MAX_BROKEN, "copy them again")
    return read.complete(store.images(splits, CLASS_NAMES, left_out=broken))


SETS = (
    DatasetBuilder(
        name="sun8",
        description="1,577 photographs of scenes in 8 classes, 224×224 pixels (Xiao et al. 2010)",
        prepare=prepare,
        sizes={"train": 1_059, "validation": 118, "test": 400},
        contents=labeled_images(CLASS_NAMES, (_SIDE, _SIDE, 3)),
        source=Sun8,
        files=_FILES,
        published="65a79abf0d2d9ab0",  # Of the lists and pictures of a public copy.
    ),
)


def read_lists(folder: Path, split: str) -> list[Listed]:
    """The pictures on a split's two lists, in their order. Raises UserError, which names the line, for wrong lists."""
    paths, labels = (_lines(folder, f"{split}_{what}.txt") for what in ("files", "labels"))
    if len(paths) != len(labels):
        raise UserError(f"sun8: {split}_files.txt has {len(paths)} lines and {split}_labels.txt {len(labels)}, in {folder}")
    listed = [Listed(path, _label(path, label)) for path, label in zip(paths, labels, strict=True)]
    first: dict[str, int] = {}
    for number, one in enumerate(listed, 1):
        inside = PurePosixPath(one.path)
        if one.label < 0:
            fault = f"the label {labels[number - 1]!r} is not that of the class {inside.parent.name!r}"
        elif inside.is_absolute() or ".." in inside.parts or not (folder / inside).is_file():
            fault = f"{one.path} is missing"
        elif one.path in first:
            fault = f"{one.path} is in line {first[one.path]} too"
        else:
            first[one.path] = number
            continue
        raise UserError(f"sun8: {split}_files.txt and {split}_labels.txt, line {number}: {fault}, in {folder}")
    return listed


def hold_out(listed: Sequence[Listed]) -> tuple[list[Listed], list[Listed]]:
    """Splits pictures into (training, validation): a fixed draw holds out one in ten of each class. The order is kept."""
    rng = np.random.default_rng(_SPLIT_SEED)
    labels = np.array([one.label for one in listed])
    held: set[int] = set()
    for label in range(len(CLASS_NAMES)):
        members = np.flatnonzero(labels == label)
        held |= set(rng.permutation(members)[: round(len(members) / _HELD_OUT)].tolist())
    train = [one for i, one in enumerate(listed) if i not in held]
    return train, [listed[i] for i in sorted(held)]


def _lines(folder: Path, name: str) -> list[str]:
    if not (folder / name).is_file():
        raise UserError(f"sun8: {name} is missing in {folder}")
    return [line.strip() for line in text_files.lines(text_files.read("sun8", folder / name))]


def _label(path: str, label: str) -> int:
    """The label as a number; -1 if it is not that of the class whose folder the picture is in."""
    name = PurePosixPath(path).parent.name
    number = CLASS_NAMES.index(name) if name in CLASS_NAMES else -1
    return number if label == str(number) else -1
