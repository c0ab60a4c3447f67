"""Character error rates of texts."""

from typing import NamedTuple

import numpy as np


class ErrorRate(NamedTuple):
    """Character errors: the insertions, deletions and substitutions between the true text and the one read."""

    errors: int
    characters: int
    """The length of the true text."""

    @property
    def rate(self) -> float:
        """Errors per true character; above 1 if there are more errors than characters."""
        return self.errors / max(1, self.characters)

    def __str__(self) -> str:
        return f"{self.errors} of {self.characters} ({100 * self.rate:.1f} %)"


def character_errors(read: str, truth: str, spaces: bool) -> ErrorRate:
    """Compares texts in upper case, with single spaces and line breaks between words, or without any if not `spaces`.

    >>> character_errors("DEEF LEARMING", "Deep learning", spaces=False)
    ErrorRate(errors=2, characters=12)
    """
    ours, true = (_plain(text, spaces) for text in (read, truth))
    return ErrorRate(distance(ours, true), len(true))


def distance(a: str, b: str) -> int:
    """Levenshtein distance of two strings.

    >>> distance("KITTEN", "SITTING")
    3
    """
    other = np.array([ord(letter) for letter in b], int)
    places = np.arange(len(b) + 1)
    costs = places
    for i, letter in enumerate(a, 1):
        without_insertions = np.concatenate([[i], np.minimum(costs[1:] + 1, costs[:-1] + (other != ord(letter)))])
        # Insertions of letters of b are a running minimum along the row.
        costs = np.minimum.accumulate(without_insertions - places) + places
    return int(costs[-1])


def _plain(text: str, spaces: bool) -> str:
    lines = [line.split() for line in text.upper().splitlines()]
    return "\n".join(" ".join(line) for line in lines if line) if spaces else "".join("".join(line) for line in lines)
