"""Tiny ImageNet (Stanford CS231n 2015): 200 classes of photographs, 64×64, 100,000 to train and 10,000 to validate.

The labels of the publishers' test images are not public, so there is no test split: nothing may be chosen by the validation
split that is then reported on it.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds

from jaxnets.data import archives, image_io, store
from jaxnets.data.builders import Builder, file_feature, to_arrays
from jaxnets.errors import UserError

CLASSES, SIZE = 200, 64
_URL = "http://cs231n.stanford.edu/tiny-imagenet-200.zip"
_ZIP, _FOLDER = "tiny-imagenet-200.zip", "tiny-imagenet-200"
_MOST_BROKEN = 0.001
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

    def _info(self) -> tfds.core.DatasetInfo:
        features = {
            "jpeg": file_feature(),
            "label": tfds.features.ClassLabel(num_classes=CLASSES),
            "name": tfds.features.Text(),
        }
        return self.describe(features, "Tiny ImageNet")

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator[Any]]:
        files = read_files(self.locate(dl_manager, _URL, _FOLDER, _ZIP))
        classes = class_names(files)
        listed = {"train": training_list(files, classes), "validation": validation_list(files, classes)}
        return {split: self._generate_examples(files, pairs) for split, pairs in listed.items()}

    def _generate_examples(
        self, files: Mapping[str, bytes], listed: Sequence[tuple[str, int]]
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        for i, (path, label) in enumerate(listed):
            yield i, {"jpeg": files[path], "label": label, "name": path}


def prepare(manual_dir: Path | None) -> Path:
    """Downloads Tiny ImageNet, or reads it from `manual_dir`, and stores its arrays.

    Raises UserError where files are missing or more than one image in a thousand cannot be read; fewer are left out and
    named in the set's record.
    """
    files = to_arrays(TinyImagenet, manual_dir)
    images = {split: [decode(content) for content in fields["jpeg"]] for split, fields in files.items()}
    kept = {split: np.array([image is not None for image in found]) for split, found in images.items()}
    broken = [name for split, fields in files.items() for name in fields["name"][~kept[split]]]
    total = sum(len(fields["label"]) for fields in files.values())
    image_io.check_broken("tiny_imagenet", broken, total, _MOST_BROKEN, f"fetch {_URL} again")
    splits = {
        split: {"image": np.stack([i for i in found if i is not None]), "label": files[split]["label"][kept[split]]}
        for split, found in images.items()
    }
    _, first = np.unique(files["train"]["label"], return_index=True)
    wnids = [PurePosixPath(files["train"]["name"][i]).parts[1] for i in first]
    meta = {"class_names": wnids, "left_out": broken, **store.image_statistics(splits["train"]["image"])}
    return store.save("tiny_imagenet", splits, meta)


def read_files(where: Path) -> dict[str, bytes]:
    """The lists and the labeled images, by their path below tiny-imagenet-200/."""
    wanted = re.compile(r"(?:^|/)(wnids\.txt|val/val_annotations\.txt|(?:train/n\d+|val)/images/\w+\.JPEG)$")
    found = archives.members("tiny_imagenet", where, lambda path: bool(wanted.search(path)))
    return {wanted.search(path).group(1): content for path, content in found.items()}  # type: ignore[union-attr]


def class_names(files: Mapping[str, bytes]) -> list[str]:
    """The 200 WordNet numbers, sorted: a class's place in this list is its label."""
    if "wnids.txt" not in files:
        raise UserError(f"tiny_imagenet: wnids.txt, the list of classes, is missing; unpack {_URL} again")
    names = sorted(archives.decode("tiny_imagenet", "wnids.txt", files["wnids.txt"]).split())
    if len(set(names)) != CLASSES:
        raise UserError(f"tiny_imagenet: wnids.txt lists {len(set(names))} classes, not {CLASSES}; unpack {_URL} again")
    return names


def training_list(files: Mapping[str, bytes], names: Sequence[str]) -> list[tuple[str, int]]:
    """(path, label) of the training images, class by class."""
    by_class: dict[str, list[str]] = {name: [] for name in names}
    for path in sorted(files):
        if path.startswith("train/"):
            by_class.setdefault(PurePosixPath(path).parts[1], []).append(path)
    empty = [name for name, paths in by_class.items() if not paths]
    if empty or len(by_class) != CLASSES:
        strangers = [name for name in by_class if name not in names]
        wrong = f"no images of {empty[0]}" if empty else f"{strangers[0]} is not in wnids.txt"
        raise UserError(f"tiny_imagenet: train/ holds {len(by_class) - len(empty)} classes, not {CLASSES}: {wrong}")
    return [(path, label) for label, name in enumerate(names) for path in by_class[name]]


def validation_list(files: Mapping[str, bytes], names: Sequence[str]) -> list[tuple[str, int]]:
    """(path, label) of the validation images, in the order of their list."""
    where = "val/val_annotations.txt"
    if where not in files:
        raise UserError(f"tiny_imagenet: {where}, the list of validation classes, is missing; unpack {_URL} again")
    label = {name: i for i, name in enumerate(names)}
    pairs = []
    for number, line in enumerate(archives.lines(archives.decode("tiny_imagenet", where, files[where])), 1):
        image, _, rest = line.partition("\t")
        path, name = f"val/images/{image}", rest.partition("\t")[0]
        if name not in label or path not in files:
            fault = f"class {name!r} is not in wnids.txt" if name not in label else f"{path} is missing"
            raise UserError(f"tiny_imagenet: {where}, line {number}: {fault}; unpack {_URL} again")
        pairs.append((path, label[name]))
    return pairs


def decode(content: bytes) -> np.ndarray | None:
    """The pixels of a JPEG, uint8 [64, 64, 3]; gray images get three equal channels. None if it cannot be read."""
    pixels = image_io.decode(content)
    return pixels if pixels is not None and pixels.shape == (SIZE, SIZE, 3) else None
