"""Eight classes of the SUN database of scenes (Xiao et al. 2010) with the lists of a course's homework: 1,177 photographs
to train and 400 to test (report S2 Q6.1.4).

Read from a folder that holds train_files.txt, train_labels.txt, test_files.txt and test_labels.txt, line by line the path of
a picture below that folder and its label, and a folder of pictures for each class. They are not published for download.

The pictures differ in size. Stored are squares of 224 pixels a side, the middle of the picture after its shorter side was
brought to 256, as is usual for nets trained on ImageNet. One training image in ten of each class is held out for
validation, by a fixed draw: 1,059 / 118 / 400.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np
import tensorflow_datasets as tfds

from jaxnets.data import archives, image_io, store
from jaxnets.data.builders import Builder, file_feature, to_arrays
from jaxnets.errors import UserError

CLASS_NAMES = ("aquarium", "desert", "highway", "kitchen", "laundromat", "park", "waterfall", "windmill")
SIDE, SIZES = 224, (1_059, 118, 400)
FILES = "train_files.txt, train_labels.txt, test_files.txt, test_labels.txt, and the pictures in a folder for each class"
_SHORTER = 256
_HELD_OUT = 10
_SPLIT_SEED = 1_177
_PLACES = tuple(f"{folder}train_files.txt" for folder in ("", "data/", "HW1/data/"))
_MOST_BROKEN = 0.01
"""Share of unreadable pictures above which the files are refused."""


class Listed(NamedTuple):
    """One line of a split's two lists."""

    path: str
    """Below the folder of the lists."""
    label: int


class Sun8(Builder):
    """Reads the folder."""

    def _info(self) -> tfds.core.DatasetInfo:
        features = {
            "file": file_feature(),
            "label": tfds.features.ClassLabel(names=CLASS_NAMES),
            "name": tfds.features.Text(),
        }
        return self.describe(features, "SUN, 8 classes")

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator[Any]]:
        assert self.manual is not None
        folder = archives.find(self.name, self.manual, _PLACES, "the course's lists and pictures").parent
        whole, test = read_lists(folder, "train"), read_lists(folder, "test")
        if shared := {one.path for one in whole} & {one.path for one in test}:
            raise UserError(f"sun8: {min(shared)} is in both train_files.txt and test_files.txt; mend the lists in {folder}")
        train, validation = hold_out(whole)
        splits = {"train": train, "validation": validation, "test": test}
        return {split: self._generate_examples(folder, listed) for split, listed in splits.items()}

    def _generate_examples(self, folder: Path, listed: Sequence[Listed]) -> Iterator[tuple[int, dict[str, Any]]]:
        for i, (path, label) in enumerate(listed):
            yield i, {"file": (folder / path).read_bytes(), "label": label, "name": path}


def prepare(manual_dir: Path | None) -> Path:
    """Reads the pictures from `manual_dir` and stores their arrays.

    Raises UserError where files are missing, lists are wrong, or more than one picture in a hundred cannot be read; fewer
    are left out and named in the set's record.
    """
    if manual_dir is None:
        raise UserError(f"sun8 cannot be downloaded: give it with `--manual-dir DIR`, a folder of {FILES}")
    files = to_arrays(Sun8, manual_dir)
    splits, broken = {}, []
    for split, fields in files.items():
        found = [image_io.decode(content) for content in fields["file"]]
        kept = np.array([picture is not None for picture in found])
        broken += fields["name"][~kept].tolist()
        squares = [image_io.center_square(picture, _SHORTER, SIDE) for picture in found if picture is not None]
        splits[split] = {
            "image": np.stack(squares) if squares else np.zeros((0, SIDE, SIDE, 3), np.uint8),
            "label": fields["label"][kept],
        }
    total = sum(len(fields["label"]) for fields in files.values())
    image_io.check_broken("sun8", broken, total, _MOST_BROKEN, "copy them again")
    meta = {"class_names": CLASS_NAMES, "left_out": broken, **store.image_statistics(splits["train"]["image"])}
    return store.save("sun8", splits, meta)


def read_lists(folder: Path, split: str) -> list[Listed]:
    """The pictures of a split, as its lists say. Raises UserError, which names the line, for lists that cannot be right."""
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
            fault = f"{one.path} stands in line {first[one.path]} too"
        else:
            first[one.path] = number
            continue
        raise UserError(f"sun8: {split}_files.txt and {split}_labels.txt, line {number}: {fault}, in {folder}")
    return listed


def hold_out(listed: Sequence[Listed]) -> tuple[list[Listed], list[Listed]]:
    """(training, validation): of each class one in ten is held out, whichever a fixed draw says; the order stays."""
    draw = np.random.default_rng(_SPLIT_SEED)
    labels = np.array([one.label for one in listed])
    held: set[int] = set()
    for label in range(len(CLASS_NAMES)):
        members = np.flatnonzero(labels == label)
        held |= set(draw.permutation(members)[: round(len(members) / _HELD_OUT)].tolist())
    parts = ([i for i in range(len(listed)) if (i in held) == wanted] for wanted in (False, True))
    train, validation = ([listed[i] for i in part] for part in parts)
    return train, validation


def _lines(folder: Path, name: str) -> list[str]:
    if not (folder / name).is_file():
        raise UserError(f"sun8: {name} is missing in {folder}")
    return [line.strip() for line in archives.lines(archives.decode("sun8", name, (folder / name).read_bytes()))]


def _label(path: str, label: str) -> int:
    """The label, or -1 where it is not the number of the class whose folder the picture is in."""
    name = PurePosixPath(path).parent.name
    known = CLASS_NAMES.index(name) if name in CLASS_NAMES else -1
    return known if label == str(known) else -1
