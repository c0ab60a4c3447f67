"""The form in which letters reach a classifier of 36 classes (report S2): dark on white, 32×32, upright, centered.

Scanned letters, drawn fonts and the images of other sets differ in size and pen. All of them pass through `letter_form`, so
that a net trained on one kind reads another.
"""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from jaxnets.data.progress import Report, silent

Array = np.ndarray

SIDE = 32
LONGER = 22.0
"""Pixels along the longer side of a letter's box; the rest is margin."""
_STROKE = (2.6, 3.4)
"""Pixels across a stroke: thinner and thicker pens are brought to the nearer limit."""
_EDGE = 1.5
"""Pixels over which the edge of a stroke fades from ink to paper."""
_WORKING = 66
"""Smaller letters are enlarged to this many pixels, so that their outline is smooth before it is measured."""
_FRINGE = 2
"""Pixels around a letter's box that are enlarged with it: faint ink tells where between two pixels the outline runs."""
_CHUNK, _BLOCK = 64, 1024
"""Letters that are drawn at once, few enough for a processor's cache, and letters whose boxes are measured at once."""


def letter_form(ink: Array) -> Array:
    """Brings one letter to NIST36's form.

    The outline is taken where the ink is half as dark as its darkest, moved in or out until the stroke is as wide as
    intended, and drawn again from each pixel's distance to it. Faint noise around the letter must have been removed.

    Args:
        ink: [H, W] in 0..1, 1 = ink, any size.

    Returns:
        uint8 [32, 32], 255 = paper. The letter keeps its aspect ratio, its box is centered and its longer side is 22 pixels.
        All paper where there is no ink.
    """
    return letter_forms(np.asarray(ink)[None])[0]


def letter_forms(inks: Array, report: Report = silent) -> Array:
    """`letter_form` of many letters: [N, H, W] in 0..1, or uint8 in 0..255 -> uint8 [N, 32, 32]."""
    forms = np.full((len(inks), SIDE, SIDE), 255, np.uint8)
    if not inks.size:
        return forms
    parts = [_boxes(_relative(inks[start : start + _BLOCK]) > 0.5) for start in range(0, len(inks), _BLOCK)]
    top, bottom, left, right = (np.concatenate(bound) for bound in zip(*parts, strict=True))
    heights, widths = bottom - top, right - left
    longer, inked = np.maximum(heights, widths), np.asarray(inks.any((1, 2)))
    # Letters of about the same shape are drawn together, so that little room is left around them.
    order = np.lexsort((np.minimum(heights, widths), heights > widths, longer))
    groups = [order[(longer < _WORKING)[order] & inked[order]], order[(longer >= _WORKING)[order] & inked[order]]]
    chunks = [indices[start : start + _CHUNK] for indices in groups for start in range(0, len(indices), _CHUNK)]

    def draw(chunk: Array) -> Array:
        padded = np.pad(_relative(inks[chunk]), ((0, 0), (_FRINGE, _FRINGE), (_FRINGE, _FRINGE)))
        rows, in_rows = _range(top[chunk], heights[chunk] + 2 * _FRINGE, padded.shape[1])
        columns, in_columns = _range(left[chunk], widths[chunk] + 2 * _FRINGE, padded.shape[2])
        crops = padded[np.arange(len(chunk))[:, None, None], rows[:, :, None], columns[:, None]]
        crops *= in_rows[:, :, None] & in_columns[:, None]
        return _forms(crops, heights[chunk], widths[chunk])

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        done, total = 0, int(inked.sum())
        for chunk, drawn in zip(chunks, pool.map(draw, chunks), strict=True):
            forms[chunk] = drawn
            done += len(chunk)
            report("drawing letters", done, total)
    return forms


def _relative(inks: Array) -> Array:
    """Letters [n, H, W] with the darkest ink of each at 1."""
    inks = inks / 255 if inks.dtype == np.uint8 else inks
    darkest = inks.max((1, 2), keepdims=True)
    return np.float32(inks) / np.where(darkest > 0, darkest, 1)


def _range(start: Array, lengths: Array, size: int) -> tuple[Array, Array]:
    """Indices [n, longest] from `start` on, below `size`, and which of them belong to each letter's `lengths`."""
    offset = np.arange(lengths.max())
    return np.minimum(start[:, None] + offset, size - 1), offset < lengths[:, None]


def stroke_width(mask: Array) -> float:
    """Pixels across the strokes of a mask [H, W], from the mean distance of its pixels to their outline."""
    padded = np.pad(mask, 1)
    return _stroke_width(_squared_distance(padded[None])[0], padded)


def _stroke_width(squared: Array, mask: Array) -> float:
    return 4 * (np.sqrt(squared[mask], dtype=float) - 0.5).mean()


def _forms(crops: Array, heights: Array, widths: Array) -> Array:
    """Letters in NIST36's form: [n, h, w] -> uint8 [n, 32, 32].

    From its corner on, each crop holds a box of the given size with `_FRINGE` pixels around; the rest is zero. Either all
    boxes or none are smaller than `_WORKING`.
    """
    longer = np.maximum(heights, widths)
    masks = (_enlarge(crops, heights, widths, _WORKING / longer) if longer[0] < _WORKING else crops) > 0.5
    masks = np.pad(masks, ((0, 0), (1, 1), (1, 1)))
    inside = _squared_distance(masks)
    width = np.array([_stroke_width(squared, mask) for squared, mask in zip(inside, masks, strict=True)])
    top, bottom, left, right = _boxes(masks)
    longer = np.maximum(bottom - top, right - left)
    scale = LONGER / longer
    thin = longer > 2 * width
    stroke = np.where(thin, np.clip(width * scale, *_STROKE), width * scale)
    # The middle line of the strokes is to span LONGER less one stroke.
    scale = np.where(thin, (LONGER - stroke) / np.where(thin, longer - width, 1), scale)
    grow = np.where(thin, (stroke - width * scale) / 2, 0)

    reach = np.ceil((np.abs(grow) + _EDGE) / scale).astype(int) + 1
    margin = int(reach.max()) + 1
    around = ((0, 0), (margin, margin), (margin, margin))
    padded = np.pad(masks, around)
    outside = _squared_distance(~padded, limit=margin + 1)
    distance = np.sqrt(np.where(padded, np.pad(inside, around), outside), dtype=float) - 0.5
    distance = np.where(padded, -distance, distance) * scale[:, None, None]
    from_center = (np.arange(SIDE) + 0.5 - SIDE / 2) / scale[:, None]
    rows = from_center + (bottom - top)[:, None] / 2 - 0.5 + reach[:, None]
    columns = from_center + (right - left)[:, None] / 2 - 0.5 + reach[:, None]
    shift = margin - reach[:, None]
    sampled = _sample(distance, rows, columns, top[:, None] + shift, left[:, None] + shift)
    ink = np.clip(0.5 + (grow[:, None, None] - sampled) / _EDGE, 0, 1)
    return np.round(255 * (1 - ink)).astype(np.uint8)


def _boxes(masks: Array) -> tuple[Array, Array, Array, Array]:
    """The first row, the row after the last, and the same of the columns of what is true in each mask [n, h, w]."""
    bounds = []
    for axis in (2, 1):
        lines = np.asarray(masks.any(axis))
        bounds += [lines.argmax(1), lines.shape[1] - lines[:, ::-1].argmax(1)]
    top, bottom, left, right = bounds
    return top, bottom, left, right


def _squared_distance(masks: Array, limit: int | None = None) -> Array:
    """Squared Euclidean distance of each true pixel of [n, h, w] to the nearest false one, in pixels²; 0 for false pixels.

    Distances above `limit` may come out as anything from `limit` on. Without it, the outermost pixels must be false.
    """
    height, width = masks.shape[1:]
    limit = max(height, width) // 2 + 1 if limit is None else limit
    dtype = np.int16 if limit < 100 else np.int32  # 2 · limit² has to fit.
    # With the letters along the last axis, every operation runs over long stretches of memory.
    column = np.where(np.ascontiguousarray(masks.transpose(1, 2, 0)), dtype(limit), dtype(0))
    for row in range(1, height):
        np.minimum(column[row], column[row - 1] + dtype(1), out=column[row])
    for row in range(height - 2, -1, -1):
        np.minimum(column[row], column[row + 1] + dtype(1), out=column[row])
    column *= column
    nearest = column.copy()
    for step in range(1, min(width, limit)):
        if step * step >= nearest.max():
            break
        beside = column + dtype(step * step)
        np.minimum(nearest[:, step:], beside[:, :-step], out=nearest[:, step:])
        np.minimum(nearest[:, :-step], beside[:, step:], out=nearest[:, :-step])
    return np.ascontiguousarray(nearest.transpose(2, 0, 1))


def _enlarge(crops: Array, heights: Array, widths: Array, factor: Array) -> Array:
    """Bilinear enlargement of letters, by their `factor` [n] rounded so that boxes with fringes become whole pixels."""

    def places(lengths: Array) -> Array:
        enlarged = np.round(factor * lengths)
        return (np.arange(enlarged.max()) + 0.5) * (lengths / enlarged)[:, None] - 0.5

    one = np.ones((len(crops), 1), int)
    padded = np.pad(crops, ((0, 0), (1, 1), (1, 1)))
    return _sample(padded, places(heights + 2 * _FRINGE), places(widths + 2 * _FRINGE), one, one)


def _sample(images: Array, rows: Array, columns: Array, top: Array, left: Array) -> Array:
    """Bilinear values of [n, h, w] where rows [n, p] cross columns [n, q], counted from top and left [n, 1]: [n, p, q].

    Beyond the border the nearest pixel counts.
    """
    example = np.arange(len(images))[:, None]
    lines = [images[example, row] * weight[:, :, None] for row, weight in _neighbors(rows, top, images.shape[1])]
    # Transposed, columns too are taken as whole stretches of memory.
    lines = [np.ascontiguousarray(line.transpose(0, 2, 1)) for line in lines]
    beside = _neighbors(columns, left, images.shape[2])
    return sum(line[example, column] * weight[:, :, None] for line in lines for column, weight in beside).transpose(0, 2, 1)


def _neighbors(at: Array, start: Array, size: int) -> list[tuple[Array, Array]]:
    """The two pixels around each place, of `size` that are counted from -start, and their weights."""
    low = np.floor(at)
    weight = 1 - (at - low)
    first = low.astype(int) + start
    return [(np.clip(first, 0, size - 1), weight), (np.clip(first + 1, 0, size - 1), 1 - weight)]
