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


@pytest.mark.parametrize("off", [-0.25, 0.25])
def test_rules_go_though_the_tilt_is_known_roughly_and_noise_interrupts_them(draw, off):
    page = rule(rule(draw("", (1700, 1200)), 0.3, 70, 30), 0.3, 70, 20, columns=True)
    gray = np.asarray(page.rotate(-1.3, Image.Resampling.BICUBIC, fillcolor=235), np.float32) / 255
    contrast = (1 - gray * 255 / 235)[100:-100, 100:-100]
    noisy = contrast + np.random.default_rng(0).normal(0, 0.06, contrast.shape).astype(np.float32)
    kept = without_rules(1 - contrast, noisy, 0.3, 1.3 + off)
    on_rules = contrast > 0.2
    assert noisy[on_rules].mean() > 0.25
    assert kept[on_rules].mean() < 0.05


def test_a_rule_goes_from_under_feet_that_stand_close():
    plain = np.zeros((300, 1700), np.float32)
    plain[100:200, 100:1600] = np.where(np.arange(1500) % 60 < 31, 0.85, 0)
    ruled = plain.copy()
    ruled[200:203] = 0.4
    np.testing.assert_array_equal(without_rules(1 - ruled, ruled, 0.08, 0.0), plain)
    dark = plain.copy()
    dark[197:200, 100:1600] = 0.85  # Serifs that meet are no rule.
    np.testing.assert_array_equal(without_rules(1 - dark, dark, 0.08, 0.0), dark)


def test_what_is_left_of_letters_is_nearly_all(draw):
    plain = 1 - np.asarray(draw(TEXT), np.float32) / 235
    ruled = 1 - np.asarray(rule(draw(TEXT), 0.4, 60, 30), np.float32) / 235
    kept = without_rules(1 - ruled, ruled, 0.08, 0.0)
    assert np.abs(ruled - plain).sum() > 5 * np.abs(kept - plain).sum()
    assert (kept > 0.5).sum() == pytest.approx((plain > 0.5).sum(), rel=0.02)


def test_pages_without_rules_stay_as_they_are(draw):
    contrast = 1 - np.asarray(draw(TEXT), np.float32) / 235
    contrast[:60, :] = 0.8  # The shadow of a book's edge is no rule.
    np.testing.assert_array_equal(without_rules(1 - contrast, contrast, 0.08, 0.0), contrast)
