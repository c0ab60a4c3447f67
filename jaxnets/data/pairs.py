"""French and English sentence pairs (Tatoeba, from the PyTorch tutorials' data), trimmed as in report S4 §6.12.

The rule that yields the report's 10,599 pairs with 4,345 French and 2,803 English words: lower case, accents stripped, a
space before each of . ! ?, every run of other characters that are no letters turned into one space; pairs with fewer than
ten space-separated tokens on both sides whose English side begins with a pronoun and a form of "to be". A space at the end
leaves an empty token, which counts.

A prepared set has "source" (French) and "target" (English), [N, longest + 1] with the end marker and zeros behind it, and
"source_length" and "target_length" [N], which count the end marker.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds

from jaxnets.data import archives, store, text
from jaxnets.data.builders import Builder, to_arrays
from jaxnets.data.names import TUTORIAL_FILE, TUTORIAL_URL
from jaxnets.errors import UserError

START = "<start>"
START_NUMBER, END_NUMBER = 0, 1
"""In both vocabularies."""
MAX_TOKENS = 9
_SUBJECTS = (
    "i am ", "i m ", "he is", "he s ", "she is", "she s ", "you are", "you re ", "we are", "we re ", "they are", "they re ",
)  # fmt: skip


class EnglishFrench(Builder):
    """eng-fra.txt: an English sentence, a tab, a French one."""

    name = "eng_fra"
    downloads: ClassVar = {TUTORIAL_URL: TUTORIAL_FILE}

    def _info(self) -> tfds.core.DatasetInfo:
        return self.describe({"source": tfds.features.Text(), "target": tfds.features.Text()}, "trimmed sentence pairs")

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator[Any]]:
        where = self.locate(dl_manager, TUTORIAL_URL, "data.zip", "eng-fra.txt", "data/eng-fra.txt")
        if where.suffix == ".txt":
            content = where.read_bytes()
        else:
            found = archives.members(self.name, where, lambda inside: inside.endswith("eng-fra.txt"))
            if not found:
                raise UserError(f"{self.name}: {where} has no eng-fra.txt; fetch {TUTORIAL_URL} again")
            [content] = found.values()
        return {"everything": self._generate_examples(archives.decode(self.name, str(where), content))}

    def _generate_examples(self, content: str) -> Iterator[tuple[int, dict[str, str]]]:
        for i, line in enumerate(archives.lines(content)):
            english, tab, french = line.partition("\t")
            if not tab:
                raise UserError(f"{self.name}: line {i + 1} of the pairs has no tab between two sentences: {line[:40]!r}")
            source, target = normalize(french), normalize(english)
            if is_kept(source, target):
                yield i, {"source": source, "target": target}


def prepare(manual_dir: Path | None) -> Path:
    """Stores the trimmed pairs."""
    found = to_arrays(EnglishFrench, manual_dir)["everything"]
    return save("eng_fra", list(zip(found["source"], found["target"], strict=True)))


def normalize(sentence: str) -> str:
    """Lower case, without accents, words and . ! ? apart: "Ça va ?" -> "ca va ?"."""
    plain = text.without_accents(sentence.lower().strip())
    return re.sub(r"[^a-z.!?]+", " ", re.sub(r"([.!?])", r" \1", plain))


def is_kept(source: str, target: str) -> bool:
    """Whether a normalized pair is short enough and begins as the report wants."""
    return max(source.count(" "), target.count(" ")) < MAX_TOKENS and target.startswith(_SUBJECTS)


def save(name: str, pairs: Sequence[tuple[str, str]]) -> Path:
    """Numbers the words of normalized pairs, splits them 80 / 10 / 10 at random and stores them."""
    chosen = text.random_split(len(pairs), seed=10_599)
    fields: dict[str, np.ndarray] = {}
    meta: dict[str, Any] = {}
    for side, sentences in zip(("source", "target"), zip(*pairs, strict=True), strict=True):
        tokens = [sentence.split(" ") for sentence in sentences]
        vocabulary = text.vocabulary(tokens, first=(START, text.END))
        encoded = [vocabulary.encode((*found, text.END), name) for found in tokens]
        fields[side], fields[f"{side}_length"] = text.pad(encoded, max(map(len, encoded)), np.int32)
        meta[f"{side}_tokens"] = vocabulary.tokens
    splits = {split: {field: array[indices] for field, array in fields.items()} for split, indices in chosen.items()}
    return store.save(name, splits, meta)
