"""IMDB reviews (Maas et al. 2011): 50,000 texts, half of them positive, as numbers of their words.

Markup, punctuation and stop words are removed, as in report S4 §6.11; "don't", "can't" and the like become "not". Accents
are removed too, and other letters outside a to z, such as ø, which 42 of the 50,000 texts have. The
vocabulary consists of the most frequent words of the training split; other words are left out. A prepared set has "token"
[N, MAX_LENGTH], the numbers of a review's words, then zeros; "length" [N]; and "label" [N]. Words are numbered from 1, the
most frequent first, so that a model with a vocabulary of 1,000 ignores all higher numbers.

`imdb` has the publishers' 25,000 reviews for training, a tenth of which are held out for validation, and 25,000 for the
test. `imdb_40k` has the report's split, drawn at random from all: 40,000 for training, 5,000 each for validation and test.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import tensorflow_datasets as tfds

from jaxnets.data import archives, text, text_files
from jaxnets.data.builders import Builder, Columns, to_arrays
from jaxnets.data.dataset_builder import Contents, DatasetBuilder, Field, unknown_tokens
from jaxnets.data.progress import Report, silent, track
from jaxnets.data.store import Prepared
from jaxnets.errors import UserError

CLASS_NAMES = ("negative", "positive")
VOCAB_SIZE, MAX_LENGTH = 20_000, 400
"""Words of the vocabulary at most, and words of a review that are stored at most."""
CLEANING = ("HTML tags and stop words removed", "n't read as not")
"""What `clean` does, as prepared sets record it. To be changed with it: sets cleaned otherwise are then prepared again."""
_URL = "https://ai.stanford.edu/~amaas/data/sentiment/aclImdb_v1.tar.gz"
# The report names no list. This one was compiled here: words that carry grammar and little else, and the fragments that
# splitting at apostrophes leaves ("s", "ll"). Negations are kept, unlike in most published lists: they reverse an opinion.
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
    s t d ll m o re ve y
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
    features: ClassVar = {"review": tfds.features.Text(), "label": tfds.features.ClassLabel(names=CLASS_NAMES)}

    def read(self) -> Mapping[str, Columns]:
        """The publishers' two splits."""
        path = self.locate(_URL, "aclImdb_v1.tar.gz", "aclImdb")
        pattern = re.compile(r"(?:^|/)(train|test)/(pos|neg)/\d+_\d+\.txt$")
        files = archives.members(self.name, path, lambda inside: bool(pattern.search(inside)), self.report)
        splits: dict[str, dict[str, list]] = {split: {"review": [], "label": []} for split in ("train", "test")}
        for inside, content in sorted(files.items()):
            split, opinion = pattern.search(inside).groups()  # type: ignore[union-attr]
            splits[split]["review"].append(text_files.decode(self.name, inside, content))
            splits[split]["label"].append(int(opinion == "pos"))
        for split, columns in splits.items():
            if len(set(columns["label"])) < 2:
                raise UserError(f"{self.name}: {path} lacks reviews in {split}/pos or {split}/neg; unpack {_URL} again")
        return splits


def prepare(manual_dir: Path | None, report: Report = silent) -> Prepared:
    """Downloads the reviews, or reads them from `manual_dir`, in the publishers' split.

    Raises UserError for files that are missing, truncated, damaged or not UTF-8.
    """
    published = to_arrays(Imdb, manual_dir, report).splits
    order = np.random.default_rng(25_000).permutation(len(published["train"]["label"]))
    validation, train = np.split(order, [len(order) // 10])
    select = lambda indices: {field: array[indices] for field, array in published["train"].items()}
    splits = {"train": select(train), "validation": select(validation), "test": published["test"]}
    return arrays(splits, CLASS_NAMES, report)


def prepare_40k(manual_dir: Path | None, report: Report = silent) -> Prepared:
    """Does the same with the report's split."""
    published = to_arrays(Imdb, manual_dir, report).splits
    reviews = {field: np.concatenate([published["train"][field], published["test"][field]]) for field in ("review", "label")}
    splits = text.random_split(len(reviews["label"]), seed=40_000)
    select = lambda indices: {field: array[indices] for field, array in reviews.items()}
    return arrays({split: select(indices) for split, indices in splits.items()}, CLASS_NAMES, report)


def contents(vocab_size: int = VOCAB_SIZE) -> Contents:
    """Contents of a set of reviews; `vocab_size` counts words, without the number 0."""
    fields = {"token": Field(np.uint16, (MAX_LENGTH,)), "length": Field(np.int32), "label": Field(np.int32)}
    tokens = unknown_tokens(vocab_size + 1)
    return Contents(fields, {"tokens": tokens, "class_names": CLASS_NAMES, "cleaning": CLEANING})


SETS = (
    DatasetBuilder(
        name="imdb",
        description="50,000 film reviews, half of them for the test, as their publishers split them (Maas et al. 2011)",
        prepare=prepare,
        sizes={"train": 22_500, "validation": 2_500, "test": 25_000},
        contents=contents(),
        source=Imdb,
        files="aclImdb_v1.tar.gz or aclImdb/",
        published="76658fd315259f98",
    ),
    DatasetBuilder(
        name="imdb_40k",
        description="50,000 film reviews, 40,000 of them for training (report S4; Maas et al. 2011)",
        prepare=prepare_40k,
        sizes=text.split_sizes(50_000),
        contents=contents(),
        source=Imdb,
        files="aclImdb_v1.tar.gz or aclImdb/",
        published="62d667f7190059b2",
    ),
)


_TAG = re.compile(r"<!--.*?-->|</?[a-z][a-z0-9]*(?:\s+[a-z-]+\s*=[^<>]*)?\s*/?>", re.DOTALL)
"""HTML tags; "< 5" and "a<b and c>d" are none."""
_NEGATED = re.compile(r"[a-z]*n[^\w\s]{1,3}t\b")
"""An auxiliary verb with "n't", whatever stands for the apostrophe: "don't", "can´t", "didn;t"."""


def clean(review: str) -> list[str]:
    """The lower-case words of a review without markup and stop words: "It's <br />a GREAT film!" -> ["great", "film"].

    A contracted negation stays as "not": "I don't like it" -> ["not", "like"].
    """
    without_markup = _TAG.sub(" ", text.without_accents(review.lower()))
    return [word for word in re.findall(r"[a-z]+", _NEGATED.sub(" not ", without_markup)) if word not in STOP_WORDS]


def arrays(splits: Mapping[str, Columns], class_names: Sequence[str], report: Report = silent) -> Prepared:
    """The content of a set of labeled texts: the words of each "review", numbered, with its "label"."""
    cleaned = {
        split: [clean(review) for review in track(list(columns["review"]), f"cleaning {split}", report, every=500)]
        for split, columns in splits.items()
    }
    vocabulary = text.vocabulary(cleaned["train"], first=("",), max_size=VOCAB_SIZE + 1)
    encoded = {}
    for split, reviews in cleaned.items():
        tokens, lengths = text.pad([encode(vocabulary, words) for words in reviews], MAX_LENGTH, np.uint16)
        labels = np.asarray(splits[split]["label"], np.int32)
        encoded[split] = {"token": tokens, "length": lengths, "label": labels}
    meta = {"tokens": vocabulary.tokens, "class_names": tuple(class_names), "cleaning": CLEANING}
    return Prepared(encoded, meta)


def encode(vocabulary: text.Vocabulary, words: list[str]) -> list[int]:
    """The numbers of those words that the vocabulary has."""
    numbers = vocabulary.numbers
    return [numbers[word] for word in words if word in numbers]
