"""Names, a line each: 20,074 from 18 nationalities (the PyTorch tutorials' data), and 88,799 surnames of the United States.

A prepared set has "token" [N, longest + 1], the letters of each name and the end symbol, then zeros; "length" [N], the
letters; and "category" [N] where nationalities are known.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds

from jaxnets.data import archives, store, text
from jaxnets.data.builders import Builder, to_arrays
from jaxnets.errors import UserError

VOCABULARY = text.Vocabulary((*text.LETTERS, text.END))
TUTORIAL_URL = "https://download.pytorch.org/tutorial/data.zip"
TUTORIAL_FILE = tfds.download.checksums.UrlInfo(
    size=2_882_130, checksum="fb317e80248faeb62dc25ef3390ae24ca34b94e276bbc5141fd8862c2200bff5", filename="data.zip"
)
_SURNAMES_URL = "https://raw.githubusercontent.com/smashew/NameDatabases/master/NamesDatabases/surnames/us.txt"


class NationalNames(Builder):
    """The names folder of the tutorials' archive: Arabic.txt to Vietnamese.txt."""

    name = "names"
    downloads: ClassVar = {TUTORIAL_URL: TUTORIAL_FILE}

    def _info(self) -> tfds.core.DatasetInfo:
        return self.describe({"name": tfds.features.Text(), "nationality": tfds.features.Text()}, "names by nationality")

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator[Any]]:
        where = self.locate(dl_manager, TUTORIAL_URL, "data.zip", "data", "names")
        files = archives.members(
            self.name, where, lambda inside: "names" in (where / inside).parts and inside.endswith(".txt")
        )
        if not files:
            raise UserError(f"{self.name}: {where} has no folder names with text files; fetch {TUTORIAL_URL} again")
        return {"everything": self._generate_examples(files)}

    def _generate_examples(self, files: Mapping[str, bytes]) -> Iterator[tuple[str, dict[str, str]]]:
        for inside, content in sorted(files.items()):
            nationality = PurePosixPath(inside).stem
            for i, line in enumerate(archives.lines(archives.decode(self.name, inside, content))):
                yield f"{nationality}-{i}", {"name": line.strip(), "nationality": nationality}


class Surnames(Builder):
    """One surname a line."""

    downloads: ClassVar = {
        _SURNAMES_URL: tfds.download.checksums.UrlInfo(
            size=695_422, checksum="0fc4005984ddd0e7ee236f55029cfdeb8e993dfc68be1a36f009840ccb8cc3f9", filename="us.txt"
        )
    }

    def _info(self) -> tfds.core.DatasetInfo:
        return self.describe({"name": tfds.features.Text()}, "surnames")

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator[Any]]:
        places = ("us.txt", "names/smashew_surnames_us.txt", "smashew_surnames_us.txt", "names.txt")
        where = self.locate(dl_manager, _SURNAMES_URL, *places)
        return {"everything": self._generate_examples(archives.decode(self.name, str(where), where.read_bytes()))}

    def _generate_examples(self, content: str) -> Iterator[tuple[int, dict[str, str]]]:
        for i, line in enumerate(archives.lines(content)):
            yield i, {"name": line.strip()}


def prepare_national(manual_dir: Path | None) -> Path:
    """Stores the names of 18 nationalities."""
    found = to_arrays(NationalNames, manual_dir)["everything"]
    return save("names", found["name"].tolist(), found["nationality"].tolist())


def prepare_surnames(manual_dir: Path | None) -> Path:
    """Stores the surnames."""
    return save("surnames", to_arrays(Surnames, manual_dir)["everything"]["name"].tolist())


def save(name: str, found: Sequence[str], nationalities: Sequence[str] | None = None) -> Path:
    """Encodes names, splits them 80 / 10 / 10 at random and stores them. What has no letter of the alphabet is left out."""
    spelled = [text.to_ascii(one) for one in found]
    kept = [i for i, letters in enumerate(spelled) if letters]
    ends = [*VOCABULARY.encode([text.END], name)]
    encoded = [VOCABULARY.encode(spelled[i], name) + ends for i in kept]
    tokens, lengths = text.pad(encoded, max(map(len, encoded)), np.uint8)
    fields = {"token": tokens, "length": lengths - 1}
    meta: dict[str, Any] = {"tokens": VOCABULARY.tokens}
    if nationalities is not None:
        meta["categories"] = sorted(set(nationalities))
        fields["category"] = np.array([meta["categories"].index(nationalities[i]) for i in kept], np.int32)
    splits = {
        split: {field: array[chosen] for field, array in fields.items()}
        for split, chosen in text.random_split(len(kept), seed=18).items()
    }
    return store.save(name, splits, meta)
