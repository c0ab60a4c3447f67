"""NIST36 (CMU course 16-720): handwritten capitals and digits, 32×32, dark on white.

The course gives its three .mat files to its students. They are not published elsewhere, so they are read from a manual
directory. `emnist36` and `glyphs36` are stand-ins with the same classes and form.
"""

from pathlib import Path
from typing import ClassVar

import numpy as np
import scipy.io

from jaxnets.data import store
from jaxnets.data.builders import Builder, Columns, image_features, to_arrays
from jaxnets.data.dataset_builder import DatasetBuilder, labeled_images
from jaxnets.data.letter_form import SIDE
from jaxnets.data.progress import Report, silent
from jaxnets.data.store import Prepared
from jaxnets.errors import UserError, first_line

CLASS_NAMES = tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
SHAPE = (SIDE, SIDE, 1)
CONTENTS = labeled_images(CLASS_NAMES, SHAPE)
_KEYS = {"train": "train", "validation": "valid", "test": "test"}


class Nist36(Builder):
    """Reads nist36_train.mat, nist36_valid.mat and nist36_test.mat."""

    features: ClassVar = image_features(SHAPE, CLASS_NAMES)

    def read(self) -> dict[str, Columns]:
        """The publisher's three splits."""
        if self.manual_dir is None:
            raise UserError("nist36 is course material and cannot be downloaded: use --manual-dir with its three .mat files")
        names = {split: f"nist36_{key}.mat" for split, key in _KEYS.items()}
        paths = {split: self.locate("the course's data", name, f"data/{name}") for split, name in names.items()}
        arrays = {split: read_mat(path, _KEYS[split]) for split, path in paths.items()}
        return {split: {"image": images, "label": labels} for split, (images, labels) in arrays.items()}


def prepare(manual_dir: Path | None, report: Report = silent) -> Prepared:
    """Reads the files in `manual_dir`.

    Raises UserError without `manual_dir`, and for files that are missing, damaged or of other contents.
    """
    read = to_arrays(Nist36, manual_dir, report)
    return read.complete(store.images(read.splits, CLASS_NAMES))


SETS = (
    DatasetBuilder(
        name="nist36",
        description="16,200 handwritten capitals and digits of 32×32 pixels (course material of CMU 16-720)",
        prepare=prepare,
        sizes={"train": 10_800, "validation": 3_600, "test": 1_800},
        contents=CONTENTS,
        source=Nist36,
        files="nist36_train.mat, nist36_valid.mat and nist36_test.mat",
    ),
)


def read_mat(path: Path, key: str) -> tuple[np.ndarray, np.ndarray]:
    """Upright images uint8 [N, 32, 32, 1], 255 = paper, and labels [N], from `key`_data and `key`_labels of a .mat file.

    MATLAB stores images column by column. Raises UserError for a file that is damaged or has other contents.
    """
    try:
        content = scipy.io.loadmat(path)
    except Exception as error:  # scipy passes on any error of its parsers.
        raise UserError(f"{path} is not a MATLAB file or is damaged ({first_line(error)}); fetch it again") from None
    if missing := [name for name in (f"{key}_data", f"{key}_labels") if name not in content]:
        raise UserError(f"{path} lacks {' and '.join(missing)}: it is not the file of this split of nist36")
    data, labels = np.asarray(content[f"{key}_data"], float), np.asarray(content[f"{key}_labels"], float)
    expected = (len(data), SIDE**2), (len(data), len(CLASS_NAMES))
    if (data.shape, labels.shape) != expected:
        raise UserError(f"{path}: arrays of {data.shape} and {labels.shape}, expected {expected[0]} and {expected[1]}")
    if not (data.min() >= 0 and data.max() <= 1 and (labels.sum(1) == 1).all() and np.isin(labels, (0, 1)).all()):
        raise UserError(f"{path}: pixels must lie in [0, 1] and labels must be one-hot")
    images = data.reshape(-1, SIDE, SIDE).swapaxes(1, 2)[..., None]
    return np.round(255 * images).astype(np.uint8), labels.argmax(1)
