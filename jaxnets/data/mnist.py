"""MNIST (LeCun, Cortes and Burges 1998): 70,000 handwritten digits, 28×28, gray; split 55,000 / 5,000 / 10,000."""

import gzip
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds

from jaxnets.data import store
from jaxnets.data.builders import LabeledImages, to_arrays
from jaxnets.errors import UserError

CLASS_NAMES = tuple("0123456789")
SIZES = (55_000, 5_000, 10_000)
_SITE = "https://storage.googleapis.com/cvdf-datasets/mnist/"
_FILES = {
    "train-images-idx3-ubyte.gz": (9_912_422, "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"),
    "train-labels-idx1-ubyte.gz": (28_881, "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"),
    "t10k-images-idx3-ubyte.gz": (1_648_877, "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"),
    "t10k-labels-idx1-ubyte.gz": (4_542, "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"),
}
# The 60,000 training images are shuffled by this seed; the last 5,000 are for validation.
_SPLIT_SEED = 55_000


class Mnist(LabeledImages):
    """Reads the four original files."""

    about, shape, class_names = "MNIST", (28, 28, 1), CLASS_NAMES
    downloads: ClassVar = {
        _SITE + name: tfds.download.checksums.UrlInfo(size=size, checksum=checksum, filename=name)
        for name, (size, checksum) in _FILES.items()
    }

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator[Any]]:
        def read(name: str) -> np.ndarray:
            path = self.locate(dl_manager, _SITE + name, name, f"mnist/{name}")
            return read_idx(path.read_bytes(), str(path))

        images, labels = read("train-images-idx3-ubyte.gz"), read("train-labels-idx1-ubyte.gz")
        order = np.random.default_rng(_SPLIT_SEED).permutation(len(images))
        train, validation = order[: -SIZES[1]], order[-SIZES[1] :]
        return {
            "train": self._generate_examples(images[train], labels[train]),
            "validation": self._generate_examples(images[validation], labels[validation]),
            "test": self._generate_examples(read("t10k-images-idx3-ubyte.gz"), read("t10k-labels-idx1-ubyte.gz")),
        }


def prepare(manual_dir: Path | None) -> Path:
    """Downloads MNIST, or reads it from `manual_dir`, and stores its arrays."""
    splits = to_arrays(Mnist, manual_dir)
    return store.save("mnist", splits, {"class_names": CLASS_NAMES, **store.image_statistics(splits["train"]["image"])})


def read_idx(compressed: bytes, path: str) -> np.ndarray:
    """The array of a gzipped IDX file. Raises UserError, naming `path`, where it is truncated or of another kind."""
    try:
        content = gzip.decompress(compressed)
        rank = content[3]
        shape = struct.unpack(f">{rank}I", content[4 : 4 + 4 * rank])
        if content[:3] != b"\0\0\x08":
            raise ValueError("not an IDX file of bytes")
        return np.frombuffer(content, np.uint8, offset=4 + 4 * rank).reshape(shape)
    except (OSError, EOFError, zlib.error, ValueError, IndexError, struct.error) as error:
        raise UserError(f"{path} is truncated or damaged ({error}); fetch it again") from None
