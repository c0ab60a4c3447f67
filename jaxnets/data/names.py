"""Names, one per line: 20,074 from 18 nationalities (PyTorch tutorials), and 88,799 surnames of the United States.

A prepared set has "token" [N, max_length + 1], the letters of each name and the end symbol, then zeros; "length" [N], the
number of letters; and "category" [N] where nationalities are known. As in the reports, letters that are no letter with an
accent vanish: nine ß and one ł of the 20,074 names.
"""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds

from jaxnets.data import archives, text, text_files
from jaxnets.data.builders import Builder, Columns, to_arrays
from jaxnets.data.dataset_builder import Contents, DatasetBuilder, Field
from jaxnets.data.phrases import left_out, some
from jaxnets.data.progress import Report, silent
from jaxnets.data.store import Prepared
from jaxnets.errors import UserError

VOCABULARY = text.Vocabulary((*text.LETTERS, text.END))
TUTORIAL_URL = "https://download.pytorch.org/tutorial/data.zip"
TUTORIAL_FILE = tfds.download.checksums.UrlInfo(
    size=2_882_130, checksum="fb317e80248faeb62dc25ef3390ae24ca34b94e276bbc5141fd8862c2200bff5", filename="data.zip"
)
_NATIONALITIES = (
    *("Arabic", "Chinese", "Czech", "Dutch", "English", "French", "German", "Greek", "Irish", "Italian"),
    *("Japanese", "Korean", "Polish", "Portuguese", "Russian", "Scottish", "Spanish", "Vietnamese"),
)
_SURNAMES_URL = "https://raw.githubusercontent.com/smashew/NameDatabases/master/NamesDatabases/surnames/us.txt"


class NationalNames(Builder):
    """Reads the names folder of the tutorials' archive: Arabic.txt to Vietnamese.txt."""

    name = "names"
    downloads: ClassVar = {TUTORIAL_URL: TUTORIAL_FILE}
    features: ClassVar = {"name": tfds.features.Text(), "nationality": tfds.features.Text()}

    def read(self) -> dict[str, Columns]:
        """All names, by nationality, in one split."""
        path = self.locate(TUTORIAL_URL, "data.zip", "data", "names")
        is_list = lambda inside: "names" in (path / inside).parts and inside.endswith(".txt")
        found = archives.members(self.name, path, is_list, self.report)
        files = {PurePosixPath(inside).stem: content for inside, content in found.items()}
        if missing := [one for one in _NATIONALITIES if one not in files]:
            raise UserError(
                f"{self.name}: {path} lacks names/{some([f'{one}.txt' for one in missing])}; fetch {TUTORIAL_URL} again"
            )
        self.left_out += left_out({"lists of other names": sorted(files.keys() - set(_NATIONALITIES))})
        names, nationalities = [], []
        for nationality in _NATIONALITIES:
            lines = text_files.lines(text_files.decode(self.name, f"{nationality}.txt", files[nationality]))
            names += [line.strip() for line in lines]
            nationalities += [nationality] * len(lines)
        return {"everything": {"name": names, "nationality": nationalities}}


class Surnames(Builder):
    """Reads a file with one surname per line."""

    downloads: ClassVar = {
        _SURNAMES_URL: tfds.download.checksums.UrlInfo(
            size=695_422, checksum="0fc4005984ddd0e7ee236f55029cfdeb8e993dfc68be1a36f009840ccb8cc3f9", filename="us.txt"
        )
    }
    features: ClassVar = {"name": tfds.features.Text()}

    def read(self) -> dict[str, Columns]:
        """All names in one split."""
        places = ("us.txt", "names/smashew_surnames_us.txt", "smashew_surnames_us.txt")
        path = self.locate(_SURNAMES_URL, *places)
        lines = text_files.lines(text_files.read(self.name, path))
        return {"everything": {"name": [line.strip() for line in lines]}}


def prepare_national(manual_dir: Path | None, report: Report = silent) -> Prepared:
    """Downloads the names of 18 nationalities, or reads them from `manual_dir`.

    Raises UserError for files that are missing, damaged or not UTF-8.
    """
    read = to_arrays(NationalNames, manual_dir, report)
    columns = read.splits["everything"]
    return read.complete(arrays(columns["name"].tolist(), columns["nationality"].tolist()))


def prepare_surnames(manual_dir: Path | None, report: Report = silent) -> Prepared:
    """Does the same for the surnames."""
    read = to_arrays(Surnames, manual_dir, report)
    return read.complete(arrays(read.splits["everything"]["name"].tolist()))


def contents(max_length: int, nationalities: Sequence[str] = ()) -> Contents:
    """Contents of a set of names of at most `max_length` letters."""
    fields = {"token": Field(np.uint8, (max_length + 1,)), "length": Field(np.int32)}
    meta: dict[str, Any] = {"tokens": VOCABULARY.tokens}
    if nationalities:
        fields["category"] = Field(np.int32)
        meta["categories"] = tuple(nationalities)
    return Contents(fields, meta)


SETS = (
    DatasetBuilder(
        name="names",
        description="20,074 names of 18 nationalities (PyTorch tutorials)",
        prepare=prepare_national,
        sizes=text.split_sizes(20_074),
        contents=contents(20, _NATIONALITIES),
        source=NationalNames,
        files="data.zip, data/ or names/",
        published="f1e21ddb6e3733c7",
    ),
    DatasetBuilder(
        name="surnames",
        description="88,799 surnames of the United States (smashew/NameDatabases)",
        prepare=prepare_surnames,
        sizes=text.split_sizes(88_799),
        contents=contents(13),
        source=Surnames,
        files="us.txt",
        published="e5b9473b9b91c286",
    ),
)


def arrays(names: Sequence[str], nationalities: Sequence[str] | None = None) -> Prepared:
    """The content of a set of names, split 80 / 10 / 10 at random.

    A name without a letter of the reports' alphabet is left out. `nationalities` names that of each of `names`. Raises
    UserError for too few names to split.
    """
    ascii_names = [text.to_ascii(one) for one in names]
    nonempty = [i for i, letters in enumerate(ascii_names) if letters]
    end = VOCABULARY.encode([text.END], "names")
    chosen = text.random_split(len(nonempty), seed=18)
    encoded = [VOCABULARY.encode(ascii_names[i], "names") + end for i in nonempty]
    tokens, lengths = text.pad(encoded, max(map(len, encoded)), np.uint8)
    fields = {"token": tokens, "length": lengths - 1}
    meta: dict[str, Any] = {"tokens": VOCABULARY.tokens}
    if nationalities is not None:
        meta["categories"] = sorted(set(nationalities))
        fields["category"] = np.array([meta["categories"].index(nationalities[i]) for i in nonempty], np.int32)
    splits = {split: {field: array[indices] for field, array in fields.items()} for split, indices in chosen.items()}
    return Prepared(splits, meta)
