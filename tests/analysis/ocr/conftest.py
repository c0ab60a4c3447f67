"""Pages drawn by our own code, whose text is known, and a classifier that needs no training."""

import string
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from jaxnets.data.letter_form import letter_form

NAMES = string.ascii_uppercase + string.digits
FONT = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"


def draw_page(text, size=None, letter=70, paper=235, ink=30, tilt=0.0, line=1.7):
    """Text on a gray page, its lines `line` letter sizes apart, turned clockwise by `tilt` degrees.

    Without a size (width, height) there is room for it and some margin.
    """
    lines, font = text.split("\n"), ImageFont.truetype(FONT, letter)
    widest = max(font.getlength(words) + 0.06 * letter * len(words) for words in lines)
    page = Image.new("L", size or (round(widest + 3 * letter), round(letter * (2 + line * len(lines)))), paper)
    pen = ImageDraw.Draw(page)
    for i, words in enumerate(lines):
        x = float(letter)
        for one in words:  # One by one, for kerning makes some touch.
            pen.text((x, letter * (0.5 + line * i)), one, ink, font)
            x += font.getlength(one) + 0.06 * letter
    return page.rotate(-tilt, Image.Resampling.BICUBIC, expand=True, fillcolor=paper)


@pytest.fixture(scope="session")
def draw():
    return draw_page


@pytest.fixture(scope="session")
def names():
    return NAMES


@pytest.fixture(scope="session")
def nearest():
    """Probabilities by the squared distance to each character of the font, drawn on a page of its own."""
    ink = [1 - np.asarray(draw_page(name, (200, 200), 100), np.float32) / 255 for name in NAMES]
    templates = np.stack([letter_form(np.where(page > 0.3, page, 0)) for page in ink]).reshape(len(NAMES), -1) / 255

    def classify(forms):
        assert forms.dtype == np.uint8
        assert forms.shape[1:] == (32, 32, 1)
        distance = ((forms.reshape(len(forms), 1, -1) / 255 - templates) ** 2).sum(-1)
        weights = np.exp(-(distance - distance.min(1, keepdims=True)))
        return weights / weights.sum(1, keepdims=True)

    return classify
