"""From letters on a page to text."""

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from jaxnets.analysis.ocr.cut import Likely
from jaxnets.analysis.ocr.pieces import Box
from jaxnets.analysis.ocr.segment import Word, find_lines, left_over
from jaxnets.data.letter_form import letter_form

Array = np.ndarray
Predict = Callable[[Array], Array]
"""uint8 letters [N, 32, 32, 1] -> probabilities [N, classes]."""

DOUBTFUL = 0.8
"""Probability below which a character counts as doubtful."""
_SWITCH = 1e-2
"""Factor on a word's likelihood for each change between letters and digits, which separates O from 0 and I from 1."""
_DOUBT = 1e-5
"""Probability added to every class, because nets are overconfident."""
_TURNED = 0.05
"""A page lies another way up if its letters, so turned, are likelier by this, as the mean logarithm of probabilities."""
_FEWEST = 12
"""From fewer letters nothing is told of how a page lies."""
_CORRECTED = 3
"""A word list may change one letter in this many, and always one."""


class Character(NamedTuple):
    """One character that was read."""

    name: str
    probability: float
    """The net's probability of it, without regard to the rest of the word."""
    box: Box


class Reading(NamedTuple):
    """The text of a page."""

    lines: Sequence[Sequence[Sequence[Character]]]
    """Lines of words of characters."""
    left_over: Sequence[Box] = ()
    """Pieces of ink as large as letters that were not read, the largest first."""
    turn: int = 0
    """Quarter turns, counterclockwise, after which the letters are likelier."""

    @property
    def text(self) -> str:
        """Words with a space between them, lines with a line break; empty for an empty page."""
        return "\n".join(" ".join("".join(one.name for one in word) for word in line) for line in self.lines)

    def characters(self) -> Iterator[Character]:
        """All characters, in reading order."""
        return (one for line in self.lines for word in line for one in word)


def read(ink: Array, predict: Predict, names: Sequence[str], words: Collection[str] = ()) -> Reading:
    """Reads a page.

    Args:
        ink: bool [H, W], with horizontal lines.
        predict: see Predict.
        names: names of the classes, one character each.
        words: known words, to which similar ones are corrected; empty for no correction.
    """
    lines = find_lines(ink, likelihood(predict))
    letters = [letter for line in lines for word in line for letter in word]
    rest = left_over(ink, letters)
    if not letters:
        return Reading((), rest)
    forms = _forms([letter.ink for letter in letters])
    turned = np.split(predict(np.concatenate([np.rot90(forms, k, (1, 2)) for k in range(4)])), 4)
    likely = [float(_log(found.max(1)).mean()) for found in turned]
    turn = int(np.argmax(likely)) if len(letters) >= _FEWEST and max(likely) > likely[0] + _TURNED else 0
    rows = iter(turned[0])

    def read_word(word: Word) -> list[Character]:
        probabilities = np.stack([next(rows) for _ in word])
        spelled = spell(probabilities, names)
        spelled = correct(spelled, probabilities, names, words) if words else spelled
        return [
            Character(name, float(row[names.index(name)]), letter.box)
            for name, row, letter in zip(spelled, probabilities, word, strict=True)
        ]

    return Reading([[read_word(word) for word in line] for line in lines], rest, turn)


def likelihood(predict: Predict) -> Likely:
    """How sure a net is of letters, by which those that touch are cut apart."""
    return lambda inks: _log(predict(_forms(inks)).max(1))


def _forms(inks: Sequence[Array]) -> Array:
    """uint8 [N, 32, 32, 1]."""
    return np.stack([letter_form(ink) for ink in inks])[..., None]


def _log(probabilities: Array) -> Array:
    return np.log(np.maximum(probabilities, _DOUBT))


def spell(probabilities: Array, names: Sequence[str]) -> str:
    """The most likely word for the probabilities [L, classes] of its characters, if letters and digits seldom mix.

    Each change between letters and digits costs a factor. The best sequence is found by the Viterbi algorithm.
    """
    log = np.log(probabilities + _DOUBT)
    kinds = [np.array([i for i, name in enumerate(names) if name.isdigit() == digit], int) for digit in (False, True)]
    kinds = [kind for kind in kinds if kind.size]
    scores = np.stack([log[:, kind].max(1) for kind in kinds], 1)
    change = np.log(_SWITCH) * (1 - np.eye(len(kinds)))
    total, before = scores[0], []
    for row in scores[1:]:
        candidates = total.reshape(-1, 1) + change
        before.append(candidates.argmax(0))
        total = candidates.max(0) + row
    path = [int(total.argmax())]
    for step in reversed(before):
        path.append(int(step[path[-1]]))
    chosen = [kinds[kind][row[kinds[kind]].argmax()] for kind, row in zip(reversed(path), log, strict=True)]
    return "".join(names[i] for i in chosen)


def correct(spelled: str, probabilities: Array, names: Sequence[str], words: Collection[str]) -> str:
    """The most likely of the `words` that differ from `spelled` in at most a third of its letters, or `spelled` itself."""
    if spelled in words:
        return spelled
    log = np.log(probabilities + _DOUBT)
    limit = max(1, len(spelled) // _CORRECTED)
    near = [
        word
        for word in words
        if len(word) == len(spelled) and sum(a != b for a, b in zip(word, spelled, strict=True)) <= limit
    ]
    likelihood = lambda word: sum(row[names.index(letter)] for row, letter in zip(log, word, strict=True))
    return max(sorted(near), key=likelihood, default=spelled)
