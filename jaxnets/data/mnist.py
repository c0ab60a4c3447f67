"""MNIST (LeCun, Cortes and Burges 1998): 70,000 handwritten digits, 28×28, gray.

The publishers' 60,000 training images are split at random into 55,000 and 5,000 for validation.
"""

import struct
import zlib
from pathlib import Path
from typing import ClassVar

import numpy as np
import tensorflow_datasets as tfds

from jaxnets.data import archives, store
from jaxnets.data.builders import Builder, Columns, image_features, to_arrays
from jaxnets.data.dataset_builder import DatasetBuilder, labeled_images
from jaxnets.data.progress import Report, silent
from jaxnets.data.store import Prepared
from jaxnets.errors import UserError

CLASS_NAMES = tuple("0123456789")
LICENSE = "MNIST: CC BY-SA 3.0, LeCun and Cortes, derived from NIST's data"
"""As the documentation of Keras states it; the publishers' page is gone."""
_SIZES, _SHAPE = {"train": 55_000, "validation": 5_000, "test": 10_000}, (28, 28, 1)
_SPLIT_SEED = 55_000
_SITE = "https://storage.googleapis.com/cvdf-datasets/mnist/"
_FILES = {
    "train-images-idx3-ubyte.gz": (9_912_422, "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"),
    "train-labels-idx1-ubyte.gz": (28_881, "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"),
    "t10k-images-idx3-ubyte.gz": (1_648_877, "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"),
    "t10k-labels-idx1-ubyte.gz": (4_542, "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"),
}


class Mnist(Builder):
    """Reads MNIST's four original files."""

    features: ClassVar = image_features(_SHAPE, CLASS_NAMES)
    downloads: ClassVar = {
        _SITE + name: tfds.download.checksums.UrlInfo(size=size, checksum=checksum, filename=name)
        for name, (size, checksum) in _FILES.items()
    }

    def read(self) -> dict[str, Columns]:
        """The three splits."""
        images, labels = read_digits(self, "train")
        order = np.random.default_rng(_SPLIT_SEED).permutation(len(images))
        train, validation = np.split(order, [-_SIZES["validation"]])
        test_images, test_labels = read_digits(self, "t10k")
        return {
            "train": {"image": images[train], "label": labels[train]},
            "validation": {"image": images[validation], "label": labels[validation]},
            "test": {"image": test_images, "label": test_labels},
        }


def prepare(manual_dir: Path | None, report: Report = silent) -> Prepared:
    """Downloads MNIST, or reads it from `manual_dir`.

    Raises UserError for files that are missing, truncated or damaged.
    """
    return store.images(to_arrays(Mnist, manual_dir, report).splits, CLASS_NAMES)


SETS = (
    DatasetBuilder(
        name="mnist",
        description="70,000 handwritten digits of 28×28 pixels (LeCun, Cortes and Burges 1998)",
        prepare=prepare,
        sizes=_SIZES,
        contents=labeled_images(CLASS_NAMES, _SHAPE),
        source=Mnist,
        files="the four *-ubyte.gz files, or a folder mnist/ of them",
        published="4cd25876f1cefc38",
        license=LICENSE,
    ),
)


def read_digits(builder: Builder, part: str) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 [N, 28, 28, 1] and labels uint8 [N] of the publishers' `part`, "train" or "t10k".

    Raises UserError for files that are not right, packed or not.
    """
    places = lambda name: [folder + form for folder in ("", "mnist/") for form in (name, name.removesuffix(".gz"))]
    images, labels = (
        read_idx(path.read_bytes(), str(path))
        for name in (f"{part}-images-idx3-ubyte.gz", f"{part}-labels-idx1-ubyte.gz")
        for path in [builder.locate(_SITE + name, *places(name))]
    )
    check_labels(f"{builder.name}: {part}-images-idx3-ubyte", images, labels, len(CLASS_NAMES))
    return images[..., None], labels


def check_labels(what: str, images: np.ndarray, labels: np.ndarray, classes: int) -> None:
    """Raises UserError, which starts with `what`, unless there are images [N, 28, 28] and labels [N] below `classes`."""
    if images.shape[1:] != _SHAPE[:2] or labels.shape != images.shape[:1]:
        raise UserError(f"{what}: images {list(images.shape)} and labels {list(labels.shape)} do not belong together")
    if len(labels) and not 0 <= labels.min() <= labels.max() < classes:
        raise UserError(f"{what}: labels from {labels.min()} to {labels.max()}, where there are {classes} classes")


def read_idx(content: bytes, path: str) -> np.ndarray:
    """The uint8 array of an IDX file, packed by gzip or not.

    Raises UserError, which names `path`, if it is truncated or of another kind.
    """
    try:
        content = archives.gunzip(content) if content[:2] == b"\x1f\x8b" else content
        rank = content[3]
        shape = struct.unpack(f">{rank}I", content[4 : 4 + 4 * rank])
        if content[:3] != b"\0\0\x08":
            raise ValueError("not an IDX file of bytes")
        return np.frombuffer(content, np.uint8, offset=4 + 4 * rank).reshape(shape)
    except (OSError, EOFError, zlib.error, ValueError, IndexError, struct.error) as error:
        raise UserError(f"{path} is truncated or damaged ({error}); fetch it again") from None
