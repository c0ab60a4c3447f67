"""glyphs36: capitals and digits in NIST36's form, drawn from the fonts that come with matplotlib.

A stand-in for NIST36 that needs no download, with as many examples of every class. Each image is a glyph of one of 21
fonts, with thinner or thicker strokes, turned, slanted, stretched, bent, and with a ragged edge. Some pairs, such as O and
0, are as hard to tell apart as they are in handwriting.
"""

import functools
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from jaxnets.data import nist36, store
from jaxnets.data.dataset_builder import DatasetBuilder
from jaxnets.data.letter_form import letter_forms
from jaxnets.data.progress import Report, silent, track
from jaxnets.data.shapes import enlarge
from jaxnets.data.store import Prepared

Array = np.ndarray

_FONTS = (
    *(f"DejaVuSans{style}" for style in ("", "-Bold", "-Oblique", "-BoldOblique")),
    *(f"DejaVuSansMono{style}" for style in ("", "-Bold", "-Oblique", "-BoldOblique")),
    *(f"DejaVuSerif{style}" for style in ("", "-Bold", "-Italic", "-BoldItalic")),
    *(f"STIXGeneral{style}" for style in ("", "Bol", "Italic", "BolIta")),
    *("cmb10", "cmr10", "cmss10", "cmti10", "cmtt10"),
)
_CANVAS, _EM = 72, 48
"""Pixels along a side of the square on which a glyph is drawn, and of the font's size."""
_SIZES = {"train": 7_200, "validation": 1_800, "test": 1_800}


def prepare(manual_dir: Path | None, report: Report = silent) -> Prepared:
    """Draws glyphs36; `manual_dir` is not needed."""
    del manual_dir
    rng = np.random.default_rng(36)
    splits = {split: draw(rng, examples, report) for split, examples in _SIZES.items()}
    return store.images(splits, nist36.CLASS_NAMES)


SETS = (
    DatasetBuilder(
        name="glyphs36",
        description="10,800 capitals and digits of 32×32 pixels, drawn from fonts",
        prepare=prepare,
        sizes=_SIZES,
        contents=nist36.CONTENTS,
    ),
)


def draw(rng: np.random.Generator, examples: int, report: Report = silent) -> dict[str, Array]:
    """{"image": uint8 [examples, 32, 32, 1], "label": int32 [examples]}, classes in equal shares, in random order."""
    labels = rng.permutation(np.arange(examples) % len(nist36.CLASS_NAMES)).astype(np.int32)
    blocks = [labels[start : start + 256] for start in range(0, examples, 256)]
    images = [letter_forms(_ink(rng, block)) for block in track(blocks, "drawing glyphs", report, every=1)]
    return {"image": np.concatenate(images)[..., None], "label": labels}


def _ink(rng: np.random.Generator, labels: Array) -> Array:
    """Ink [n, 72, 72] in [0, 1] of one varied glyph for each label."""
    n = len(labels)
    outlines, pens = _outlines()
    font = rng.integers(len(_FONTS), size=n)
    rows, columns = _bent(rng, _affine(rng, n))
    distance = _sample(outlines[font, labels], rows, columns)
    # Thinner by up to half of the font's stroke, or thicker by up to four pixels on each side.
    pen = rng.uniform(-0.5, 0.0, n) * pens[font, labels] + rng.uniform(0, 4, n) * (rng.uniform(size=n) < 0.7)
    ragged = enlarge(rng.normal(0, rng.uniform(0, 1, (n, 1, 1)), (n, 24, 24))[..., None], _CANVAS)[..., 0]
    return np.clip(0.5 - (distance - pen[:, None, None] + ragged), 0, 1)


@functools.cache
def _outlines() -> tuple[Array, Array]:
    """Signed distance to each glyph's outline, negative inside [fonts, classes, 72, 72], and half its stroke's width
    [fonts, classes], in pixels.
    """
    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    glyphs = [
        [_glyph(ImageFont.truetype(str(folder / f"{name}.ttf"), _EM), letter) for letter in nist36.CLASS_NAMES]
        for name in _FONTS
    ]
    inside = np.array(glyphs) > 127
    each = inside.reshape(-1, _CANVAS, _CANVAS)
    depth = np.stack([ndimage.distance_transform_edt(glyph) for glyph in each])
    distance = np.stack([ndimage.distance_transform_edt(~glyph) for glyph in each]) - depth
    return distance.astype(np.float32).reshape(inside.shape), depth.max((1, 2)).reshape(inside.shape[:2])


def _glyph(font: ImageFont.FreeTypeFont, letter: str) -> Array:
    image = Image.new("L", (_CANVAS, _CANVAS))
    ImageDraw.Draw(image).text((_CANVAS / 2, _CANVAS / 2), letter, fill=255, font=font, anchor="mm")
    return np.asarray(image)


def _affine(rng: np.random.Generator, n: int) -> tuple[Array, Array]:
    """The rows and columns [n, 72, 72] from which each pixel of a turned, slanted and stretched glyph is taken."""
    angle, slant = rng.uniform(-0.2, 0.2, n), rng.uniform(-0.35, 0.35, n)
    x_scale, y_scale = rng.uniform(0.8, 1.25, (2, n))
    y, x = np.mgrid[:_CANVAS, :_CANVAS] - (_CANVAS - 1) / 2
    sin, cos = (f(angle)[:, None, None] for f in (np.sin, np.cos))
    across, down = x * cos + y * sin, y * cos - x * sin
    across = across + slant[:, None, None] * down
    center = (_CANVAS - 1) / 2
    return center + down * y_scale[:, None, None], center + across * x_scale[:, None, None]


def _bent(rng: np.random.Generator, places: tuple[Array, Array]) -> tuple[Array, Array]:
    """Adds a smooth random displacement, drawn on a 5×5 grid with a standard deviation of up to three pixels."""
    n = len(places[0])
    strength = rng.uniform(0, 3, (n, 1, 1))
    rows, columns = (axis + enlarge(rng.normal(0, strength, (n, 5, 5))[..., None], _CANVAS)[..., 0] for axis in places)
    return rows, columns


def _sample(images: Array, rows: Array, columns: Array) -> Array:
    """Bilinear values of images [n, h, w] at rows and columns [n, p, q]; beyond the border the nearest pixel counts."""
    rows, columns = (np.clip(at, 0, _CANVAS - 1.001) for at in (rows, columns))
    top, left = rows.astype(int), columns.astype(int)
    down, right = rows - top, columns - left
    place = (np.arange(len(images))[:, None, None] * _CANVAS + top) * _CANVAS + left
    value = lambda i, j: images.ravel().take(place + (i * _CANVAS + j))
    upper = value(0, 0) * (1 - right) + value(0, 1) * right
    lower = value(1, 0) * (1 - right) + value(1, 1) * right
    return upper * (1 - down) + lower * down
