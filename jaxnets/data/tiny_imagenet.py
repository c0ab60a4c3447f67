"""Tiny ImageNet (Stanford CS231n 2015): 200 classes of photographs, 64×64, 100,000 to train and 10,000 to validate.

The labels of the publishers' test images are not public, so there is no test split: what is reported on the validation split
must not have been chosen by it.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import ClassVar

import numpy as np
import tensorflow_datasets as tfds

from jaxnets.data import archives, image_io, store, text_files
from jaxnets.data.builders import Builder, Columns, file_feature, to_arrays
from jaxnets.data.dataset_builder import DatasetBuilder, labeled_images, unknown_tokens
from jaxnets.data.progress import Report, silent, track
from jaxnets.data.store import Prepared
from jaxnets.errors import UserError

_CLASSES, _SIZE = 200, 64
_URL = "http://cs231n.stanford.edu/tiny-imagenet-200.zip"
_ZIP, _FOLDER = "tiny-imagenet-200.zip", "tiny-imagenet-200"
_MAX_BROKEN = 0.001
"""Share of unreadable images above which the files are refused."""


class TinyImagenet(Builder):
    """Reads the archive, or the folder it unpacks to."""

    downloads: ClassVar = {
        _URL: tfds.download.checksums.UrlInfo(
            size=248_100_043,
            checksum="6198c8ae015e2b3e007c7841da39ec069199b9aa3bfa943a462022fe5e43c821",
            filename=_ZIP,
        )
    }
    features: ClassVar = {
        "jpeg": file_feature(),
        "label": tfds.features.ClassLabel(num_classes=_CLASSES),
        "name": tfds.features.Text(),
    }

    def read(self) -> dict[str, Columns]:
        """The files of both splits."""
        files = read_files(self.locate(_URL, _FOLDER, _ZIP), self.report)
        classes = class_names(files)
        lists = {"train": training_list(files, classes), "validation": validation_list(files, classes)}
        return {
            split: {
                "jpeg": [files[path] for path, _ in listed],
                "label": [label for _, label in listed],
                "name": [path for path, _ in listed],
            }
            for split, listed in lists.items()
        }


def prepare(manual_dir: Path | None, report: Report = silent) -> Prepared:
    """Downloads Tiny ImageNet, or reads it from `manual_dir`.

    Up to one image in a thousand may be unreadable; those are left out and named in meta["left_out"].

    Raises UserError where files are missing, and for more unreadable images.
    """
    read = to_arrays(TinyImagenet, manual_dir, report)
    splits, broken = {}, []
    for split, columns in read.splits.items():
        images = [decode(content) for content in track(columns["jpeg"].tolist(), f"decoding {split}", report, every=1_000)]
        readable = np.array([image is not None for image in images])
        broken += columns["name"][~readable].tolist()
        arrays = [image for image in images if image is not None]
        splits[split] = {
            "image": np.stack(arrays) if arrays else np.zeros((0, _SIZE, _SIZE, 3), np.uint8),
            "label": columns["label"][readable],
        }
    total = sum(len(columns["label"]) for columns in read.splits.values())
    image_io.check_broken("tiny_imagenet", broken, total, _MAX_BROKEN, f"fetch {_URL} again")
    _, first = np.unique(read.splits["train"]["label"], return_index=True)
    wnids = [PurePosixPath(read.splits["train"]["name"][i]).parts[1] for i in first]
    return read.complete(store.images(splits, wnids, left_out=broken))


SETS = (
    DatasetBuilder(
        name="tiny_imagenet",
        description="110,000 color photographs of 64×64 pixels in 200 classes (Stanford CS231n 2015)",
        prepare=prepare,
        sizes={"train": 100_000, "validation": 10_000},
        # Classes are named by their WordNet numbers, which the archive lists.
        contents=labeled_images(unknown_tokens(_CLASSES), (_SIZE, _SIZE, 3)),
        source=TinyImagenet,
        files="tiny-imagenet-200.zip or tiny-imagenet-200/",
        published="dc0a27fa163f88dc",  # Of the files of a public copy that is complete; the archive has a pinned sum.
    ),
)


def read_files(path: Path, report: Report = silent) -> dict[str, bytes]:
    """The lists and the labeled images, by their paths below tiny-imagenet-200/."""
    pattern = re.compile(r"(?:^|/)(wnids\.txt|val/val_annotations\.txt|(?:train/n\d+|val)/images/\w+\.JPEG)$")
    members = archives.members("tiny_imagenet", path, lambda inside: bool(pattern.search(inside)), report)
    return {pattern.search(inside).group(1): content for inside, content in members.items()}  # type: ignore[union-attr]


def class_names(files: Mapping[str, bytes]) -> list[str]:
    """The 200 WordNet numbers, sorted; a class's index in this list is its label. Raises UserError if there are not 200."""
    if "wnids.txt" not in files:
        raise UserError(f"tiny_imagenet: wnids.txt, the list of classes, is missing; unpack {_URL} again")
    names = sorted(text_files.decode("tiny_imagenet", "wnids.txt", files["wnids.txt"]).split())
    if len(set(names)) != _CLASSES:
        raise UserError(f"tiny_imagenet: wnids.txt lists {len(set(names))} classes, not {_CLASSES}; unpack {_URL} again")
    return names


def training_list(files: Mapping[str, bytes], names: Sequence[str]) -> list[tuple[str, int]]:
    """(path, label) of the training images, class by class. Raises UserError for an empty and for an unlisted class."""
    by_class: dict[str, list[str]] = {name: [] for name in names}
    for path in sorted(files):
        if path.startswith("train/"):
            by_class.setdefault(PurePosixPath(path).parts[1], []).append(path)
    empty = [name for name, paths in by_class.items() if not paths]
    if empty or len(by_class) != _CLASSES:
        unlisted = [name for name in by_class if name not in names]
        fault = f"no images of {empty[0]}" if empty else f"{unlisted[0]} is not in wnids.txt"
        raise UserError(f"tiny_imagenet: train/ holds {len(by_class) - len(empty)} classes, not {_CLASSES}: {fault}")
    return [(path, label) for label, name in enumerate(names) for path in by_class[name]]


def validation_list(files: Mapping[str, bytes], names: Sequence[str]) -> list[tuple[str, int]]:
    """(path, label) of the validation images, in the order of their list. Raises UserError, naming the line, for faults."""
    list_path = "val/val_annotations.txt"
    if list_path not in files:
        raise UserError(f"tiny_imagenet: {list_path}, the list of validation classes, is missing; unpack {_URL} again")
    label = {name: i for i, name in enumerate(names)}
    pairs = []
    content = text_files.decode("tiny_imagenet", list_path, files[list_path])
    listed = text_files.table("tiny_imagenet", list_path, content, ("image", "class"))  # Then come the corners of a box.
    for number, (image, name) in zip(listed.numbers, listed.rows, strict=True):
        path = f"val/images/{image}"
        if name not in label or path not in files:
            fault = f"class {name!r} is not in wnids.txt" if name not in label else f"{path} is missing"
            raise UserError(f"tiny_imagenet: {list_path}, line {number}: {fault}; unpack {_URL} again")
        pairs.append((path, label[name]))
    return pairs


def decode(content: bytes) -> np.ndarray | None:
    """The pixels of a JPEG, uint8 [64, 64, 3]; gray images get three equal channels. None if it cannot be read."""
    pixels = image_io.decode(content)
    return pixels if pixels is not None and pixels.shape == (_SIZE, _SIZE, 3) else None
