"""Running text for language models: Tiny Shakespeare by letters and by words, WikiText-2 by words.

A prepared set has "token" [length] for each split: one long sequence. Vocabularies come from the training split alone.

Tiny Shakespeare is split at 90 % and 95 % of its characters. By words, it is lower-cased and split at white space, with a
marker at the end of each line and one for unknown words: 21,949 tokens, the report's number. WikiText-2 is published as
tokens. Lower-cased and with punctuation split off, as by the common "basic English" tokenizers, and with a marker at the end
of each line, it has 28,783. (No rule that was tried on this copy gives the report's 29,473; it may stem from the raw text.)
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import tensorflow_datasets as tfds

from jaxnets.data import text, text_files
from jaxnets.data.builders import Builder, Columns, to_arrays
from jaxnets.data.dataset_builder import Contents, DatasetBuilder, Field, unknown_tokens
from jaxnets.data.progress import Report, silent
from jaxnets.data.store import Prepared

_SHAKESPEARE_URL = "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt"
_SHAKESPEARE_LICENSE = "public domain: Shakespeare's plays"
_WIKITEXT_SITE = "https://raw.githubusercontent.com/pytorch/examples/main/word_language_model/data/wikitext-2/"
_WIKITEXT_FILES = {
    "train": ("train.txt", 10_797_148, "9e9fa1ad55b1c2c95b08e37dd8e653f638fac2c6de904b79e813611eefbc985f"),
    "validation": ("valid.txt", 1_121_681, "f0737ed31fc1329026e95cb8b98e19c2a182c39c240ab909dc31abf2f8af58e8"),
    "test": ("test.txt", 1_256_449, "d790b833ef8cf03a90db7bf1271b7520b83c45ce07ba3c1a9699df81e239eca0"),
}


class TinyShakespeare(Builder):
    """Reads one file of plays."""

    downloads: ClassVar = {
        _SHAKESPEARE_URL: tfds.download.checksums.UrlInfo(
            size=1_115_394, checksum="86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed", filename="input.txt"
        )
    }
    features: ClassVar = {"text": tfds.features.Text()}

    def read(self) -> dict[str, Columns]:
        """One text per split."""
        path = self.locate(_SHAKESPEARE_URL, "input.txt", "tinyshakespeare/input.txt")
        content = text_files.read(self.name, path)
        return {split: {"text": [part]} for split, part in by_characters(content).items()}


class Wikitext2(Builder):
    """Reads three files of tokens."""

    downloads: ClassVar = {
        _WIKITEXT_SITE + file: tfds.download.checksums.UrlInfo(size=size, checksum=checksum, filename=file)
        for file, size, checksum in _WIKITEXT_FILES.values()
    }
    features: ClassVar = {"text": tfds.features.Text()}

    def read(self) -> dict[str, Columns]:
        """One text per split."""
        paths = {
            split: self.locate(_WIKITEXT_SITE + file, f"wikitext-2/{file}", file)
            for split, (file, *_) in _WIKITEXT_FILES.items()
        }
        return {split: {"text": [text_files.read(self.name, path)]} for split, path in paths.items()}


def by_characters(content: str, train: float = 0.9, validation: float = 0.05) -> dict[str, str]:
    """Consecutive parts of a text: by default the first 90 % of the characters, the next 5 %, the last 5 %."""
    at = int(train * len(content)), int((train + validation) * len(content))
    return {"train": content[: at[0]], "validation": content[at[0] : at[1]], "test": content[at[1] :]}


def letters(content: str) -> list[str]:
    """The characters of a text."""
    return list(content)


def plain_words(content: str) -> list[str]:
    """The lower-case words of a text, split at white space, with a marker at the end of each line."""
    return [word for line in _lines(content.lower()) for word in (*line.split(), text.END)]


def wiki_words(content: str) -> list[str]:
    """The lower-case words and punctuation marks of a text, with a marker at the end of each line that is not blank."""
    return [word for line in _lines(content) if line.strip() for word in (*text.words(line), text.END)]


def _lines(content: str) -> list[str]:
    """The lines of a text. Only line feeds end one, as in `text_files.lines`, not Unicode's other separators."""
    return content.removesuffix("\n").split("\n")


TOKENIZERS: Mapping[str, Callable[[str], list[str]]] = {
    "letters": letters,
    "plain_words": plain_words,
    "wiki_words": wiki_words,
}


def prepare_shakespeare_letters(manual_dir: Path | None, report: Report = silent) -> Prepared:
    """Downloads Tiny Shakespeare, or reads it from `manual_dir`, by letters.

    Raises UserError for files that are missing or not UTF-8.
    """
    return arrays(_texts(TinyShakespeare, manual_dir, report), "letters")


def prepare_shakespeare_words(manual_dir: Path | None, report: Report = silent) -> Prepared:
    """Does the same by words."""
    return arrays(_texts(TinyShakespeare, manual_dir, report), "plain_words")


def prepare_wikitext2(manual_dir: Path | None, report: Report = silent) -> Prepared:
    """Does the same for WikiText-2."""
    return arrays(_texts(Wikitext2, manual_dir, report), "wiki_words")


def contents(vocab_size: int, tokenizer: str) -> Contents:
    """Contents of running text; `tokenizer` is one of TOKENIZERS."""
    return Contents({"token": Field(np.int32)}, {"tokens": unknown_tokens(vocab_size), "tokenizer": tokenizer})


SETS = (
    DatasetBuilder(
        name="shakespeare_letters",
        description="Tiny Shakespeare (Karpathy 2015): 1,115,394 characters",
        prepare=prepare_shakespeare_letters,
        sizes={"train": 1_003_854, "validation": 55_770, "test": 55_770},
        contents=contents(66, "letters"),
        source=TinyShakespeare,
        files="input.txt or tinyshakespeare/",
        published="0907d4c32f2c5601",
        license=_SHAKESPEARE_LICENSE,
    ),
    DatasetBuilder(
        name="shakespeare_words",
        description="Tiny Shakespeare by words, with a vocabulary of 21,949",
        prepare=prepare_shakespeare_words,
        sizes={"train": 218_025, "validation": 12_323, "test": 12_307},
        contents=contents(21_949, "plain_words"),
        source=TinyShakespeare,
        files="input.txt or tinyshakespeare/",
        published="61e0300f182898d6",
        license=_SHAKESPEARE_LICENSE,
    ),
    DatasetBuilder(
        name="wikitext2",
        description="WikiText-2 (Merity et al. 2016): two million words of Wikipedia, with a vocabulary of 28,783",
        prepare=prepare_wikitext2,
        sizes={"train": 2_143_953, "validation": 223_805, "test": 252_198},
        contents=contents(28_783, "wiki_words"),
        source=Wikitext2,
        files="train.txt, valid.txt and test.txt, or wikitext-2/",
        published="7445f5f49a006c3f",
    ),
)


def _texts(builder: type[Builder], manual_dir: Path | None, report: Report) -> dict[str, str]:
    return {split: columns["text"][0] for split, columns in to_arrays(builder, manual_dir, report).splits.items()}


def arrays(texts: Mapping[str, str], tokenizer: str) -> Prepared:
    """The content of a set of texts: they are split into tokens, and those of the training split are numbered."""
    tokens: dict[str, Sequence[str]] = {split: TOKENIZERS[tokenizer](content) for split, content in texts.items()}
    # Words have an end-of-line marker; of letters, the line feed is one.
    first = (text.UNKNOWN,) if tokenizer == "letters" else (text.UNKNOWN, text.END)
    vocabulary = text.vocabulary([tokens["train"]], first)
    splits = {split: {"token": np.array(vocabulary.encode(part, split), np.int32)} for split, part in tokens.items()}
    return Prepared(splits, {"tokens": vocabulary.tokens, "tokenizer": tokenizer})
