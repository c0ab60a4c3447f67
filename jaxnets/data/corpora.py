"""Running text for language models: Tiny Shakespeare by letters and by words, WikiText-2 by words.

A prepared set has "token" [length] for each split: one long sequence. Vocabularies are made from the training split alone.

Tiny Shakespeare is split at 90 % and 95 % of its characters. By words, it is lower-cased and split at white space, with a
marker at each line's end and one for unknown words: 21,949 tokens, which is the report's number. WikiText-2 comes in
tokens; lower-cased and with punctuation apart, as by the common "basic English" tokenizers, with a marker at each line's
end, it has 28,783. (The report's 29,473 is not explained by any rule tried on this copy; it may stem from the raw text.)
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds

from jaxnets.data import archives, store, text
from jaxnets.data.builders import Builder, to_arrays

_SHAKESPEARE_URL = "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt"
_WIKITEXT_SITE = "https://raw.githubusercontent.com/pytorch/examples/main/word_language_model/data/wikitext-2/"
_WIKITEXT_FILES = {
    "train": ("train.txt", 10_797_148, "9e9fa1ad55b1c2c95b08e37dd8e653f638fac2c6de904b79e813611eefbc985f"),
    "validation": ("valid.txt", 1_121_681, "f0737ed31fc1329026e95cb8b98e19c2a182c39c240ab909dc31abf2f8af58e8"),
    "test": ("test.txt", 1_256_449, "d790b833ef8cf03a90db7bf1271b7520b83c45ce07ba3c1a9699df81e239eca0"),
}


class _Corpus(Builder, skip_registration=True):  # type: ignore[call-arg]
    """One text a split."""

    def _info(self) -> tfds.core.DatasetInfo:
        return self.describe({"text": tfds.features.Text()}, "running text")

    def _generate_examples(self, content: str) -> Iterator[tuple[int, dict[str, str]]]:
        yield 0, {"text": content}


class TinyShakespeare(_Corpus):
    """One file of plays."""

    downloads: ClassVar = {
        _SHAKESPEARE_URL: tfds.download.checksums.UrlInfo(
            size=1_115_394, checksum="86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed", filename="input.txt"
        )
    }

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator[Any]]:
        where = self.locate(dl_manager, _SHAKESPEARE_URL, "input.txt", "tinyshakespeare/input.txt")
        content = archives.decode(self.name, str(where), where.read_bytes())
        return {split: self._generate_examples(part) for split, part in by_characters(content).items()}


class Wikitext2(_Corpus):
    """Three files of tokens."""

    downloads: ClassVar = {
        _WIKITEXT_SITE + file: tfds.download.checksums.UrlInfo(size=size, checksum=checksum, filename=file)
        for file, size, checksum in _WIKITEXT_FILES.values()
    }

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator[Any]]:
        def read(file: str) -> str:
            where = self.locate(dl_manager, _WIKITEXT_SITE + file, f"wikitext-2/{file}", file)
            return archives.decode(self.name, str(where), where.read_bytes())

        return {split: self._generate_examples(read(file)) for split, (file, *_) in _WIKITEXT_FILES.items()}


def by_characters(content: str) -> dict[str, str]:
    """The first 90 % of the characters, the next 5 %, the last 5 %."""
    at = int(0.9 * len(content)), int(0.95 * len(content))
    return {"train": content[: at[0]], "validation": content[at[0] : at[1]], "test": content[at[1] :]}


def letters(content: str) -> list[str]:
    """Every character is a token."""
    return list(content)


def plain_words(content: str) -> list[str]:
    """Lower case, split at white space, with a marker at each line's end."""
    return [word for line in content.lower().splitlines() for word in (*line.split(), text.END)]


def wiki_words(content: str) -> list[str]:
    """Lower case, punctuation apart, blank lines dropped, with a marker at each line's end."""
    return [word for line in content.splitlines() if line.strip() for word in (*text.words(line), text.END)]


TOKENIZERS: Mapping[str, Callable[[str], list[str]]] = {
    "letters": letters,
    "plain_words": plain_words,
    "wiki_words": wiki_words,
}


def prepare_shakespeare_letters(manual_dir: Path | None) -> Path:
    """Stores Tiny Shakespeare by letters."""
    return save("shakespeare_letters", _texts(TinyShakespeare, manual_dir), "letters")


def prepare_shakespeare_words(manual_dir: Path | None) -> Path:
    """Stores Tiny Shakespeare by words."""
    return save("shakespeare_words", _texts(TinyShakespeare, manual_dir), "plain_words")


def prepare_wikitext2(manual_dir: Path | None) -> Path:
    """Stores WikiText-2."""
    return save("wikitext2", _texts(Wikitext2, manual_dir), "wiki_words")


def _texts(builder: type[Builder], manual_dir: Path | None) -> dict[str, str]:
    return {split: fields["text"][0] for split, fields in to_arrays(builder, manual_dir).items()}


def save(name: str, texts: Mapping[str, str], tokenizer: str) -> Path:
    """Tokenizes the texts of the three splits, numbers the training split's tokens and stores all."""
    tokens: dict[str, Sequence[str]] = {split: TOKENIZERS[tokenizer](content) for split, content in texts.items()}
    # Letters that only validation or test text has would be unknown; words are bound to be.
    first = (text.UNKNOWN,) if tokenizer == "letters" else (text.UNKNOWN, text.END)
    vocabulary = text.vocabulary([tokens["train"]], first)
    splits = {split: {"token": np.array(vocabulary.encode(found, name), np.int32)} for split, found in tokens.items()}
    return store.save(name, splits, {"tokens": vocabulary.tokens, "tokenizer": tokenizer})
