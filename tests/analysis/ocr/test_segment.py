"""Ink becomes letters in reading order, on drawn pages and on the real ones."""

from pathlib import Path

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from jaxnets.analysis.ocr.binarize import open_page
from jaxnets.analysis.ocr.pieces import Box
from jaxnets.analysis.ocr.segment import find_letters, find_lines, typical_height
from tests.analysis.ocr.conftest import FONT

TRUTH = Path(__file__).parent / "truth"
PAGES = ("01_list", "02_letters", "03_haiku", "04_deep")


def counts(lines):
    """Letters in each word of each line."""
    return [[len(word) for word in line] for line in lines]


def truth_counts(text):
    return [[len(word) for word in line.split()] for line in text.splitlines()]


def ink_of(page):
    return np.asarray(page) < 128


def strokes(*lines, size=(600, 300), width=8):
    """Ink of straight lines (x0, y0, x1, y1)."""
    page = Image.new("L", size)
    for line in lines:
        ImageDraw.Draw(page).line(line, fill=255, width=width)
    return np.asarray(page) > 0


H = ((100, 100, 100, 200), (160, 100, 160, 200), (100, 150, 160, 150))


@pytest.fixture(scope="module")
def real_pages(real_data):
    return real_data("nist36_pages") / "nist36"


@pytest.mark.real_data
@pytest.mark.parametrize("name", PAGES)
def test_real_pages_come_apart_into_their_words_and_letters(real_pages, name):
    text = (TRUTH / f"{name}.txt").read_text()
    assert counts(find_lines(open_page(real_pages / f"{name}.jpg").ink)) == truth_counts(text)


words = st.text("ABCDEFGHKLMNOPRSTUVXYZ2345678", min_size=2, max_size=6)


@hypothesis.settings(max_examples=6)
@hypothesis.given(st.lists(st.lists(words, min_size=2, max_size=4), min_size=1, max_size=4))
def test_drawn_words_and_lines(draw, lines):
    text = "\n".join(" ".join(line) for line in lines)
    page = ink_of(draw(text, (2400, 600), 60))
    found = find_lines(page)
    assert counts(found) == truth_counts(text)
    for line in found:
        lefts = [letter.box.left for word in line for letter in word]
        assert lefts == sorted(lefts)
    tops = [line[0][0].box.top for line in found]
    assert tops == sorted(tops)
    # Every bit of ink belongs to one letter.
    covered = np.zeros_like(page)
    for letter in (letter for line in found for word in line for letter in word):
        box, ink = letter
        assert ink.shape == (box.height, box.width)
        part = covered[box.top : box.bottom, box.left : box.right]
        assert not (part & ink).any()
        part |= ink
    assert (covered >= page).all()


def test_wandering_lines(draw):
    """Lines whose ends stand lower than the next line's start."""
    page = ink_of(draw("FIRST LINE OF TEXT GOES\nSECOND LINE OF TEXT\nTHIRD LINE OF TEXT IS", (1600, 700), 70))
    columns = np.arange(page.shape[1])
    rows = np.arange(page.shape[0])[:, None] - np.round(60 * np.sin(columns / 400)).astype(int)
    bent = page[np.clip(rows, 0, len(page) - 1), columns]
    assert counts(find_lines(bent)) == [[5, 4, 2, 4, 4], [6, 4, 2, 4], [5, 4, 2, 4, 2]]


def test_evenly_spaced_letters_are_one_word_however_wide_apart():
    for gap in (30, 90):
        bars = [(50 + i * gap, 100, 50 + i * gap, 160) for i in range(6)]
        assert counts(find_lines(strokes(*bars))) == [[6]]
    assert counts(find_lines(strokes((50, 100, 50, 160), (400, 100, 400, 160)))) == [[1, 1]]


@pytest.mark.parametrize("font", ["DejaVuSans", "DejaVuSerif", "cmr10"])
@pytest.mark.parametrize("size", [40, 56, 81])
def test_spaces_of_print_do_not_depend_on_its_size(font, size):
    for text in ("HELLO WORLD\nTRAIN 2048 STEPS", "MILLION FILL\nILL WILL", "WAVELET 77", "HELLO", "AVAVA TATA\nLYLY"):
        lines = text.split("\n")
        page = Image.new("L", (20 * size, 2 * size * len(lines)), 255)
        for i, line in enumerate(lines):
            typeface = ImageFont.truetype(FONT.with_name(f"{font}.ttf"), size)
            ImageDraw.Draw(page).text((size, 1.7 * size * i), line, 0, typeface)
        assert [len(line) for line in find_lines(ink_of(page))] == [len(line.split()) for line in lines], text


def test_lines_of_two_sizes_have_their_own_spaces(draw):
    small = np.asarray(draw("A SMALL LINE OF TEXT\nAND ANOTHER ONE", (1400, 240), 50))
    page = np.concatenate([np.asarray(draw("BIG TITLE", (1400, 220), 110)), small])
    assert [len(line) for line in find_lines(ink_of(page))] == [2, 5, 3]


def test_specks_full_stops_dashes_and_rules_are_left_out(draw):
    text = "DUST ON THIS\nPAGE"
    ink = ink_of(draw(text, (1400, 400), 70)).copy()
    expected = truth_counts(text)
    assert counts(find_lines(ink)) == expected
    rng = np.random.default_rng(0)
    for row, column in rng.integers(0, (390, 1390), (300, 2)):
        side = rng.integers(1, 5)
        if not ink[max(0, row - 40) : row + 40, max(0, column - 40) : column + 40].any():
            ink[row : row + side, column : column + side] = True
    assert counts(find_lines(ink)) == expected
    ink[380:384] = True
    ink[:, 1390:] = True
    ink[300:308, 600:640] = True
    assert counts(find_lines(ink)) == expected
    assert counts(find_lines(ink_of(draw("1. DUST ON\n2. PAGES", (1000, 400), 70)))) == [[1, 4, 2], [1, 5]]


@pytest.mark.parametrize(
    "parts",
    [
        (H[0], H[1], (109, 150, 151, 150)),  # The bar touches neither post.
        ((100, 100, 100, 140), (100, 154, 100, 200), (100, 104, 150, 104)),  # The post is broken.
        ((100, 100, 160, 100), (130, 118, 130, 200)),  # A T whose top floats.
        ((100, 130, 100, 200), (100, 100, 100, 110)),  # An i with its dot.
        ((100, 100, 160, 100), (100, 150, 160, 150), (100, 200, 160, 200), (100, 112, 100, 142), (100, 158, 100, 192)),
    ],
    ids=["bar", "broken post", "floating top", "dot", "strokes"],
)
def test_broken_letters_are_put_together(parts):
    beside = tuple((x0 + shift, y0, x1 + shift, y1) for shift in (120, 240) for x0, y0, x1, y1 in H)
    letters = find_letters(strokes(*parts, *beside))
    assert len(letters) == 3
    box = min(letter.box for letter in letters if letter.box.left < 130)
    assert (box.top, box.bottom) == pytest.approx((98, 203), abs=8)


@pytest.mark.parametrize("text", ["HEX", "LANE", "THE 2TH4"])
def test_touching_letters_are_cut_apart(text):
    """Drawn so close that neighbors share a pixel or two."""
    typeface, page, right = ImageFont.truetype(FONT, 80), Image.new("L", (1000, 200), 255), 50
    for word in text.split():
        for letter in word:
            left, _, end, _ = typeface.getbbox(letter)
            ImageDraw.Draw(page).text((right - left - 1, 50), letter, 0, typeface)
            right += end - left - 1
        right += 60
    assert counts(find_lines(ink_of(page))) == truth_counts(text)


def test_neighbors_stay_apart():
    """Slanted bars whose boxes overlap, and bars that stand close."""
    assert len(find_letters(strokes((100, 200, 140, 100), (125, 200, 165, 100), (200, 100, 200, 200)))) == 3
    assert len(find_letters(strokes((100, 100, 100, 200), (116, 100, 116, 200)))) == 2


def test_a_letter_has_no_ink_of_its_neighbors():
    letters = find_letters(strokes((100, 200, 140, 100), (125, 200, 165, 100)))
    assert all(ndimage.label(letter.ink, np.ones((3, 3)))[1] == 1 for letter in letters)


def test_typical_height_takes_no_account_of_specks():
    letters = [Box(0, 0, 50, 30)] * 9
    assert typical_height(letters + [Box(0, 0, 3, 3)] * 100) == 50
    assert typical_height([]) == 0


@pytest.mark.parametrize("ink", [np.zeros((50, 60), bool), np.zeros((1, 1), bool), np.eye(9, dtype=bool)])
def test_no_letters(ink):
    assert find_lines(ink) == []


def test_a_page_full_of_ink():
    assert counts(find_lines(np.ones((50, 60), bool))) == [[1]]
