"""IMDB reviews (Maas et al. 2011): 50,000 texts, half of them positive, as numbers of their words.

Markup, punctuation and stop words are removed, as in report S4 §6.11. The vocabulary is the training split's most frequent
words; other words are left out. A prepared set has "token" [N, 400] with the words' numbers, frequent ones low, from 1, and
zeros behind a review's end; "length" [N]; "label" [N]. A net for a vocabulary of 1,000 ignores all higher numbers.

`imdb` has the publishers' 25,000 / 25,000 reviews, with a tenth of the former for validation; `imdb_40k` the report's
40,000 for training, and 5,000 each for validation and test, drawn at random from all.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds

from jaxnets.data import archives, store, text
from jaxnets.data.builders import Builder, to_arrays
from jaxnets.errors import UserError

CLASS_NAMES = ("negative", "positive")
WORDS, LONGEST = 20_000, 400
_URL = "https://ai.stanford.edu/~amaas/data/sentiment/aclImdb_v1.tar.gz"
# Words that carry grammar and little else. Negations stay: they turn an opinion round.
STOP_WORDS = frozenset(
    """
    a an the this that these those some any each every all both either such same other another own
    i me my myself we us our ours ourselves you your yours yourself yourselves he him his himself she her hers herself
    it its itself they them their theirs themselves one who whom whose which what
    am is are was were be been being do does did doing done have has had having
    will would shall should can could may might must
    and or but if then than so because as while until when where why how whether though although
    of at by for with about against between into through during before after above below to from up down in out on off
    over under again further here there once only also too very just more most few much many
    s t d ll m o re ve y don br
    """.split()
)


class Imdb(Builder):
    """Reads the archive, or the folder aclImdb."""

    downloads: ClassVar = {
        _URL: tfds.download.checksums.UrlInfo(
            size=84_125_825,
            checksum="c40f74a18d3b61f90feba1e17730e0d38e8b97c05fde7008942e91923d1658fe",
            filename="aclImdb_v1.tar.gz",
        )
    }

    def _info(self) -> tfds.core.DatasetInfo:
        features = {"review": tfds.features.Text(), "label": tfds.features.ClassLabel(names=CLASS_NAMES)}
        return self.describe(features, "IMDB reviews")

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator[Any]]:
        where = self.locate(dl_manager, _URL, "aclImdb_v1.tar.gz", "aclImdb")
        inside = re.compile(r"(?:^|/)(train|test)/(pos|neg)/\d+_\d+\.txt$")
        found = archives.members(self.name, where, lambda path: bool(inside.search(path)))
        groups: dict[str, list[tuple[str, int, bytes]]] = {"train": [], "test": []}
        for path, content in sorted(found.items()):
            split, opinion = inside.search(path).groups()  # type: ignore[union-attr]
            groups[split].append((path, int(opinion == "pos"), content))
        for split, reviews in groups.items():
            if len({label for _, label, _ in reviews}) < 2:
                raise UserError(f"{self.name}: {where} lacks reviews in {split}/pos or {split}/neg; unpack {_URL} again")
        return {split: self._generate_examples(reviews) for split, reviews in groups.items()}

    def _generate_examples(self, reviews: list[tuple[str, int, bytes]]) -> Iterator[tuple[str, dict[str, Any]]]:
        for path, label, content in reviews:
            yield path, {"review": archives.decode(self.name, path, content), "label": label}


def prepare(manual_dir: Path | None) -> Path:
    """Stores the standard split."""
    found = to_arrays(Imdb, manual_dir)
    order = np.random.default_rng(25_000).permutation(len(found["train"]["label"]))
    at = len(order) // 10
    parts: dict[str, tuple[str, Any]] = {
        "train": ("train", order[at:]),
        "validation": ("train", order[:at]),
        "test": ("test", slice(None)),
    }
    return save("imdb", {split: {k: v[chosen] for k, v in found[group].items()} for split, (group, chosen) in parts.items()})


def prepare_40k(manual_dir: Path | None) -> Path:
    """Stores the report's split."""
    found = to_arrays(Imdb, manual_dir)
    whole = {field: np.concatenate([found["train"][field], found["test"][field]]) for field in ("review", "label")}
    chosen = text.random_split(len(whole["label"]), seed=40_000)
    return save("imdb_40k", {split: {k: v[indices] for k, v in whole.items()} for split, indices in chosen.items()})


def clean(review: str) -> list[str]:
    """The words of a review that say something: "It's <br />a GREAT film!" -> ["great", "film"]."""
    without_markup = re.sub(r"<[^>]*>", " ", text.without_accents(review).lower())
    return [word for word in re.findall(r"[a-z]+", without_markup) if word not in STOP_WORDS]


def save(name: str, splits: Mapping[str, Mapping[str, np.ndarray]]) -> Path:
    """Numbers the words of reviews and stores them with their labels."""
    cleaned = {split: [clean(review) for review in fields["review"]] for split, fields in splits.items()}
    vocabulary = text.vocabulary(cleaned["train"], first=("",), max_size=WORDS + 1)
    arrays = {}
    for split, reviews in cleaned.items():
        tokens, lengths = text.pad([encode(vocabulary, words) for words in reviews], LONGEST, np.uint16)
        labels = np.asarray(splits[split]["label"], np.int32)
        arrays[split] = {"token": tokens, "length": lengths, "label": labels}
    return store.save(name, arrays, {"tokens": vocabulary.tokens, "class_names": CLASS_NAMES})


def encode(vocabulary: text.Vocabulary, words: list[str]) -> list[int]:
    """The numbers of the words that the vocabulary has."""
    numbers = vocabulary.numbers
    return [numbers[word] for word in words if word in numbers]
