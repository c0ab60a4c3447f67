"""The form in which letters reach a classifier of 36 classes (report S2): dark on white, 32×32, upright, centered.

Scanned letters, drawn fonts and the images of other sets differ in size and pen. All of them come through `letter_form`, so
that a net trained on one kind reads another.
"""

import numpy as np
from scipy import ndimage

from jaxnets.data.progress import Report, silent, track

Array = np.ndarray

SIDE = 32
LONGER = 22.0
"""Pixels along the longer side of a letter's box; the rest is margin."""
_STROKE = (2.6, 3.4)
"""Pixels across a stroke: thinner and thicker pens are brought to the nearer end."""
_EDGE = 1.5
"""Pixels in which the edge of a stroke goes from paper to ink."""
_WORKING = 66
"""Smaller letters are enlarged to this many pixels, so that their outline is smooth before it is measured."""
_FRINGE = 2
"""Pixels around a letter's box that are enlarged with it: faint ink tells where between two pixels the outline runs."""


def letter_form(ink: Array) -> Array:
    """Brings one letter to NIST36's form.

    The outline is taken where the ink is half as dark as its darkest, moved in or out until the stroke is as wide as
    intended, and drawn again from each pixel's distance to it. Faint noise around the letter must have been removed.

    Args:
        ink: [H, W] of any size, 0 = paper; its largest value is the darkest ink.

    Returns:
        uint8 [32, 32], 255 = paper. The letter keeps its aspect ratio, its box is centered and its longer side is 22 pixels.
        All paper where there is no ink.
    """
    if not np.any(ink):
        return np.full((SIDE, SIDE), 255, np.uint8)
    ink = np.asarray(ink, np.float32) / np.max(ink)
    box = _box(ink > 0.5)
    mask = (ink > 0.5)[box]
    if max(mask.shape) < _WORKING:
        around = tuple(slice(side.start, side.stop + 2 * _FRINGE) for side in box)
        mask = _enlarge(np.pad(ink, _FRINGE)[around], _WORKING / max(mask.shape)) > 0.5
        mask = mask[_box(mask)]
    depth = _depth(mask)
    width = _stroke_width(depth)
    longer = max(mask.shape)
    scale = LONGER / longer
    stroke = float(np.clip(width * scale, *_STROKE))
    if longer > 2 * width:
        # The middle line of the strokes is to span LONGER less one stroke.
        scale = (LONGER - stroke) / (longer - width)
    else:
        stroke = width * scale
    return _draw(depth, scale, grow=(stroke - width * scale) / 2)


def letter_forms(inks: Array, report: Report = silent) -> Array:
    """`letter_form` of many letters: [N, H, W] in any range from 0 up -> uint8 [N, 32, 32]."""
    return np.stack([letter_form(ink) for ink in track(list(inks), "drawing letters", report)])


def stroke_width(mask: Array) -> float:
    """Pixels across the strokes of a mask [H, W], from the mean distance of its pixels to their outline."""
    return _stroke_width(_depth(mask))


def _depth(mask: Array) -> Array:
    """Pixels from each of a mask's to the nearest one outside, which may lie beyond its border; 0 where it is false."""
    return ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]


def _stroke_width(depth: Array) -> float:
    return 4 * (depth[depth > 0] - 0.5).mean()


def _draw(depth: Array, scale: float, grow: float) -> Array:
    """A mask at `scale`, its outline moved outwards by `grow` pixels, in the middle of a white square."""
    margin = int(np.ceil((abs(grow) + _EDGE) / scale)) + 1
    inside = np.pad(depth, margin)
    distance = np.where(inside > 0, 0.5 - inside, ndimage.distance_transform_edt(inside == 0) - 0.5) * scale
    rows, columns = ((np.arange(SIDE) + 0.5 - SIDE / 2) / scale + size / 2 - 0.5 + margin for size in depth.shape)
    at = np.meshgrid(rows, columns, indexing="ij")
    sampled = ndimage.map_coordinates(distance, at, order=1, mode="nearest")
    ink = np.clip(0.5 + (grow - sampled) / _EDGE, 0, 1)
    return np.round(255 * (1 - ink)).astype(np.uint8)


def _box(mask: Array) -> tuple[slice, slice]:
    """The rows and columns of what is true."""
    return ndimage.find_objects(mask.astype(np.int8))[0]


def _enlarge(ink: Array, factor: float) -> Array:
    return ndimage.zoom(ink, factor, order=1, grid_mode=True, mode="grid-constant")
