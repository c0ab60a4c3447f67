"""NIST36 (CMU course 16-720): handwritten capitals and digits, 32×32, dark on white; split 10,800 / 3,600 / 1,800.

The course hands its three .mat files to its students; nobody else publishes them, so they are read from a manual directory.
`emnist36` and `glyphs36` are stand-ins of the same classes and form.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io
import tensorflow_datasets as tfds

from jaxnets.data import store
from jaxnets.data.builders import LabeledImages, to_arrays
from jaxnets.data.letter_form import SIDE
from jaxnets.errors import UserError, first_line

CLASS_NAMES = tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
SIZES = (10_800, 3_600, 1_800)
_KEYS = {"train": "train", "validation": "valid", "test": "test"}


class Nist36(LabeledImages):
    """Reads nist36_train.mat, nist36_valid.mat and nist36_test.mat."""

    about, shape, class_names = "NIST36", (SIDE, SIDE, 1), CLASS_NAMES

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator[Any]]:
        if self.manual is None:
            raise UserError("nist36 is course material and cannot be downloaded: use --manual-dir with its three .mat files")
        names = {split: f"nist36_{key}.mat" for split, key in _KEYS.items()}
        places = {split: self.locate(dl_manager, "the course's data", name, f"data/{name}") for split, name in names.items()}
        return {split: self._generate_examples(*read_mat(path, _KEYS[split])) for split, path in places.items()}


def prepare(manual_dir: Path | None) -> Path:
    """Reads the files in `manual_dir` and stores their arrays."""
    return save("nist36", to_arrays(Nist36, manual_dir))


def save(name: str, splits: store.Splits) -> Path:
    """Stores a set of the 36 classes."""
    return store.save(name, splits, {"class_names": CLASS_NAMES, **store.image_statistics(splits["train"]["image"])})


def read_mat(path: Path, key: str) -> tuple[np.ndarray, np.ndarray]:
    """Upright uint8 images [N, 32, 32, 1], 255 = paper, and labels [N], from `key`_data and `key`_labels of a .mat file.

    MATLAB stores images column by column. Raises UserError for a file that is damaged or of other contents.
    """
    try:
        content = scipy.io.loadmat(path)
    except Exception as error:  # scipy raises whatever comes up in the parser.
        raise UserError(f"{path} is not a MATLAB file or is damaged ({first_line(error)}); fetch it again") from None
    if missing := [name for name in (f"{key}_data", f"{key}_labels") if name not in content]:
        raise UserError(f"{path} lacks {' and '.join(missing)}: it is not nist36's file of this split")
    data, labels = np.asarray(content[f"{key}_data"], float), np.asarray(content[f"{key}_labels"], float)
    wanted = (len(data), SIDE**2), (len(data), len(CLASS_NAMES))
    if (data.shape, labels.shape) != wanted:
        raise UserError(f"{path}: arrays of {data.shape} and {labels.shape}, expected {wanted[0]} and {wanted[1]}")
    if not (data.min() >= 0 and data.max() <= 1 and (labels.sum(1) == 1).all() and np.isin(labels, (0, 1)).all()):
        raise UserError(f"{path}: pixels must lie in [0, 1] and labels must be one-hot")
    images = data.reshape(-1, SIDE, SIDE).swapaxes(1, 2)[..., None]
    return np.round(255 * images).astype(np.uint8), labels.argmax(1)
