"""How far a text is from the true one."""

from typing import NamedTuple

import numpy as np


class ErrorRate(NamedTuple):
    """Character errors: insertions, deletions and substitutions that turn the true text into what was read."""

    errors: int
    characters: int
    """Of the true text."""

    @property
    def rate(self) -> float:
        """Errors for each true character; above 1 where more was read than stands there."""
        return self.errors / max(1, self.characters)

    def __str__(self) -> str:
        return f"{self.errors} of {self.characters} ({100 * self.rate:.1f} %)"


def character_errors(read: str, truth: str, spaces: bool) -> ErrorRate:
    """Compares texts in upper case, with single spaces and line breaks between words, or with `spaces` False without any.

    >>> character_errors("DEEF LEARMING", "Deep learning", spaces=False)
    ErrorRate(errors=2, characters=12)
    """
    ours, true = (_plain(text, spaces) for text in (read, truth))
    return ErrorRate(distance(ours, true), len(true))


def distance(a: str, b: str) -> int:
    """Levenshtein's distance.

    >>> distance("KITTEN", "SITTING")
    3
    """
    other = np.array([ord(letter) for letter in b], int)
    places = np.arange(len(b) + 1)
    costs = places
    for i, letter in enumerate(a, 1):
        kept = np.concatenate([[i], np.minimum(costs[1:] + 1, costs[:-1] + (other != ord(letter)))])
        # Letters of b that are left out to the end of the row: a running minimum along it.
        costs = np.minimum.accumulate(kept - places) + places
    return int(costs[-1])


def _plain(text: str, spaces: bool) -> str:
    lines = [line.split() for line in text.upper().splitlines()]
    return "\n".join(" ".join(line) for line in lines if line) if spaces else "".join("".join(line) for line in lines)
