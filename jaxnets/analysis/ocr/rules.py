"""Rules of ruled and squared paper and margin lines: found by their length, and removed from under the letters."""

import numpy as np
from scipy import ndimage

from jaxnets.errors import extra

with extra("ocr"):
    from skimage import transform

Array = np.ndarray

_LENGTH = 0.25
"""A straight line that is longer than this fraction of the page's longer side is a rule, no stroke."""
_THICKEST = 0.008
"""Thickness of the thickest rule, as a fraction of the page's longer side; what is thicker is an edge or a shadow."""
_FAINTER = 0.5
"""Rules may be fainter than ink by this factor: noise makes no long lines."""
_HALO = 2
"""Rows above and below a rule that are lighter than it and darker than paper, because contrast is smoothed."""
_BARE = 0.5
"""Fraction of a rule along which there is no ink above and below it."""
_SAME_PAPER = 0.1
"""Difference in brightness between the two sides of a rule, at most; the sheet's edge has two kinds of ground."""
_DARKER = 1.5
"""Ink on a rule is darker than it by this factor. Otherwise strokes are recognized by their going on above and below."""


def without_rules(gray: Array, contrast: Array, floor: float, tilt: float) -> Array:
    """The contrast of a page without its horizontal and vertical rules; strokes that cross them stay.

    Args:
        gray: [H, W] in 0..1, the page.
        contrast: [H, W], about 0 on paper, towards 1 on ink.
        floor: the contrast of what is more than noise.
        tilt: degrees by which horizontal rules fall towards the right.
    """
    turn = lambda image, degrees: transform.rotate(image, degrees, order=1) if tilt else image
    turned_gray, turned = turn(gray, tilt), turn(contrast, tilt)
    kept = _without_horizontal(turned_gray, turned, floor)
    kept = _without_horizontal(turned_gray.T, kept.T, floor).T
    removed = turned - kept
    return np.clip(contrast - turn(removed, -tilt), 0, None) if removed.any() else contrast


def _without_horizontal(gray: Array, contrast: Array, floor: float) -> Array:
    longer = max(contrast.shape)
    thickest = max(3, round(_THICKEST * longer))
    # Rules waver by a pixel, so that each row sees its neighbors.
    near = _grown(contrast > _FAINTER * floor, 1)
    lines = ndimage.binary_opening(near, np.ones((1, round(_LENGTH * longer))))
    labels, number = ndimage.label(lines, np.ones((3, 3)))
    if not number:
        return contrast
    every, halo = np.arange(1, number + 1), _grown(lines, _HALO)
    above, below = _beside(contrast, halo)
    ground = [ndimage.median(side, labels, every) for side in _beside(gray, _grown(lines, thickest))]
    widths = [columns.stop - columns.start for _, columns in ndimage.find_objects(labels)]
    rules = np.isin(
        labels,
        every[
            (np.bincount(labels.ravel())[1:] / widths <= thickest + 2)
            & (ndimage.mean(np.maximum(above, below) < floor, labels, every) >= _BARE)
            & (np.abs(ground[0] - ground[1]) <= _SAME_PAPER)
        ],
    )
    # The darkness of a rule is that of its middle, at most places along it.
    middle = ndimage.maximum_filter(np.where(rules, contrast, 0), (2 * thickest + 1, 1))
    level = np.concatenate([[0], ndimage.median(middle, labels, every)])[labels]
    level = ndimage.maximum_filter(np.where(rules, level, 0), (2 * _HALO + 1, 1))
    bare = _grown(rules, _HALO) & (contrast <= np.maximum(_DARKER * level, floor))
    return np.where(bare, np.minimum(np.minimum(above, below), contrast), contrast)


def _grown(mask: Array, rows: int) -> Array:
    """The mask with some rows more above and below."""
    return ndimage.binary_dilation(mask, np.ones((2 * rows + 1, 1)))


def _beside(image: Array, band: Array) -> tuple[Array, Array]:
    """For each pixel the value of the nearest one above it, and below it, that is not in the band, or of its neighbors."""
    wide = ndimage.maximum_filter(np.where(band, 0, image), (1, 3))
    rows = np.arange(len(band))[:, None]
    above = np.maximum.accumulate(np.where(band, 0, rows))
    below = np.minimum.accumulate(np.where(band, len(band) - 1, rows)[::-1])[::-1]
    return np.take_along_axis(wide, above, 0), np.take_along_axis(wide, below, 0)
