"""Rules of ruled and squared paper and margin lines: found by their length, and removed from under the letters."""

import numpy as np
from scipy import ndimage

Array = np.ndarray

_LENGTH = 0.25
"""A straight line that is longer than this fraction of the page's longer side is a rule, no stroke."""
_THICKEST = 0.008
"""Thickness of the thickest rule, as a fraction of the page's longer side; what is thicker is an edge or a shadow."""
_FAINTER = 0.25
"""Rules may be fainter than ink by this factor: noise makes no long lines."""
_UNBROKEN = 0.85
"""Fraction of a rule that is darker than this; noise hides the rest."""
_EVEN = 0.5
"""Fraction of its usual darkness that a rule has nearly everywhere."""
_HALO = 2
"""Rows above and below a rule that are lighter than it and darker than paper, because contrast is smoothed."""
_BARE = 0.5
"""Fraction of a rule along which there is no ink above and below it."""
_FAINT_RULE = 0.6
"""What is fainter than letters by this factor is a rule even if letters stand on it all along."""
_SAME_PAPER = 0.1
"""Difference in brightness between the two sides of a rule, at most; the sheet's edge has two kinds of ground."""
_DARKER = 1.5
"""Ink on a rule is darker than it by this factor. Otherwise strokes are recognized by their going on above and below."""
_NEAR, _STEP = 0.6, 0.05
"""Degrees around the tilt of the page in which that of its rules is looked for, and the accuracy of this."""
_SAMPLE = 200_000
"""Maximum number of pixels from which the tilt of rules is estimated."""


def without_rules(gray: Array, contrast: Array, floor: float, tilt: float) -> Array:
    """The contrast of a page without its horizontal and vertical rules; strokes that cross them stay.

    Args:
        gray: [H, W] in 0..1, the page.
        contrast: [H, W], about 0 on paper, towards 1 on ink.
        floor: the contrast of what is more than noise.
        tilt: degrees by which horizontal rules fall towards the right, about; vertical ones are turned alike.
    """
    kept = _without_falling(gray, contrast, floor, tilt)
    return _without_falling(gray.T, kept.T, floor, -tilt).T


def _without_falling(gray: Array, contrast: Array, floor: float, tilt: float) -> Array:
    """The same for rules that fall by about `tilt` degrees."""
    fall = np.tan(np.deg2rad(_rules_tilt(contrast, floor, tilt)))
    # Columns are shifted by whole pixels, which loses nothing, so that rules become level.
    shift = np.round(fall * (np.arange(contrast.shape[1]) - contrast.shape[1] / 2)).astype(int)
    margin = int(np.abs(shift).max())
    rows = np.arange(len(contrast) + 2 * margin)[:, None] - margin + shift
    inside = (rows >= 0) & (rows < len(contrast))
    level = lambda image, fill: np.where(inside, np.take_along_axis(image, rows.clip(0, len(contrast) - 1), 0), fill)
    leveled = level(contrast, 0)
    kept = _without_horizontal(level(gray, float(np.median(gray))), leveled, floor)
    if kept is leveled:
        return contrast
    return np.take_along_axis(kept, np.arange(len(contrast))[:, None] + margin - shift, 0)


def _rules_tilt(contrast: Array, floor: float, tilt: float) -> float:
    """The tilt near that of the page at which the contrast of rows changes most from each row to the next."""
    step = max(1, round((contrast.size / _SAMPLE) ** 0.5))
    # All rows, for rules are thin, of some columns; ink counts no more than rules.
    columns = np.arange(0, contrast.shape[1], step * step)
    values = np.clip(contrast[:, columns], 0, floor)
    at = np.arange(len(contrast))[:, None] * np.ones_like(columns)

    def sharpness(degrees: float) -> float:
        heights = at - np.round(np.tan(np.deg2rad(degrees)) * (columns - contrast.shape[1] / 2)).astype(int)
        sums = np.bincount((heights - heights.min()).ravel(), values.ravel())
        return float((np.diff(sums) ** 2).sum())

    return max((tilt + offset for offset in np.arange(-_NEAR, _NEAR + _STEP / 2, _STEP)), key=sharpness)


def _without_horizontal(gray: Array, contrast: Array, floor: float) -> Array:
    longer = max(contrast.shape)
    thickest, length = max(3, round(_THICKEST * longer)), round(_LENGTH * longer)
    # Rules waver by a pixel, so that each row sees its neighbors.
    near = _grown(contrast > _FAINTER * floor, 1).astype(np.float32)
    lines = ndimage.uniform_filter1d(near, length, axis=1, mode="constant") >= _UNBROKEN
    lines = (ndimage.maximum_filter1d(lines, length, axis=1) > 0) & (near > 0)
    labels, number = ndimage.label(lines, np.ones((3, 3)))
    if not number:
        return contrast
    every, halo = np.arange(1, number + 1), _grown(lines, _HALO)
    above, below = _beside(contrast, halo)
    ground = [ndimage.median(side, labels, every) for side in _beside(gray, _grown(lines, thickest))]
    widths = [columns.stop - columns.start for _, columns in ndimage.find_objects(labels)]
    # The darkness of a rule is that of its middle, at most places where no letters stand on it.
    middle = ndimage.maximum_filter(np.where(lines, contrast, 0), (2 * thickest + 1, 1))
    dark = ndimage.median(middle, np.where(np.maximum(above, below) < floor, labels, 0), every)
    level = np.concatenate([[0], dark])[labels]
    # A line of small letters is as thin as a rule, but lighter between letters.
    even = ndimage.mean(middle >= _EVEN * level, labels, every) >= _UNBROKEN
    bare = lambda side: ndimage.mean(side < floor, labels, every) >= _BARE
    # Under the feet of a long line of letters a rule is bare on one side only. What is as dark as letters may be these feet.
    fainter = dark < _FAINT_RULE * np.percentile(contrast[contrast >= min(floor, contrast.max())], 90)
    chosen = (
        even
        & (np.bincount(labels.ravel())[1:] / widths <= thickest + 2)
        & (bare(np.maximum(above, below)) | fainter & (bare(above) | bare(below)))
        & (np.abs(ground[0] - ground[1]) <= _SAME_PAPER)
    )
    if not chosen.any():
        return contrast
    rules = np.isin(labels, every[chosen])
    level = ndimage.maximum_filter(np.where(rules, level, 0), (2 * _HALO + 1, 1))
    alone = _grown(rules, _HALO) & (contrast <= np.maximum(_DARKER * level, floor))
    return np.where(alone, np.minimum(np.minimum(above, below), contrast), contrast)


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
