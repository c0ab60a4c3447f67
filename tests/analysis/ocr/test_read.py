"""Letters become words: what the classifier is given, what is made of its probabilities, and the picture of it."""

import itertools
from pathlib import Path

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from jaxnets.analysis.ocr import read as reader
from jaxnets.analysis.ocr.annotate import annotate
from jaxnets.analysis.ocr.error_rate import character_errors
from jaxnets.analysis.ocr.pieces import Box
from jaxnets.analysis.ocr.read import Character, Reading, correct, read, spell
from jaxnets.runs import load, shipped
from tests.analysis.ocr.conftest import FONT


def probabilities_of(word, names, sure=0.9, **second):
    """`sure` for each character of the word, the rest for that character's rival in `second`, if it has one."""
    rows = np.full((len(word), len(names)), 1e-6)
    for row, letter in zip(rows, word, strict=True):
        row[names.index(letter)] = sure
        if letter in second:
            row[names.index(second[letter])] = 1 - sure
    return rows


def test_pages_are_read(draw, nearest, names):
    text = "FIVE BOXING WIZARDS\nJUMP QUICKLY\n1234 567 890"
    reading = read(np.asarray(draw(text)) < 128, nearest, names)
    assert reading.text == text
    assert [one.name for one in reading.characters()] == [letter for letter in text if letter.strip()]
    assert all(0 <= one.probability <= 1 for one in reading.characters())


@pytest.mark.parametrize("lean", [0, 0.3])
def test_touching_letters_are_cut_where_the_net_is_surest(names, lean):
    """Thick print, slanted, many of whose letters overlap."""
    typeface, page = ImageFont.truetype(FONT, 60), Image.new("L", (1600, 500), 255)
    text = "HEXAGONS BURN\nFOUR DWARFS SAT 2067\nPLAYFUL ZEBRAS"
    for i, line in enumerate(text.splitlines()):
        right = 100
        for letter in line:
            left, _, end, _ = typeface.getbbox(letter)
            ImageDraw.Draw(page).text((right - left, 50 + 130 * i), letter, 0, typeface, stroke_width=2)
            right += end - left - 4 if letter != " " else 30
    leaning = page.transform(page.size, Image.Transform.AFFINE, (1, lean, -lean * 250, 0, 1, 0), fillcolor=255)
    ink = np.asarray(leaning) < 128
    assert ndimage.label(ink, np.ones((3, 3)))[1] < 0.8 * sum(one.isalnum() for one in text)
    reading = read(ink, load.load(Path(shipped.READER)).predictor, names)
    assert character_errors(reading.text, text, False).errors <= 7  # Of 42; cut at their usual width 18 and 20.


def test_an_empty_page_asks_no_classifier(names):
    assert read(np.zeros((40, 40), bool), pytest.fail, names).text == ""


def test_letters_and_figures_seldom_mix(names):
    assert spell(probabilities_of("L0ST", names, **{"0": "O"}), names) == "LOST"
    assert spell(probabilities_of("I984", names, I="1"), names) == "1984"
    assert spell(probabilities_of("O", names, O="0"), names) == "O"
    assert spell(probabilities_of("0", names, **{"0": "O"}), names) == "0"
    # A figure that looks like no letter stays.
    assert spell(probabilities_of("R2D2", names), names) == "R2D2"


@hypothesis.given(st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_the_spelling_is_the_likeliest(length, seed):
    """Among all sequences of a small alphabet."""
    names = "AB12"
    probabilities = np.random.default_rng(seed).dirichlet(np.full(4, 0.3), length)

    def score(word):
        changes = sum(a.isdigit() != b.isdigit() for a, b in itertools.pairwise(word))
        own = sum(np.log(row[names.index(one)] + reader._DOUBT) for one, row in zip(word, probabilities, strict=True))
        return own + changes * np.log(reader._SWITCH)

    best = max(itertools.product(names, repeat=length), key=score)
    assert score(spell(probabilities, names)) == pytest.approx(score(best))


def test_a_net_without_figures():
    assert spell(np.array([[0.2, 0.8], [0.9, 0.1]]), "AB") == "BA"


def test_words_are_corrected_to_the_likeliest_neighbor(names):
    words = {"LEARNING", "LEANING", "BURNING", "CAT", "CAR", "DOG"}
    rows = probabilities_of("LFARMING", names, F="E", M="N")
    assert correct("LFARMING", rows, names, words) == "LEARNING"
    assert correct("XXXXXING", probabilities_of("XXXXXING", names), names, words) == "XXXXXING"
    assert correct("CAF", probabilities_of("CAF", names, F="R"), names, words) == "CAR"
    assert correct("CAF", probabilities_of("CAF", names, F="T"), names, words) == "CAT"
    assert correct("DOG", probabilities_of("DOG", names), names, words) == "DOG"


def test_words_are_corrected_only_on_demand(draw, nearest, names):
    page = np.asarray(draw("KAT")) < 128
    assert read(page, nearest, names).text == "KAT"
    assert read(page, nearest, names, {"CAT", "DOG"}).text == "CAT"


def test_the_picture_shows_boxes_and_letters():
    picture = np.full((300, 800, 3), 200, np.uint8)
    sure, doubtful = Character("A", 0.99, Box(100, 100, 180, 160)), Character("Q", 0.4, Box(100, 400, 180, 460))
    drawn = np.asarray(annotate(picture, Reading([[[sure, doubtful]]]))).astype(int)
    blue = (drawn[..., 2] > drawn[..., 0] + 60)[:-40]
    orange = (drawn[..., 0] > drawn[..., 2] + 60)[:-40]
    assert drawn.shape[0] > 300
    assert blue[:, 80:180].sum() > 200
    assert orange[:, 380:480].sum() > 100
    assert not blue[:, 200:].any()
    assert not orange[:, :300].any()


def test_a_picture_of_an_empty_page():
    assert isinstance(annotate(np.full((50, 60, 3), 255, np.uint8), Reading(())), Image.Image)


def test_the_net_is_asked_once(draw, names, nearest):
    """Of the letters and of their three turns together."""
    asked = []
    page = np.asarray(draw("HELLO\nWORLD", (600, 400), 70)) < 128
    reading = read(page, lambda forms: asked.append(forms) or nearest(forms), names)
    assert reading.text == "HELLO\nWORLD"
    [forms] = asked
    assert forms.shape == (40, 32, 32, 1)
    for k, turned in enumerate(np.split(forms, 4)):
        np.testing.assert_array_equal(turned, np.rot90(forms[:10], k, (1, 2)))
