"""From letters on a page to text."""

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from jaxnets.analysis.ocr.segment import Box, Word, find_lines
from jaxnets.data.letter_form import letter_form

Array = np.ndarray
Classify = Callable[[Array], Array]
"""uint8 letters [N, 32, 32, 1] -> probabilities [N, classes]."""

_SWITCH = 1e-2
"""How much less likely a word gets by each change between letters and figures: what tells O from 0 and I from 1."""
_DOUBT = 1e-5
"""Probability that is left to every class: nets are surer of themselves than they should be."""
_CORRECTED = 3
"""A word list may change one letter in so many; one in any case."""


class Character(NamedTuple):
    """What was read in one place."""

    name: str
    probability: float
    """The net's, before the rest of the word was considered."""
    box: Box


class Reading(NamedTuple):
    """What stands on a page."""

    lines: Sequence[Sequence[Sequence[Character]]]
    """Characters by word and line."""

    @property
    def text(self) -> str:
        """Words with a space between them, lines with a line break; empty for an empty page."""
        return "\n".join(" ".join("".join(one.name for one in word) for word in line) for line in self.lines)

    def characters(self) -> Iterator[Character]:
        """All characters, in reading order."""
        return (one for line in self.lines for word in line for one in word)


def read(ink: Array, classify: Classify, names: Sequence[str], words: Collection[str] = ()) -> Reading:
    """Reads a page.

    Args:
        ink: bool [H, W], lines level.
        classify: see Classify.
        names: of the classes, one character each.
        words: if there are any, words are corrected to the likeliest of these that differs in few letters.
    """
    lines = find_lines(ink)
    forms = [letter_form(letter.ink) for line in lines for word in line for letter in word]
    if not forms:
        return Reading(())
    rows = iter(classify(np.stack(forms)[..., None]))

    def read_word(word: Word) -> list[Character]:
        probabilities = np.stack([next(rows) for _ in word])
        spelled = spell(probabilities, names)
        spelled = correct(spelled, probabilities, names, words) if words else spelled
        return [
            Character(name, float(row[names.index(name)]), letter.box)
            for name, row, letter in zip(spelled, probabilities, word, strict=True)
        ]

    return Reading([[read_word(word) for word in line] for line in lines])


def spell(probabilities: Array, names: Sequence[str]) -> str:
    """The likeliest word for the probabilities [L, classes] of its characters, where letters and figures seldom mix.

    Each change from one kind to the other inside the word costs a factor; the best sequence of kinds is found by Viterbi's
    recursion.
    """
    log = np.log(probabilities + _DOUBT)
    kinds = [np.array([i for i, name in enumerate(names) if name.isdigit() == figure], int) for figure in (False, True)]
    kinds = [kind for kind in kinds if kind.size]
    scores = np.stack([log[:, kind].max(1) for kind in kinds], 1)
    change = np.log(_SWITCH) * (1 - np.eye(len(kinds)))
    total, before = scores[0], []
    for row in scores[1:]:
        ways = total.reshape(-1, 1) + change
        before.append(ways.argmax(0))
        total = ways.max(0) + row
    path = [int(total.argmax())]
    for step in reversed(before):
        path.append(int(step[path[-1]]))
    chosen = [kinds[kind][row[kinds[kind]].argmax()] for kind, row in zip(reversed(path), log, strict=True)]
    return "".join(names[i] for i in chosen)


def correct(spelled: str, probabilities: Array, names: Sequence[str], words: Collection[str]) -> str:
    """The likeliest of `words` that differs from `spelled` in no more than a third of its letters; or else `spelled`."""
    if spelled in words:
        return spelled
    log = np.log(probabilities + _DOUBT)
    most = max(1, len(spelled) // _CORRECTED)
    near = [
        word
        for word in words
        if len(word) == len(spelled) and sum(a != b for a, b in zip(word, spelled, strict=True)) <= most
    ]
    likelihood = lambda word: sum(row[names.index(letter)] for row, letter in zip(log, word, strict=True))
    return max(sorted(near), key=likelihood, default=spelled)
