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
"""What names are spelled with in the reports: 58 characters; with the end of a name they make 59 symbols."""


@dataclasses.dataclass(frozen=True)
class Vocabulary:
    """Tokens by number."""

    tokens: tuple[str, ...]

    @functools.cached_property
    def numbers(self) -> Mapping[str, int]:
        """Numbers by token."""
        return {token: i for i, token in enumerate(self.tokens)}

    def encode(self, tokens: Iterable[str], what: str) -> list[int]:
        """The numbers of tokens. An unknown one becomes `UNKNOWN` if the vocabulary has that, else raises UserError.

        `what` names the text in the message.
        """
        numbers = self.numbers
        unknown = numbers.get(UNKNOWN)
        encoded = [numbers.get(token, unknown) for token in tokens]
        if None in encoded:
            missing = sorted({token for token in tokens if token not in numbers})
            raise UserError(f"{what}: {', '.join(map(repr, missing[:5]))} not among the {len(self.tokens):,} known symbols")
        return encoded  # type: ignore[return-value]

    def decode(self, numbers: Iterable[int]) -> list[str]:
        """Tokens up to, and without, the first `END`."""
        tokens = []
        for number in numbers:
            if self.tokens[number] == END:
                break
            tokens.append(self.tokens[number])
        return tokens


def vocabulary(
    texts: Iterable[Sequence[str]], first: Sequence[str] = (), min_count: int = 1, max_size: int | None = None
) -> Vocabulary:
    """`first`, then the other tokens of `texts` from frequent to rare (ties in alphabetical order).

    Tokens seen fewer than `min_count` times are left out, and what goes beyond `max_size` tokens in all.
    """
    counts = Counter(token for tokens in texts for token in tokens)
    ordered = sorted((token for token, n in counts.items() if n >= min_count), key=lambda token: (-counts[token], token))
    taken = set(first)
    return Vocabulary((*first, *(token for token in ordered if token not in taken))[:max_size])


def to_ascii(text: str) -> str:
    """Strips accents and drops what is still not a letter of the reports' alphabet: "Ślusàrski" -> "Slusarski"."""
    return "".join(letter for letter in without_accents(text) if letter in LETTERS)


def without_accents(text: str) -> str:
    """Removes combining marks: "é" -> "e"."""
    return "".join(c for c in unicodedata.normalize("NFD", text) if unicodedata.category(c) != "Mn")


def words(text: str) -> list[str]:
    """Lower-case words, numbers, <markers> and single punctuation marks: "Don't!" -> ["don", "'", "t", "!"].

    The rule of the common "basic English" tokenizers, as near as documents describe it.
    """
    return re.findall(r"<\w+>|\w+|[^\w\s]", text.lower())


def pad(sequences: Sequence[Sequence[int]], length: int, dtype: Any) -> tuple[np.ndarray, np.ndarray]:
    """(array [N, length] with zeros behind each sequence, lengths [N]); what is longer is cut off."""
    padded = np.zeros((len(sequences), length), dtype)
    lengths = np.array([min(len(sequence), length) for sequence in sequences], np.int32)
    for row, sequence, n in zip(padded, sequences, lengths, strict=True):
        row[:n] = sequence[:n]
    return padded, lengths


def random_split(examples: int, seed: int, validation: float = 0.1, test: float = 0.1) -> dict[str, np.ndarray]:
    """Indices of a random split that is the same every time: {"train": …, "validation": …, "test": …}."""
    order = np.random.default_rng(seed).permutation(examples)
    at = round(examples * (1 - validation - test)), round(examples * (1 - test))
    return dict(zip(("train", "validation", "test"), np.split(order, at), strict=True))
