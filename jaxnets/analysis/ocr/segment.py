"""From ink to letters in reading order."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from scipy import ndimage, sparse

from jaxnets.analysis.ocr.cut import Likely, cut_apart
from jaxnets.analysis.ocr.pieces import Box, Letter
from jaxnets.data.letter_form import stroke_width
from jaxnets.errors import extra

with extra("ocr"):
    from skimage import measure, morphology

Array = np.ndarray


Word = list[Letter]
Line = list[Word]

_SMALLEST = 10
"""Pixels along the longer side of the smallest letter."""
# The rest is in units of the typical height of the page's letters.
_SINGLE = 0.6
"""Pieces that are longer may be letters by themselves."""
_SPECK = 0.35
"""Isolated pieces that are shorter are specks or full stops."""
_FRAGMENT = 0.25
"""Pieces that are shorter belong to a letter only above or below it, as dots do."""
_FLAT = 0.3
"""Flat pieces that are lower are dashes."""
_HUGE, _LONGEST = 4.0, 20.0
"""Pieces that are higher, or wider than a word, are rules, frames or the edge of the sheet."""
_FLATTEST = 1.5
"""What is wider than this, in its own heights, may be letters that touch: their size is its height."""
_BREAK = 0.15
"""Longest gap in a broken stroke."""
_DOT_GAP = 0.35
"""Longest gap between a dot, or another part, and the piece below or above it."""
_TALLEST, _WIDEST = 1.4, 1.3
"""Largest height and width of a letter that is joined from pieces."""
_TOUCHING, _USUAL_WIDTH = 1.42, 0.72
"""What is wider is several letters that touch, and the usual width of one."""
_REACH = 0.35
"""Distance of a cut from where it is expected, in widths of a part."""
_JOINT = 1.6
"""Thickest joint of two letters, in widths of a stroke."""
_EVEN = 0.2
"""Added to gaps before taking logarithms, because touching letters have none."""
_WORD_GAP = 1.8
"""Smallest ratio of average gaps between words and within words; also a gap that always separates words."""
_PRINT_GAP, _DISTINCT = 1.4, 2.5
"""A smaller such ratio is enough where it is, as a logarithm, this multiple of the spread within both classes."""
_OTHER_SIZE = 1.5
"""Ratio of the heights of lines that are written in different sizes."""
_NARROWEST = 0.28
"""Narrower gaps never separate words."""
_WIDEST_IN_PRINT = 0.4
"""Widest gap within printed words."""


def find_lines(ink: Array, likely: Likely | None = None) -> list[Line]:
    """The letters on a page: lines from top to bottom, of words and letters from left to right.

    Args:
        ink: bool [H, W].
        likely: tells where touching letters are to be cut; without it by their usual width.
    """
    rows = _rows(find_letters(ink, likely))
    heights = _heights(rows)
    gaps = [gap / height for row, height in zip(rows, heights, strict=True) for gap in _gaps(row)]
    widest = _widest_letter_gap(gaps)
    return [_words(row, widest * height) for row, height in zip(rows, heights, strict=True)]


def left_over(ink: Array, letters: Sequence[Letter]) -> list[Box]:
    """The pieces of ink outside letters' boxes that are not much smaller than letters, the largest first."""
    height = typical_height([letter.box for letter in letters])
    rest = ink.copy()
    for letter in letters:
        rest[letter.box.top : letter.box.bottom, letter.box.left : letter.box.right] = False
    boxes = [_box(region) for region in ndimage.find_objects(measure.label(rest, connectivity=2))]
    return sorted((box for box in boxes if box.longer >= max(_SMALLEST, _SPECK * height)), key=lambda box: -box.longer)


def typical_height(boxes: Sequence[Box]) -> float:
    """The median of the boxes' longer sides, weighted by these sides, so that specks count for little.

    Of boxes that are much wider than high, which are words whose letters touch or dashes, the height counts.
    """
    sides = np.sort([box.height if box.width > _FLATTEST * box.height else box.longer for box in boxes])
    return float(sides[np.searchsorted(np.cumsum(sides), sides.sum() / 2)]) if sides.size else 0.0


# ----------------------------------------------------------------------------------------------------------------------
# Letters


def find_letters(ink: Array, likely: Likely | None = None) -> list[Letter]:
    """The letters on a page, bool [H, W]: connected pieces of ink, joined where a letter has several.

    Pieces that are too small or too large for a letter are left out.
    """
    labels = measure.label(ink, connectivity=2)
    boxes = [_box(region) for region in ndimage.find_objects(labels)]
    height = typical_height([box for box in boxes if _SMALLEST <= box.longer < max(ink.shape) / 2] or boxes)
    plausible = [
        i
        for i, box in enumerate(boxes)
        if 0.08 * height <= box.longer and box.height <= _HUGE * height and box.width <= _LONGEST * height
    ]
    pieces = [Letter(boxes[i], labels[_region(boxes[i])] == i + 1) for i in plausible]
    letters = [letter for letter in _join_pieces(pieces, height) if _may_be_letter(letter.box, height)]
    parted = cut_apart(letters, height, likely) if likely else [_split(letter, height) for letter in letters]
    return [_heal(part) for parts in parted for part in parts]


def _join_pieces(pieces: Sequence[Letter], height: float) -> Iterator[Letter]:
    """Joins the pieces of each letter."""
    pairs = [
        (i, i + 1 + j)
        for i, piece in enumerate(pieces)
        for j, other in enumerate(pieces[i + 1 :])
        if _belong(piece, other, height)
    ]
    joined = np.array(pairs, int).reshape(-1, 2).T
    graph = sparse.coo_array((np.ones(joined.shape[1]), tuple(joined)), shape=(len(pieces),) * 2)
    _, groups = sparse.csgraph.connected_components(graph, directed=False)
    for group in range(groups.max(initial=-1) + 1):
        yield _unite([piece for piece, label in zip(pieces, groups, strict=True) if label == group])


def _belong(a: Letter, b: Letter, height: float) -> bool:
    """Whether two pieces are parts of one letter: one above the other, like dots and bars, or a broken stroke."""
    joint = _around([a.box, b.box])
    if joint.height > _TALLEST * height or joint.width > _WIDEST * height:
        return False
    overlap = min(a.box.right, b.box.right) - max(a.box.left, b.box.left)
    gap = max(a.box.top, b.box.top) - min(a.box.bottom, b.box.bottom)
    low, narrow = min(a.box.height, b.box.height), min(a.box.width, b.box.width)
    if overlap >= 0.5 * narrow and gap <= _DOT_GAP * height and low <= _SINGLE * height:
        return True
    smaller = min(a.box.longer, b.box.longer)
    return _FRAGMENT * height <= smaller <= _SINGLE * height and _distance(a, b) <= _BREAK * height


def _distance(a: Letter, b: Letter) -> float:
    """Distance between the ink of two pieces, in pixels."""
    frame = _around([a.box, b.box])
    away = ndimage.distance_transform_edt(~_unite([a], frame).ink)
    return float(away[_unite([b], frame).ink].min())


def _may_be_letter(box: Box, height: float) -> bool:
    flat = box.height < _FLAT * height and box.width > 1.5 * box.height
    return box.longer >= max(_SMALLEST, _SPECK * height) and not flat


def _split(letter: Letter, height: float) -> list[Letter]:
    """The letters that touch in what is too wide for one, cut where a single stroke joins them."""
    height = max(height, letter.box.height)  # A headline is larger than the rest.
    number = round(letter.box.width / (_USUAL_WIDTH * height)) if letter.box.width > _TOUCHING * height else 1
    profile, reach = letter.ink.sum(0), round(_REACH * letter.box.width / number)
    cuts = [0]
    for expected in np.arange(1, number) * letter.box.width / number:
        start = max(cuts[-1] + 1, round(expected) - reach)
        around = profile[start : round(expected) + reach + 1]
        if around.size and around.min() <= _JOINT * stroke_width(letter.ink):
            thinnest = start + np.flatnonzero(around == around.min())
            cuts.append(int(thinnest[np.argmin(np.abs(thinnest - expected))]))
    parts = []
    for left, right in pairwise([*cuts, letter.box.width]):
        ink = letter.ink[:, left:right]
        top, bottom = (np.flatnonzero(ink.any(1))[[0, -1]] + (0, 1)).tolist()
        at = letter.box
        parts.append(Letter(Box(at.top + top, at.left + left, at.top + bottom, at.left + right), ink[top:bottom]))
    return parts


def _heal(letter: Letter) -> Letter:
    """Closes cracks and pinholes that are narrow compared with the strokes."""
    margin = 1 + letter.box.longer // 4
    ink = np.pad(letter.ink, margin)
    closed = morphology.isotropic_closing(ink, stroke_width(letter.ink) / 4)
    return letter._replace(ink=closed[margin:-margin, margin:-margin])


def _unite(pieces: Sequence[Letter], frame: Box | None = None) -> Letter:
    frame = frame or _around([piece.box for piece in pieces])
    ink = np.zeros((frame.height, frame.width), bool)
    for box, part in pieces:
        ink[box.top - frame.top : box.bottom - frame.top, box.left - frame.left : box.right - frame.left] |= part
    return Letter(frame, ink)


def _around(boxes: Sequence[Box]) -> Box:
    sides = np.array(boxes)
    return Box(*map(int, (*sides[:, :2].min(0), *sides[:, 2:].max(0))))


def _box(region: tuple[slice, slice]) -> Box:
    rows, columns = region
    return Box(rows.start, columns.start, rows.stop, columns.stop)


def _region(box: Box) -> tuple[slice, slice]:
    return slice(box.top, box.bottom), slice(box.left, box.right)


# ----------------------------------------------------------------------------------------------------------------------
# Lines and words


def _rows(letters: Sequence[Letter]) -> list[Word]:
    """Sorts letters into lines from top to bottom, each from left to right.

    A letter joins the line whose last letters are at its height, so lines may drift up and down over the page.
    """
    rows: list[Word] = []
    for letter in sorted(letters, key=lambda letter: letter.box.left):
        beside = [_beside(row[-3:], letter.box) for row in rows]
        best = int(np.argmax(beside)) if rows else -1
        if rows and beside[best] > 0.3:
            rows[best].append(letter)
        else:
            rows.append([letter])
    return sorted(rows, key=lambda row: np.mean([letter.box.top + letter.box.bottom for letter in row]))


def _beside(last: Sequence[Letter], box: Box) -> float:
    """Vertical overlap of a box and a line's last letters, as a fraction of the smaller height."""
    top, bottom = (float(np.mean(side)) for side in zip(*((one.box.top, one.box.bottom) for one in last), strict=True))
    return (min(bottom, box.bottom) - max(top, box.top)) / min(bottom - top, box.height)


def _heights(rows: Sequence[Word]) -> list[float]:
    """The typical height of each line's letters: that of the page, but for lines that are much larger or smaller."""
    of_page = typical_height([letter.box for row in rows for letter in row])
    of_rows = [typical_height([letter.box for letter in row]) for row in rows]
    return [own if max(own, of_page) > _OTHER_SIZE * min(own, of_page) else of_page for own in of_rows]


def _gaps(row: Word) -> list[int]:
    """The gaps between neighbors, in pixels."""
    return [max(0, b.box.left - a.box.right) for a, b in pairwise(row)]


def _widest_letter_gap(gaps: Sequence[float]) -> float:
    """The widest gap between letters of one word; as `gaps`, a multiple of the typical height of the line's letters.

    If gaps fall into two classes, it is the middle of the widest empty interval between the classes' means. Evenly spaced
    letters are one word, however far apart.
    """
    if len(gaps) < 2:
        return _WORD_GAP
    # Very wide gaps, as after a full stop, are capped so that a few of them do not dominate.
    ordered = np.sort(np.log(np.minimum(gaps, _WORD_GAP) + _EVEN))
    low, high = _class_means(ordered)
    if high - low < np.log(_WORD_GAP):
        return _widest_in_print(ordered)
    between = ordered[(ordered >= low) & (ordered <= high)]
    between = np.concatenate([[low], between, [high]])
    widest = int(np.argmax(np.diff(between)))
    return max(_NARROWEST, float(np.exp(between[widest : widest + 2].mean())) - _EVEN)


def _widest_in_print(ordered: Array) -> float:
    """The same for the narrow gaps of print, whose classes lie close together, but vary little.

    Args:
        ordered: logarithms of gaps plus _EVEN.
    """
    middles = (ordered[1:] + ordered[:-1]) / 2
    possible = (np.exp(middles) - _EVEN >= _NARROWEST) & (np.exp(ordered[:-1]) - _EVEN <= _WIDEST_IN_PRINT)
    if not possible.any():
        return _WORD_GAP
    widest = int(np.argmax(np.where(possible, np.diff(ordered), 0)))
    within, apart = ordered[: widest + 1], ordered[widest + 1 :]
    distance, spread = apart.mean() - within.mean(), np.hypot(within.std(), apart.std())
    return float(np.exp(middles[widest])) - _EVEN if distance >= max(_DISTINCT * spread, np.log(_PRINT_GAP)) else _WORD_GAP


def _class_means(ordered: Array) -> tuple[float, float]:
    """The means of the two classes of ordered values with the least variance within classes (Otsu's criterion)."""
    counts = np.arange(1, len(ordered))
    sums = np.cumsum(ordered)[:-1]
    low, high = sums / counts, (ordered.sum() - sums) / counts[::-1]
    best = int(np.argmax(counts * counts[::-1] * (high - low) ** 2))
    return float(low[best]), float(high[best])


def _words(row: Word, widest: float) -> Line:
    words = [row[:1]]
    for gap, letter in zip(_gaps(row), row[1:], strict=True):
        if gap > widest:
            words.append([])
        words[-1].append(letter)
    return words
