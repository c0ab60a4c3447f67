"""CIFAR-10 (Krizhevsky 2009): 60,000 photographs, 32×32, 10 classes.

The publisher's 50,000 training images are split at random into 45,000 and 5,000 for validation.
"""

import io
import pickle
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds

from jaxnets.data import archives, store
from jaxnets.data.builders import Builder, Columns, image_features, to_arrays
from jaxnets.data.dataset_builder import DatasetBuilder, labeled_images
from jaxnets.data.progress import Report, silent
from jaxnets.data.store import Prepared
from jaxnets.errors import UserError, first_line

CLASS_NAMES = ("plane", "car", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_SITE = "https://www.cs.toronto.edu/~kriz/"
_BINARY, _PYTHON = "cifar-10-binary.tar.gz", "cifar-10-python.tar.gz"
_PLACES = ("cifar-10-batches-bin", "cifar-10-batches-py", _BINARY, _PYTHON)
_BATCHES = ("data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch")
_PER_BATCH, _SHAPE = 10_000, (32, 32, 3)
_SIZES = {"train": 45_000, "validation": 5_000, "test": 10_000}
_SPLIT_SEED = 45_000


class Cifar10(Builder):
    """Reads the binary or the Python version of CIFAR-10, as an archive or unpacked."""

    features: ClassVar = image_features(_SHAPE, CLASS_NAMES)
    downloads: ClassVar = {
        _SITE + _BINARY: tfds.download.checksums.UrlInfo(
            size=170_052_171,
            checksum="c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
            filename=_BINARY,
        )
    }

    def read(self) -> dict[str, Columns]:
        """The three splits."""
        files = read_files(self.locate(_SITE + _BINARY, *_PLACES), self.report)
        images, labels = zip(*(parse(name, files[name]) for name in _BATCHES), strict=True)
        order = np.random.default_rng(_SPLIT_SEED).permutation(5 * _PER_BATCH)
        train, validation = np.split(order, [_SIZES["train"]])
        train_images, train_labels = np.concatenate(images[:5]), np.concatenate(labels[:5])
        return {
            "train": {"image": train_images[train], "label": train_labels[train]},
            "validation": {"image": train_images[validation], "label": train_labels[validation]},
            "test": {"image": images[5], "label": labels[5]},
        }


def prepare(manual_dir: Path | None, report: Report = silent) -> Prepared:
    """Downloads CIFAR-10, or reads it from `manual_dir`.

    Raises UserError for files that are missing, truncated or damaged.
    """
    return store.images(to_arrays(Cifar10, manual_dir, report).splits, CLASS_NAMES)


SETS = (
    DatasetBuilder(
        name="cifar10",
        description="60,000 color photographs of 32×32 pixels in 10 classes (Krizhevsky 2009)",
        prepare=prepare,
        sizes=_SIZES,
        contents=labeled_images(CLASS_NAMES, _SHAPE),
        source=Cifar10,
        files="cifar-10-binary.tar.gz, cifar-10-python.tar.gz, cifar-10-batches-bin/ or cifar-10-batches-py/",
        published="f1358503f292c0f7",
    ),
)


def read_files(path: Path, report: Report = silent) -> dict[str, bytes]:
    """The six batch files of an archive or an unpacked folder, by their names without ".bin".

    Raises UserError if one is missing.
    """
    stem = lambda inside: PurePosixPath(inside).name.removesuffix(".bin")
    members = archives.members("cifar10", path, lambda inside: stem(inside) in _BATCHES, report)
    files = {stem(inside): content for inside, content in members.items()}
    if missing := [name for name in _BATCHES if name not in files]:
        raise UserError(f"cifar10: {path} lacks {', '.join(missing)}; fetch it again")
    return files


def parse(name: str, content: bytes) -> tuple[np.ndarray, np.ndarray]:
    """One batch file -> images uint8 [10000, 32, 32, 3] and labels uint8 [10000].

    Raises UserError, which calls the file `name`, if it is truncated or damaged.
    """
    if len(content) == _PER_BATCH * 3073:
        rows = np.frombuffer(content, np.uint8).reshape(_PER_BATCH, 3073)
        labels, pixels = rows[:, 0], rows[:, 1:]
    else:
        try:
            batch = _PlainUnpickler(io.BytesIO(content), encoding="bytes").load()
            # Keys are bytes in what Python 2 wrote, texts in what Python 3 wrote.
            pixels, labels = (np.asarray(batch.get(key, batch.get(key.encode()))) for key in ("data", "labels"))
            if not labels.size or labels.dtype.kind not in "iu" or pixels.dtype != np.uint8:
                raise ValueError(f"pixels are {pixels.dtype}, labels {labels.dtype}")
        except Exception as error:  # pickle passes on any error.
            raise UserError(f"cifar10: {name} is truncated or damaged ({first_line(error)}); fetch it again") from None
    if pixels.shape != (_PER_BATCH, 3072) or labels.shape != (_PER_BATCH,) or not 0 <= labels.min() <= labels.max() <= 9:
        raise UserError(f"cifar10: {name} does not hold {_PER_BATCH} images in 10 classes; fetch it again")
    return pixels.reshape(_PER_BATCH, 3, 32, 32).transpose(0, 2, 3, 1), labels.astype(np.uint8)


class _PlainUnpickler(pickle.Unpickler):
    """Loads NumPy arrays, dicts, lists, numbers and bytes, and refuses whatever else a pickle may call."""

    _ALLOWED: ClassVar = {
        ("numpy.core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
        ("numpy.core.multiarray", "scalar"): np.int64(0).__reduce__()[0],
        ("numpy.core.numeric", "_frombuffer"): np.empty(0).__reduce_ex__(5)[0],
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
    }

    def find_class(self, module: str, name: str) -> Any:
        """Called for every global a pickle asks for."""
        if (module, name) == ("_codecs", "encode"):
            return lambda text, encoding: text.encode(encoding)
        try:
            return self._ALLOWED[module.replace("numpy._core", "numpy.core"), name]
        except KeyError:
            raise pickle.UnpicklingError(f"it calls {module}.{name}, which image data never needs") from None
