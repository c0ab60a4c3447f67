"""Binarization: from an image file to a mask of ink, turned so that lines are horizontal."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from scipy import ndimage

from jaxnets.analysis.ocr.rules import without_rules
from jaxnets.data.image_io import on_white
from jaxnets.errors import UserError, extra, first_line

with extra("ocr"):
    from skimage import filters, measure, transform

Array = np.ndarray

_WORKING = (1200, 2000)
"""Pages are scaled so that their longer side lies in this range, in pixels."""
_FAINTEST = 0.08
"""Contrast of the faintest ink, as a fraction of the paper's brightness."""
_NOISE = 6.0
"""Minimum contrast of ink, in standard deviations of the paper's noise."""
_WIDE = 1.42
"""A piece that is wider than this, in its own heights, may be letters that blur joins."""
_OUTLINE, _STROKE = 0.5, 4
"""Of these the outline is where contrast is this fraction of the largest within so many pixels."""
_EDGE = 0.2
"""What touches the border and is longer than this fraction of the page's longer side is not a letter."""
_MARGIN = 0.05
"""Width of the margins, where the edge of the sheet or its shadow may be, as a fraction of the page's sides."""
_TILT = 12.0
"""Largest tilt of lines that is detected, in degrees."""
_DOTS = 20_000
"""Maximum number of pixels of ink from which the tilt is estimated."""
_ROWS = 4
"""Rows of pixels that are counted together to estimate the tilt."""


class Page(NamedTuple):
    """A page, scaled and turned so that lines are horizontal."""

    picture: Array
    """uint8 [H, W, 3], as scanned."""
    ink: Array
    """bool [H, W]."""
    tilt: float
    """Degrees by which lines fell towards the right before the page was turned."""
    sheets: int = 1
    """Of the file."""
    at_edge: float = 0.0
    """Fraction of the ink, outside the margins, that was left out because it hangs together with the border."""


def open_page(path: Path, sheet: int = 1) -> Page:
    """Reads an image file of any mode and size; of a file with several sheets the one with this number, from 1.

    Raises UserError if it is not a readable image.
    """
    picture, sheets = _read(path, sheet)
    picture = _to_working_size(picture)
    gray = np.asarray(picture.convert("L"), np.float32) / 255
    contrast = ink_contrast(gray)
    floor = _floor(contrast)
    ruled = without_rules(gray, contrast, floor, find_tilt(contrast > floor))
    contrast = without_edges(ruled)
    low, high = ink_levels(contrast)
    tilt = find_tilt(filters.apply_hysteresis_threshold(contrast, low, high))
    turned = transform.rotate(contrast, tilt, resize=True, order=1, cval=0)
    colors = transform.rotate(np.asarray(picture, np.float32) / 255, tilt, resize=True, order=1, cval=1)
    ink = filters.apply_hysteresis_threshold(turned, low, high)
    ink = without_blur(ink, turned)
    inside = tuple(slice(round(_MARGIN * side), side - round(_MARGIN * side)) for side in ruled.shape)
    dark = int((ruled[inside] > low).sum())
    at_edge = 1 - int((contrast[inside] > low).sum()) / dark if dark else 0.0
    return Page(np.round(255 * colors).astype(np.uint8), ink, tilt, sheets, at_edge)


def _read(path: Path, sheet: int) -> tuple[Image.Image, int]:
    """(a sheet of the file as an RGB image, number of sheets); transparent pixels get a ground unlike the others."""
    try:
        with Image.open(path) as image:
            sheets = getattr(image, "n_frames", 1)
            if not 1 <= sheet <= sheets:
                raise UserError(f"{path}: there is no sheet {sheet}; the file has {sheets}")
            image.seek(sheet - 1)
            upright = ImageOps.exif_transpose(image)
            if upright.mode.startswith(("I", "F")):  # Of 16 and 32 bits per pixel, which Pillow clips instead of scaling.
                values = np.asarray(upright, np.float32)
                scale = 255 / max(1.0, float(values.max()))
                return Image.fromarray((scale * values).clip(0, 255).astype(np.uint8)).convert("RGB"), sheets
            return _on_ground(upright), sheets
    except UserError:
        raise
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except UnidentifiedImageError:
        raise UserError(f"{path} is not an image that can be read: use JPEG, PNG, TIFF or the like") from None
    except Exception as error:  # Pillow's readers of formats pass on any error.
        raise UserError(f"{path} cannot be read as an image: {first_line(error)}") from None


def _on_ground(picture: Image.Image) -> Image.Image:
    """The picture in RGB. What is transparent is white paper, but black where little and light ink is all that is not."""
    if picture.has_transparency_data:
        layer = picture.convert("RGBA")
        seen = np.asarray(layer.getchannel("A")) / 255
        lightness = float((seen * np.asarray(layer.convert("L"))).sum() / max(seen.sum(), 1))
        if seen.mean() < 0.5 and lightness > 127:
            return Image.alpha_composite(Image.new("RGBA", layer.size, "black"), layer).convert("RGB")
    return on_white(picture)


def _to_working_size(image: Image.Image) -> Image.Image:
    longer = max(image.size)
    scale = np.clip(longer, *_WORKING) / longer
    if scale == 1:
        return image
    return image.resize([max(1, round(scale * side)) for side in image.size], Image.Resampling.LANCZOS)


def ink_contrast(gray: Array) -> Array:
    """How much darker each pixel is than the paper around it, as a fraction of the paper's brightness, smoothed.

    The paper's brightness is the median of a neighborhood that is wider than strokes, so it may vary over the page. Ink that
    is lighter than the paper is recognized by the sign of the largest deviations; contrast is then that of the negative.

    Args:
        gray: [H, W] in 0..1.

    Returns:
        float32 [H, W]: about 0 on paper, towards 1 on ink.
    """
    coarse = max(1, round(max(gray.shape) / 160))
    first = [min(coarse, side) // 2 for side in gray.shape]
    smooth = ndimage.uniform_filter(gray, coarse)[first[0] :: coarse, first[1] :: coarse]
    paper = ndimage.median_filter(smooth, size=max(3, max(smooth.shape) // 10), mode="nearest")
    paper = transform.resize(paper, gray.shape, order=1, mode="edge")
    smooth = ndimage.gaussian_filter(gray, 1)
    deviation = smooth - paper
    if (deviation**3).mean() > 0:
        return (deviation / np.maximum(1 - paper, 0.05)).astype(np.float32)
    return (-deviation / np.maximum(paper, 0.05)).astype(np.float32)


def without_edges(contrast: Array) -> Array:
    """Removes long objects at the border: the sheet's edge, a shadow, the corners left by rotating an image."""
    labels = measure.label(contrast > _floor(contrast), connectivity=2)
    at_border = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
    regions = ndimage.find_objects(labels)
    long = [
        label
        for label in at_border[at_border > 0]
        if max(side.stop - side.start for side in regions[label - 1]) > _EDGE * max(contrast.shape)
    ]
    # If there is nothing else on the page, these are not edges.
    return np.where(np.isin(labels, long), 0, contrast) if len(long) < len(regions) else contrast


def ink_levels(contrast: Array) -> tuple[float, float]:
    """(low, high) thresholds for hysteresis: ink is above `low` and connected to something above `high`."""
    floor = _floor(contrast)
    dark = contrast[contrast > floor]
    # Above the noise, Otsu's threshold separates strokes from their edges and from print that shows through.
    high = float(filters.threshold_otsu(dark)) if dark.size and np.ptp(dark) > 0 else floor
    return max(floor, 0.5 * high), high


def without_blur(ink: Array, contrast: Array) -> Array:
    """The ink, bool [H, W], without what blur put between letters: wide pieces end where contrast is half of that nearby."""
    labels = measure.label(ink, connectivity=2)
    boxes = ndimage.find_objects(labels)
    wide = [False, *(columns.stop - columns.start > _WIDE * (rows.stop - rows.start) for rows, columns in boxes)]
    inner = contrast > _OUTLINE * ndimage.maximum_filter(contrast, 2 * _STROKE + 1)
    return ink & (inner | ~np.array(wide)[labels])


def _floor(contrast: Array) -> float:
    """The smallest contrast that stands out from the paper's noise."""
    noise = 1.4826 * float(np.median(np.abs(contrast - np.median(contrast))))
    return max(_FAINTEST, _NOISE * noise)


def find_tilt(ink: Array) -> float:
    """Degrees by which lines fall towards the right.

    At the right angle rows of pixels are full on lines and empty between them, which maximizes the sum of squared counts.
    """
    rows, columns = (at.astype(float) for at in np.nonzero(ink))
    if not rows.size:
        return 0.0
    sample = slice(None, None, -(-rows.size // _DOTS))
    rows, columns = rows[sample] - ink.shape[0] / 2, columns[sample] - ink.shape[1] / 2

    def sharpness(degrees: float) -> float:
        angle = np.deg2rad(degrees)
        heights = rows * np.cos(angle) - columns * np.sin(angle)
        bins = np.round((heights - heights.min()) / _ROWS).astype(int)
        return float((np.bincount(bins).astype(float) ** 2).sum())

    best = 0.0
    for span, step in ((_TILT, 1.0), (1.0, 0.25)):
        best = max((best + offset for offset in np.arange(-span, span + step / 2, step)), key=sharpness)
    return best
