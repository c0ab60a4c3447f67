"""emnist36, emnist36_large: letters of EMNIST (Cohen et al. 2017) and digits of MNIST, brought to NIST36's form; letters36.

emnist36 is as large as NIST36: 300 training, 100 validation and 50 test examples of each class. emnist36_large has 4,000,
400 and 400. Training and validation examples come from the publishers' training files, test examples from their test files.
EMNIST merges capitals and small letters, so that a class may have two shapes; NIST36 has capitals alone. letters36 is
emnist36_large with a quarter as many glyphs of glyphs36's kind, all capitals, which is what a reader of pages needs.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds

from jaxnets.data import archives, glyphs36, nist36
from jaxnets.data.builders import LabeledImages, to_arrays
from jaxnets.data.letter_form import letter_form
from jaxnets.data.mnist import Mnist, read_idx
from jaxnets.errors import UserError

_URL = "https://biometrics.nist.gov/cs_links/EMNIST/gzip.zip"
_LETTERS = "emnist-letters-{}-{}-ubyte.gz"
_SEED = 36


class Emnist36(LabeledImages):
    """Reads the publishers' files, and takes as many examples of each class as `counts` says."""

    about, shape, class_names = "EMNIST letters and MNIST digits in NIST36's form", nist36.Nist36.shape, nist36.CLASS_NAMES
    downloads: ClassVar = {
        _URL: tfds.download.checksums.UrlInfo(
            size=561_753_746,
            checksum="fb9bb67e33772a9cc0b895e4ecf36d2cf35be8b709693c3564cea2a019fcda8e",
            filename="gzip.zip",
        ),
        **Mnist.downloads,
    }
    counts: ClassVar = {"train": 300, "validation": 100, "test": 50}

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator[Any]]:
        rng = np.random.default_rng(_SEED)
        letters = archives.members(
            self.name, self.locate(dl_manager, _URL, "gzip.zip", "emnist"), lambda path: "emnist-letters-" in path
        )
        digits = {Path(url).name: url for url in Mnist.downloads}

        def part(kind: str) -> tuple[np.ndarray, np.ndarray]:
            """Upright images, light on dark, and labels of a publisher's split, letters first."""
            images, labels = (_member(letters, _LETTERS.format(kind, what)) for what in ("images-idx3", "labels-idx1"))
            names = [f"{'t10k' if kind == 'test' else 'train'}-{what}-ubyte.gz" for what in ("images-idx3", "labels-idx1")]
            more, digit = (
                read_idx(path.read_bytes(), str(path))
                for path in (self.locate(dl_manager, digits[name], f"mnist/{name}", name) for name in names)
            )
            return np.concatenate([images.swapaxes(1, 2), more]), np.concatenate([labels.astype(int) - 1, digit + 26])

        images, labels = part("train")
        chosen = choose(rng, labels, self.counts["train"] + self.counts["validation"])
        train, validation = np.split(chosen, [self.counts["train"] * len(nist36.CLASS_NAMES)])
        test_images, test_labels = part("test")
        test = choose(rng, test_labels, self.counts["test"])
        return {
            "train": self._generate_examples(images[train], labels[train]),
            "validation": self._generate_examples(images[validation], labels[validation]),
            "test": self._generate_examples(test_images[test], test_labels[test]),
        }

    def _generate_examples(self, images: Iterable[np.ndarray], labels: np.ndarray) -> Iterator[tuple[int, dict[str, Any]]]:
        return super()._generate_examples((letter_form(image / 255) for image in images), labels)


class Emnist36Large(Emnist36):
    """The same with more examples."""

    counts: ClassVar = {"train": 4_000, "validation": 400, "test": 400}


def prepare(manual_dir: Path | None) -> Path:
    """Downloads both sets, or reads them from `manual_dir`, and stores emnist36's arrays."""
    return nist36.save("emnist36", to_arrays(Emnist36, manual_dir))


def prepare_large(manual_dir: Path | None) -> Path:
    """The same for emnist36_large."""
    return nist36.save("emnist36_large", to_arrays(Emnist36Large, manual_dir))


def prepare_letters(manual_dir: Path | None) -> Path:
    """emnist36_large's arrays and 1,200 drawn glyphs of each class beside them: letters36."""
    rng = np.random.default_rng(_SEED)
    written = to_arrays(Emnist36Large, manual_dir)
    drawn = {"train": 36_000, "validation": 3_600, "test": 3_600}
    splits = {}
    for split, fields in written.items():
        more = glyphs36.draw(rng, drawn[split])
        splits[split] = {field: np.concatenate([array, more[field]]) for field, array in fields.items()}
    return nist36.save("letters36", splits)


def choose(rng: np.random.Generator, labels: np.ndarray, count: int) -> np.ndarray:
    """Indices of `count` random examples of each class, so that every prefix holds the classes in equal shares."""
    by_class = [rng.permutation(np.flatnonzero(labels == label)) for label in range(len(nist36.CLASS_NAMES))]
    if short := [name for name, found in zip(nist36.CLASS_NAMES, by_class, strict=True) if len(found) < count]:
        raise UserError(f"emnist36: fewer than {count} examples of {', '.join(short)}; fetch EMNIST and MNIST again")
    return np.stack([found[:count] for found in by_class], axis=1).ravel()


def _member(files: dict[str, bytes], name: str) -> np.ndarray:
    path = next((path for path in files if path.endswith(name)), None)
    if path is None:
        raise UserError(f"emnist36: {name} is missing from EMNIST's files; fetch {_URL} again")
    return read_idx(files[path], path)
