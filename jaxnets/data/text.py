"""From text to numbers: normalization, tokens, vocabularies, padding."""

import dataclasses
import functools
import re
import string
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from jaxnets.errors import UserError

END = "<end>"
UNKNOWN = "<unk>"

LETTERS = (*string.ascii_letters, *" .,;'-")
"""The reports' alphabet of names: 58 characters. With the end of a name there are 59 symbols."""

_SPELLED_OUT = str.maketrans(
    {
        **{"ß": "ss", "ẞ": "SS", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "þ": "th", "Þ": "TH"},
        **{"ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "đ": "d", "Đ": "D", "ð": "d", "Ð": "D", "ħ": "h", "Ħ": "H"},
        **{"ŧ": "t", "Ŧ": "T", "ŋ": "n", "Ŋ": "N", "ı": "i", "ĸ": "q"},
        **dict.fromkeys("\u2018\u2019\u02bc\u02bb", "'"),
        **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014", "-"),
        **dict.fromkeys("\u00a0\u202f", " "),
    }
)
"""Latin letters that are no letter with an accent, by the transform Latin-ASCII of Unicode's CLDR; and typographic forms of
the apostrophe, the hyphen and the space."""


@dataclasses.dataclass(frozen=True)
class Vocabulary:
    """A list of tokens, which are numbered from 0."""

    tokens: tuple[str, ...]

    @functools.cached_property
    def numbers(self) -> Mapping[str, int]:
        """The number of each token."""
        return {token: i for i, token in enumerate(self.tokens)}

    def encode(self, tokens: Iterable[str], what: str) -> list[int]:
        """The numbers of `tokens`. One that is not in the vocabulary becomes `UNKNOWN`.

        Raises UserError, in which `what` names the text, if the vocabulary has no `UNKNOWN` either.
        """
        numbers = self.numbers
        unknown = numbers.get(UNKNOWN)
        encoded = [numbers.get(token, unknown) for token in tokens]
        if None in encoded:
            missing = sorted({token for token in tokens if token not in numbers})
            raise UserError(f"{what}: {', '.join(map(repr, missing[:5]))} not among the {len(self.tokens):,} known symbols")
        return encoded  # type: ignore[return-value]

    def decode(self, numbers: Iterable[int]) -> list[str]:
        """The tokens of `numbers` before the first `END`."""
        tokens = []
        for number in numbers:
            if self.tokens[number] == END:
                break
            tokens.append(self.tokens[number])
        return tokens


def vocabulary(
    texts: Iterable[Sequence[str]], first: Sequence[str] = (), min_count: int = 1, max_size: int | None = None
) -> Vocabulary:
    """`first`, then the other tokens of `texts`, the most frequent first; ties are in alphabetical order.

    Tokens that occur fewer than `min_count` times are left out. The vocabulary, `first` included, is cut at `max_size`.
    """
    counts = Counter(token for tokens in texts for token in tokens)
    ordered = sorted((token for token, n in counts.items() if n >= min_count), key=lambda token: (-counts[token], token))
    excluded = set(first)
    return Vocabulary((*first, *(token for token in ordered if token not in excluded))[:max_size])


def to_ascii(text: str) -> str:
    """Removes accents, and then what is not in the reports' alphabet: "Ślusàrski" -> "Slusarski".

    As in the reports, letters that are no letter with an accent vanish, "Łoś" -> "os", unless `spell_out` comes before.
    """
    return "".join(letter for letter in without_accents(text) if letter in LETTERS)


def without_accents(text: str) -> str:
    """Removes combining marks: "é" -> "e"."""
    if text.isascii():
        return text
    return "".join(c for c in unicodedata.normalize("NFD", text) if unicodedata.category(c) != "Mn")


def spell_out(text: str) -> str:
    """Latin letters that have no accent to remove, as ASCII: "Łódź, Weiß" -> "Lódź, Weiss".

    So are ligatures and letters of other widths, and typographic apostrophes, hyphens and spaces. Letters of other scripts
    stay.
    """
    if text.isascii():
        return text
    # The compatible form of a sign that is no letter may be quite another one: that of "´" is a space with an accent.
    plain = (unicodedata.normalize("NFKD", c) if c.isalpha() and not c.isascii() else c for c in text)
    return "".join(plain).translate(_SPELLED_OUT)


def other_letters(text: str) -> str:
    """The letters of a text that are not ASCII, accents aside; no cleaner keeps them: "Éva и 5" -> "и"."""
    return "".join(c for c in without_accents(text) if c.isalpha() and not c.isascii())


def words(text: str) -> list[str]:
    """Lower-case words, numbers, <markers> and single punctuation marks: "Don't!" -> ["don", "'", "t", "!"].

    Follows the documented rules of the common "basic English" tokenizers.
    """
    return re.findall(r"<\w+>|\w+|[^\w\s]", text.lower())


def pad(sequences: Sequence[Sequence[int]], length: int, dtype: Any) -> tuple[np.ndarray, np.ndarray]:
    """Sequences as an array [N, length], with zeros after each, and their lengths int32 [N]. Longer ones are cut off."""
    padded = np.zeros((len(sequences), length), dtype)
    lengths = np.array([min(len(sequence), length) for sequence in sequences], np.int32)
    for row, sequence, n in zip(padded, sequences, lengths, strict=True):
        row[:n] = sequence[:n]
    return padded, lengths


def random_split(examples: int, seed: int) -> dict[str, np.ndarray]:
    """Indices of a random 80 / 10 / 10 split, the same for the same seed: {"train": …, "validation": …, "test": …}.

    Raises UserError if one of them would be empty.
    """
    if not all(sizes := split_sizes(examples).values()):
        parts = ", ".join(f"{size} {split}" for split, size in zip(("train", "validation", "test"), sizes, strict=True))
        raise UserError(f"only {examples} of the examples can be used, which makes {parts}; each split needs one")
    order = np.random.default_rng(seed).permutation(examples)
    return dict(zip(("train", "validation", "test"), np.split(order, _bounds(examples)), strict=True))


def split_sizes(examples: int) -> dict[str, int]:
    """Examples in each part of `random_split`."""
    first, second = _bounds(examples)
    return {"train": first, "validation": second - first, "test": examples - second}


def _bounds(examples: int) -> tuple[int, int]:
    return round(examples * (1 - 0.1 - 0.1)), round(examples * (1 - 0.1))
