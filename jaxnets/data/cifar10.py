"""CIFAR-10 (Krizhevsky 2009): 60,000 photographs, 32×32, 10 classes; split 45,000 / 5,000 / 10,000."""

import io
import pickle
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds

from jaxnets.data import archives, store
from jaxnets.data.builders import LabeledImages, to_arrays
from jaxnets.errors import UserError

CLASS_NAMES = ("plane", "car", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_SITE = "https://www.cs.toronto.edu/~kriz/"
_BINARY, _PYTHON = "cifar-10-binary.tar.gz", "cifar-10-python.tar.gz"
_BATCHES = ("data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch")
_PER_BATCH = 10_000
# The 50,000 training images are shuffled by this seed; the last 5,000 are for validation.
_SPLIT_SEED, _VALIDATION = 45_000, 5_000


class Cifar10(LabeledImages):
    """Reads the binary or the Python version, as archive or unpacked."""

    about, shape, class_names = "CIFAR-10", (32, 32, 3), CLASS_NAMES
    downloads: ClassVar = {
        _SITE + _BINARY: tfds.download.checksums.UrlInfo(
            size=170_052_171,
            checksum="c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
            filename=_BINARY,
        )
    }

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator[Any]]:
        where = self.manual or Path(dl_manager.download(_SITE + _BINARY))
        files = read_files(where)
        images, labels = zip(*(_parse(name, files[name]) for name in _BATCHES), strict=True)
        order = np.random.default_rng(_SPLIT_SEED).permutation(5 * _PER_BATCH)
        train_images, train_labels = np.concatenate(images[:5]), np.concatenate(labels[:5])
        return {
            split: self._generate_examples(train_images[chosen], train_labels[chosen])
            for split, chosen in (("train", order[:-_VALIDATION]), ("validation", order[-_VALIDATION:]))
        } | {"test": self._generate_examples(images[5], labels[5])}


def prepare(manual_dir: Path | None) -> Path:
    """Downloads CIFAR-10, or reads it from `manual_dir`, and stores its arrays."""
    splits = to_arrays(Cifar10, manual_dir)
    meta = {"class_names": CLASS_NAMES, **store.image_statistics(splits["train"]["image"])}
    return store.save("cifar10", splits, meta)


def read_files(where: Path) -> dict[str, bytes]:
    """The six batch files by stem, from an archive or from a folder that holds an archive or an unpacked folder."""
    if where.is_dir():
        places = ("cifar-10-batches-bin", "cifar-10-batches-py", _BINARY, _PYTHON)
        where = archives.find("cifar10", where, places, _SITE + _BINARY)
    stem = lambda inside: PurePosixPath(inside).name.removesuffix(".bin")
    found = archives.members("cifar10", where, lambda inside: stem(inside) in _BATCHES)
    files = {stem(inside): content for inside, content in found.items()}
    if missing := [name for name in _BATCHES if name not in files]:
        raise UserError(f"cifar10: {where} lacks {', '.join(missing)}; fetch it again")
    return files


def _parse(name: str, content: bytes) -> tuple[np.ndarray, np.ndarray]:
    """One batch file -> images uint8 [10000, 32, 32, 3] and labels uint8 [10000]."""
    if len(content) == _PER_BATCH * 3073:
        rows = np.frombuffer(content, np.uint8).reshape(_PER_BATCH, 3073)
        labels, pixels = rows[:, 0], rows[:, 1:]
    else:
        try:
            batch = _PlainUnpickler(io.BytesIO(content), encoding="bytes").load()
            pixels, labels = np.asarray(batch[b"data"], np.uint8), np.asarray(batch[b"labels"], np.uint8)
        except (pickle.UnpicklingError, EOFError, KeyError, TypeError, ValueError, IndexError) as error:
            raise UserError(f"cifar10: {name} is truncated or damaged ({error}); fetch it again") from None
    if pixels.shape != (_PER_BATCH, 3072) or labels.shape != (_PER_BATCH,) or labels.max() > 9:
        raise UserError(f"cifar10: {name} does not hold {_PER_BATCH} images in 10 classes; fetch it again")
    return pixels.reshape(_PER_BATCH, 3, 32, 32).transpose(0, 2, 3, 1), labels


class _PlainUnpickler(pickle.Unpickler):
    """Loads NumPy arrays, dicts, lists, numbers and bytes, and refuses to call anything else a pickle may name."""

    _ALLOWED: ClassVar = {
        ("numpy.core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
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
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which image data never needs") from None
