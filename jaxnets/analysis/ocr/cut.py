"""Touching letters are cut apart where a net is surest of the parts (recognition-based segmentation).

R. G. Casey and E. Lecolinet, "A survey of methods and strategies in character segmentation", IEEE Transactions on Pattern
Analysis and Machine Intelligence 18 (1996), 690-706.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from jaxnets.analysis.ocr.pieces import Box, Letter

Array = np.ndarray
Likely = Callable[[Sequence[Array]], Array]
"""Letters' ink, bool [H, W] each -> the logarithm of the probability of the likeliest class of each, [N]."""

# In units of the height of letters.
_CUT, _MAY_CUT = 1.42, 0.95
"""What is wider than the first is several letters that touch; where there is much of that, what is wider than the second."""
_MUCH = 0.1
"""Share of such pieces in the widths of all."""
_NARROWEST, _WIDEST = 0.12, 1.4
"""Widths of a part."""
_APART = 0.14
"""Cuts are where no column within this distance has less ink."""
_LETTER, _JOINT = 1.0, 2.0
"""Added to the negative log-likelihood for each letter, and for each cut through ink as high as letters."""
_USUAL, _SPREAD = 0.75, 0.3
"""Mean and standard deviation of the width of letters."""
_SLANT, _STEP = 0.5, 0.05
"""Largest slant of letters that is looked for, in columns a row, and its accuracy."""


class _Piece(NamedTuple):
    """A piece of ink and where it may be cut."""

    letter: Letter
    columns: Array
    """int [height, width]: the column in which each pixel is when letters are set upright."""
    cuts: Array
    """Columns before which it may be cut; the first and the last are its ends."""
    costs: Array
    """Of each cut."""
    height: float
    """Of its letters."""


def cut_apart(letters: Sequence[Letter], height: float, likely: Likely) -> list[list[Letter]]:
    """Each of the letters as the one or more that a net sees in it.

    Args:
        letters: pieces of ink.
        height: that of typical letters, in pixels.
        likely: see Likely; asked once.
    """
    wide = [letter for letter in letters if letter.box.width > _CUT * height and letter.box.height < 2 * height]
    share = sum(letter.box.width for letter in wide) / max(1, sum(letter.box.width for letter in letters))
    slant, widest = _slant(wide), _MAY_CUT if share > _MUCH else _CUT
    pieces = [_piece(letter, height, slant, widest) for letter in letters]
    spans = [
        (i, a, b)
        for i, piece in enumerate(pieces)
        for a in range(len(piece.cuts) - 1)
        for b in range(a + 1, len(piece.cuts))
        if len(piece.cuts) > 2 and _fits(piece, a, b)
    ]
    parts = [_part(pieces[i], a, b) for i, a, b in spans]
    found = dict(zip(spans, likely([part.ink for part in parts]), strict=True)) if parts else {}
    made = dict(zip(spans, parts, strict=True))
    return [
        [made[i, a, b] for a, b in _best(i, piece, found)] if len(piece.cuts) > 2 else [piece.letter]
        for i, piece in enumerate(pieces)
    ]


def _fits(piece: _Piece, a: int, b: int) -> bool:
    width, height = piece.cuts[b] - piece.cuts[a], piece.height
    return b - a == 1 or _NARROWEST * height <= width <= _WIDEST * height


def _best(i: int, piece: _Piece, likely: dict[tuple[int, int, int], float]) -> list[tuple[int, int]]:
    """The spans of the cheapest way through the cuts of a piece."""
    costs, before = [0.0], [0]
    for b in range(1, len(piece.cuts)):
        options = {
            a: costs[a] - likely[i, a, b] + _LETTER + _unusual(piece, a, b) + piece.costs[b]
            for a in range(b)
            if (i, a, b) in likely
        }
        before.append(min(options, key=options.__getitem__))
        costs.append(options[before[-1]])
    spans, b = [], len(piece.cuts) - 1
    while b:
        spans.append((before[b], b))
        b = before[b]
    return spans[::-1]


def _unusual(piece: _Piece, a: int, b: int) -> float:
    """What is added for a width that few letters have."""
    return float(((piece.cuts[b] - piece.cuts[a]) / piece.height - _USUAL) / _SPREAD) ** 2 / 2


def _piece(letter: Letter, height: float, slant: float, widest: float) -> _Piece:
    rows, across = np.indices(letter.ink.shape)
    upright = np.floor(across + slant * rows).astype(int)
    columns = np.where(letter.ink, upright - upright[letter.ink].min(), 0)
    profile = np.bincount(columns[letter.ink])
    height = max(height, letter.box.height)  # A headline is larger than the rest.
    ends = np.array([0, len(profile)])
    if len(profile) <= widest * height:
        return _Piece(letter, columns, ends, np.zeros(2), height)
    reach = max(1, round(_APART * height))
    smooth = ndimage.uniform_filter1d(profile.astype(float), 3)
    least = np.flatnonzero(smooth == ndimage.minimum_filter1d(smooth, 2 * reach + 1))
    # Of a flat stretch the middle.
    groups = np.split(least, np.flatnonzero(np.diff(least) > 1) + 1)
    middles = np.array([int(group.mean()) for group in groups if group.size])
    inside = middles[(middles >= _NARROWEST * height / 2) & (middles <= len(profile) - _NARROWEST * height / 2)]
    cuts = np.unique(np.concatenate([ends, inside]))
    costs = _JOINT * np.append(profile, 0)[cuts] / height
    costs[[0, -1]] = 0
    return _Piece(letter, columns, cuts, costs, height)


def _part(piece: _Piece, a: int, b: int) -> Letter:
    """The ink between two cuts."""
    ink = piece.letter.ink & (piece.columns >= piece.cuts[a]) & (piece.columns < piece.cuts[b])
    rows, columns = (np.flatnonzero(ink.any(axis))[[0, -1]] + (0, 1) for axis in (1, 0))
    at = piece.letter.box
    box = Box(at.top + int(rows[0]), at.left + int(columns[0]), at.top + int(rows[1]), at.left + int(columns[1]))
    return Letter(box, ink[rows[0] : rows[1], columns[0] : columns[1]])


def _slant(letters: Sequence[Letter]) -> float:
    """Columns a row by which letters lean to the right: set upright, columns are full or empty."""

    def sharpness(slant: float) -> float:
        total = 0.0
        for letter in letters:
            rows, columns = np.nonzero(letter.ink)
            at = np.floor(columns + slant * rows).astype(int)
            total += float((np.bincount(at - at.min()).astype(float) ** 2).sum()) / len(rows)
        return total

    slants = np.arange(-_SLANT, _SLANT + _STEP / 2, _STEP)
    return float(max(slants, key=sharpness)) if letters else 0.0
