"""Letters of EMNIST (Cohen et al. 2017) and digits of MNIST in NIST36's form: emnist36, emnist36_large and letters36.

emnist36 is as large as NIST36, with 300 training, 100 validation and 50 test examples of each class; emnist36_large has
4,000, 400 and 400. Training and validation examples come from the publishers' training files, test examples from their test
files. EMNIST merges capitals and small letters, so that a class may have two shapes; NIST36 has capitals only. letters36
adds a quarter as many drawn glyphs to emnist36_large, all capitals, which is what a reader of pages needs.
"""

from pathlib import Path, PurePosixPath
from typing import ClassVar

import numpy as np
import tensorflow_datasets as tfds

from jaxnets.data import archives, glyphs36, nist36, store
from jaxnets.data.builders import Builder, Columns, image_features, to_arrays
from jaxnets.data.dataset_builder import DatasetBuilder
from jaxnets.data.letter_form import letter_forms
from jaxnets.data.mnist import LICENSE, Mnist, check_labels, read_digits, read_idx
from jaxnets.data.progress import Report, silent
from jaxnets.data.store import Prepared
from jaxnets.errors import UserError

_URL = "https://biometrics.nist.gov/cs_links/EMNIST/gzip.zip"
_LETTERS = "emnist-letters-{}-{}-ubyte.gz"
_LICENSE = f"EMNIST: of NIST Special Database 19, https://www.nist.gov/open/license; {LICENSE}"
_CLASSES = len(nist36.CLASS_NAMES)
_SEED = 36
_FILES = "EMNIST's gzip.zip or a folder emnist/ of its letters, and MNIST's four *-ubyte.gz files or a folder mnist/ of them"


class Emnist36(Builder):
    """Takes some examples of each class from EMNIST and MNIST."""

    features: ClassVar = image_features((28, 28, 1), nist36.CLASS_NAMES)
    downloads: ClassVar = {
        _URL: tfds.download.checksums.UrlInfo(
            size=561_753_746,
            checksum="fb9bb67e33772a9cc0b895e4ecf36d2cf35be8b709693c3564cea2a019fcda8e",
            filename="gzip.zip",
        ),
        **Mnist.downloads,
    }
    counts: ClassVar = {"train": 300, "validation": 100, "test": 50}
    """Examples of each class by split."""

    def read(self) -> dict[str, Columns]:
        """The three splits."""
        rng = np.random.default_rng(_SEED)
        path = self.locate(_URL, "gzip.zip", "emnist")
        letters = archives.members(self.name, path, lambda inside: "emnist-letters-" in inside, self.report)
        images, labels = _letters_and_digits(self, letters, "train")
        chosen = choose(rng, labels, self.counts["train"] + self.counts["validation"])
        train, validation = np.split(chosen, [self.counts["train"] * _CLASSES])
        test_images, test_labels = _letters_and_digits(self, letters, "test")
        test = choose(rng, test_labels, self.counts["test"])
        return {
            "train": {"image": images[train], "label": labels[train]},
            "validation": {"image": images[validation], "label": labels[validation]},
            "test": {"image": test_images[test], "label": test_labels[test]},
        }


class Emnist36Large(Emnist36):
    """Takes more examples."""

    counts: ClassVar = {"train": 4_000, "validation": 400, "test": 400}


_DRAWN = {"train": 1_000, "validation": 100, "test": 100}
"""Drawn glyphs of each class in letters36."""


def prepare(manual_dir: Path | None, report: Report = silent) -> Prepared:
    """Downloads EMNIST and MNIST, or reads them from `manual_dir`, and makes emnist36 of them.

    Raises UserError for files that are missing, truncated or damaged.
    """
    return _in_form(Emnist36, manual_dir, report)


def prepare_large(manual_dir: Path | None, report: Report = silent) -> Prepared:
    """Does the same for emnist36_large."""
    return _in_form(Emnist36Large, manual_dir, report)


def prepare_letters(manual_dir: Path | None, report: Report = silent) -> Prepared:
    """Does the same for letters36: emnist36_large's examples, then drawn glyphs."""
    rng = np.random.default_rng(_SEED)
    handwritten = _in_form(Emnist36Large, manual_dir, report)
    splits = {}
    for split, fields in handwritten.splits.items():
        glyphs = glyphs36.draw(rng, _DRAWN[split] * _CLASSES, report)
        splits[split] = {field: np.concatenate([array, glyphs[field]]) for field, array in fields.items()}
    return store.images(splits, nist36.CLASS_NAMES, files=handwritten.meta["files"])


def _in_form(source: type[Emnist36], manual_dir: Path | None, report: Report) -> Prepared:
    """The letters of a builder in NIST36's form."""
    read = to_arrays(source, manual_dir, report)
    splits = {
        split: {"image": letter_forms(fields["image"][..., 0], report)[..., None], "label": fields["label"]}
        for split, fields in read.splits.items()
    }
    return read.complete(store.images(splits, nist36.CLASS_NAMES))


SETS = (
    DatasetBuilder(
        name="emnist36",
        description="16,200 letters and digits of EMNIST (Cohen et al. 2017) and MNIST in NIST36's form",
        prepare=prepare,
        sizes={split: count * _CLASSES for split, count in Emnist36.counts.items()},
        contents=nist36.CONTENTS,
        source=Emnist36,
        files=_FILES,
        published="5eb83bedf6284db2",
        license=_LICENSE,
    ),
    DatasetBuilder(
        name="emnist36_large",
        description="172,800 letters and digits of EMNIST (Cohen et al. 2017) and MNIST in NIST36's form",
        prepare=prepare_large,
        sizes={split: count * _CLASSES for split, count in Emnist36Large.counts.items()},
        contents=nist36.CONTENTS,
        source=Emnist36Large,
        files=_FILES,
        published="817607d498089fdb",
        license=_LICENSE,
    ),
    DatasetBuilder(
        name="letters36",
        description="emnist36_large and 43,200 capitals and digits drawn from fonts",
        prepare=prepare_letters,
        sizes={split: (count + _DRAWN[split]) * _CLASSES for split, count in Emnist36Large.counts.items()},
        contents=nist36.CONTENTS,
        source=Emnist36Large,
        files=_FILES,
        published="817607d498089fdb",
        license=_LICENSE,
    ),
)


def _letters_and_digits(builder: Builder, letters: dict[str, bytes], part: str) -> tuple[np.ndarray, np.ndarray]:
    """Upright images uint8 [N, 28, 28, 1], light on dark, and labels int [N] of the publishers' `part`, letters first."""
    images, labels = (_member(letters, _LETTERS.format(part, kind)) for kind in ("images-idx3", "labels-idx1"))
    digit_images, digits = read_digits(builder, "t10k" if part == "test" else part)
    # EMNIST stores images transposed, and numbers letters from 1.
    labels = labels.astype(int) - 1
    check_labels(f"emnist36: emnist-letters-{part}", images, labels, 26)
    upright = images.swapaxes(1, 2)
    return np.concatenate([upright[..., None], digit_images]), np.concatenate([labels, digits + 26])


def choose(rng: np.random.Generator, labels: np.ndarray, count: int) -> np.ndarray:
    """Indices [36 · count] of random examples, in the order A to 9, A to 9, …: every class has an equal share of any prefix.

    Raises UserError if a class has fewer than `count` examples.
    """
    by_class = [rng.permutation(np.flatnonzero(labels == label)) for label in range(_CLASSES)]
    if short := [name for name, indices in zip(nist36.CLASS_NAMES, by_class, strict=True) if len(indices) < count]:
        raise UserError(f"emnist36: fewer than {count} examples of {', '.join(short)}; fetch EMNIST and MNIST again")
    return np.stack([indices[:count] for indices in by_class], axis=1).ravel()


def _member(files: dict[str, bytes], name: str) -> np.ndarray:
    path = next((path for path in files if PurePosixPath(path).name in (name, name.removesuffix(".gz"))), None)
    if path is None:
        raise UserError(f"emnist36: {name} is missing from EMNIST's files; fetch {_URL} again")
    return read_idx(files[path], path)
