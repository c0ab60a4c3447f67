"""French and English sentence pairs (Tatoeba, from the PyTorch tutorials), trimmed as in report S4 §6.12.

This rule yields the report's 10,599 pairs with 4,345 French and 2,803 English words: lower case, accents removed, a space
before each of . ! ?, and every run of other characters outside a to z replaced by one space, also œ, which stands in 844
places: "sœur" becomes "s ur". Selected are pairs with
at most nine space-separated tokens on both sides whose English side begins with a pronoun and a form of "to be". A space at
the end leaves an empty token, which counts.

A prepared set has "source" (French) and "target" (English), [N, MAX_TOKENS + 1]: the numbers of the words, the end marker,
then zeros. "source_length" and "target_length" [N] count the end marker.
"""

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds

from jaxnets.data import archives, text, text_files
from jaxnets.data.builders import Builder, Columns, to_arrays
from jaxnets.data.dataset_builder import Contents, DatasetBuilder, Field, unknown_tokens
from jaxnets.data.names import TUTORIAL_FILE, TUTORIAL_URL
from jaxnets.data.phrases import left_out
from jaxnets.data.progress import Report, silent, track
from jaxnets.data.store import Prepared
from jaxnets.errors import UserError

START = "<start>"
START_NUMBER, END_NUMBER = 0, 1
"""Of the markers, in both vocabularies."""
MAX_TOKENS = 9
"""Words and marks of the longest sentence, without markers."""
_SUBJECTS = (
    "i am ", "i m ", "he is", "he s ", "she is", "she s ", "you are", "you re ", "we are", "we re ", "they are", "they re ",
)  # fmt: skip


class EnglishFrench(Builder):
    """Reads eng-fra.txt, with an English sentence, a tab and a French one on each line, and selects pairs."""

    name = "eng_fra"
    downloads: ClassVar = {TUTORIAL_URL: TUTORIAL_FILE}
    features: ClassVar = {"source": tfds.features.Text(), "target": tfds.features.Text()}

    def read(self) -> dict[str, Columns]:
        """The selected pairs, normalized, in one split."""
        path = self.locate(TUTORIAL_URL, "data.zip", "eng-fra.txt", "data/eng-fra.txt")
        if path.suffix == ".txt":
            content = path.read_bytes()
        else:
            files = archives.members(
                self.name, path, lambda inside: PurePosixPath(inside).name == "eng-fra.txt", self.report
            )
            if not files:
                raise UserError(f"{self.name}: {path} has no eng-fra.txt; fetch {TUTORIAL_URL} again")
            content = next(iter(files.values()))
        decoded = text_files.decode(self.name, str(path), content)
        table = text_files.table(self.name, "eng-fra.txt", decoded, ("English sentence", "French sentence"))
        rows = track(table.rows, "selecting pairs", self.report, every=5_000)
        pairs = [(normalize(french), normalize(english)) for english, french in rows]
        selected = [pair for pair in pairs if is_selected(*pair)]
        self.left_out += left_out({text_files.LONGER: table.longer})
        return {"everything": {"source": [source for source, _ in selected], "target": [target for _, target in selected]}}


def prepare(manual_dir: Path | None, report: Report = silent) -> Prepared:
    """Downloads the pairs, or reads them from `manual_dir`, and selects some.

    Raises UserError for files that are missing, damaged, not UTF-8 or not pairs.
    """
    read = to_arrays(EnglishFrench, manual_dir, report)
    columns = read.splits["everything"]
    return read.complete(arrays(list(zip(columns["source"], columns["target"], strict=True))))


def contents(source_vocab_size: int, target_vocab_size: int) -> Contents:
    """Contents of a set of sentence pairs."""
    fields: dict[str, Field] = {}
    meta = {}
    for side, vocab_size in (("source", source_vocab_size), ("target", target_vocab_size)):
        fields |= {side: Field(np.int32, (MAX_TOKENS + 1,)), f"{side}_length": Field(np.int32)}
        meta[f"{side}_tokens"] = unknown_tokens(vocab_size)
    return Contents(fields, meta)


SETS = (
    DatasetBuilder(
        name="eng_fra",
        description="10,599 pairs of short French and English sentences (Tatoeba, PyTorch tutorials)",
        prepare=prepare,
        sizes=text.split_sizes(10_599),
        contents=contents(source_vocab_size=4_345, target_vocab_size=2_803),
        source=EnglishFrench,
        files="data.zip, data/ or eng-fra.txt",
        published="8f6e8000a7748e6b",
        license="CC BY 2.0 FR, the contributors of https://tatoeba.org",
    ),
)


def normalize(sentence: str) -> str:
    """Lower case without accents, with a space before each of . ! ?: "Ça va?" -> "ca va ?"."""
    plain = text.without_accents(sentence.lower().strip())
    return re.sub(r"[^a-z.!?]+", " ", re.sub(r"([.!?])", r" \1", plain))


def is_selected(source: str, target: str) -> bool:
    """Whether a normalized pair is short enough and its English side begins with one of the report's phrases."""
    return bool(source) and max(source.count(" "), target.count(" ")) < MAX_TOKENS and target.startswith(_SUBJECTS)


def arrays(pairs: Sequence[tuple[str, str]]) -> Prepared:
    """The content of a set of normalized (source, target) pairs: words are numbered, pairs split 80 / 10 / 10 at random."""
    chosen = text.random_split(len(pairs), seed=10_599)
    fields: dict[str, np.ndarray] = {}
    meta: dict[str, Any] = {}
    for side, sentences in zip(("source", "target"), zip(*pairs, strict=True), strict=True):
        tokens = [sentence.split(" ") for sentence in sentences]
        vocabulary = text.vocabulary(tokens, first=(START, text.END))
        encoded = [vocabulary.encode((*sentence, text.END), side) for sentence in tokens]
        fields[side], fields[f"{side}_length"] = text.pad(encoded, max(map(len, encoded)), np.int32)
        meta[f"{side}_tokens"] = vocabulary.tokens
    splits = {split: {field: array[indices] for field, array in fields.items()} for split, indices in chosen.items()}
    return Prepared(splits, meta)
