"""Rules go, letters on them stay."""

import numpy as np
import pytest
from PIL import Image

from jaxnets.analysis.ocr.binarize import open_page
from jaxnets.analysis.ocr.rules import without_rules
from jaxnets.analysis.ocr.segment import find_lines

TEXT = "HELLO WORLD\nTRAIN 2048 STEPS\nNEW MODEL"
COUNTS = [[5, 5], [5, 4, 5], [3, 5]]


def rule(page, dark, every, first, width=2, columns=False):
    """Draws rules that are darker than the paper, 235, by the fraction `dark`."""
    pixels = np.asarray(page).copy()
    turned = pixels.T if columns else pixels
    for at in range(first, len(turned), every):
        turned[at : at + width] = np.minimum(turned[at : at + width], 235 * (1 - dark))
    return Image.fromarray(pixels)


@pytest.mark.parametrize(
    ("ink", "dark", "every", "first", "tilt"),
    [
        (130, 0.2, 60, 30, 0),  # Pencil on notebook paper.
        (130, 0.2, 119, 88, -2),  # Under the feet.
        (30, 0.6, 60, 30, 3),
        (30, 0.87, 119, 60, 0),  # As dark as the letters that it crosses.
    ],
)
def test_letters_on_ruled_paper(draw, tmp_path, ink, dark, every, first, tilt):
    page = rule(draw(TEXT, ink=ink), dark, every, first)
    page = rule(page, 0.5, 2000, 60, 3, columns=True)  # A margin line.
    page.rotate(-tilt, Image.Resampling.BICUBIC, expand=True, fillcolor=235).save(tmp_path / "page.png")
    found = open_page(tmp_path / "page.png")
    assert found.tilt == pytest.approx(tilt, abs=0.3)
    assert [[len(word) for word in line] for line in find_lines(found.ink)] == COUNTS


def test_letters_on_squared_paper(draw, tmp_path):
    rule(rule(draw(TEXT), 0.25, 40, 10), 0.25, 40, 10, columns=True).save(tmp_path / "page.png")
    assert [[len(word) for word in line] for line in find_lines(open_page(tmp_path / "page.png").ink)] == COUNTS


def test_what_is_left_of_letters_is_nearly_all(draw):
    plain = 1 - np.asarray(draw(TEXT), np.float32) / 235
    ruled = 1 - np.asarray(rule(draw(TEXT), 0.4, 60, 30), np.float32) / 235
    kept = without_rules(1 - ruled, ruled, 0.08, 0.0)
    assert np.abs(ruled - plain).sum() > 5 * np.abs(kept - plain).sum()
    assert (kept > 0.5).sum() == pytest.approx((plain > 0.5).sum(), rel=0.02)


def test_pages_without_rules_stay_as_they_are(draw):
    contrast = 1 - np.asarray(draw(TEXT), np.float32) / 235
    contrast[:60, :] = 0.8  # The shadow of a book's edge is no rule.
    assert without_rules(1 - contrast, contrast, 0.08, 0.0) is contrast
