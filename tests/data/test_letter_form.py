"""Letters of any size and pen come to one form."""

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st
from PIL import Image, ImageDraw
from scipy import ndimage

from jaxnets.data.letter_form import LONGER, SIDE, letter_form


def drawn(height, width, pen, lines=((0, 0, 0, 1), (0, 0.5, 1, 0.5), (1, 0, 1, 1))):
    """An H, or other lines in units of the box, on an image with room around it; ink in 0..1."""
    image = Image.new("L", (width + 40, height + 30))
    draw = ImageDraw.Draw(image)
    for x0, y0, x1, y1 in lines:
        draw.line([15 + x0 * width, 10 + y0 * height, 15 + x1 * width, 10 + y1 * height], fill=255, width=pen)
    return np.asarray(image) / 255


def box(form):
    rows, columns = (np.flatnonzero((form < 128).any(axis)) for axis in (1, 0))
    return rows[0], rows[-1] + 1, columns[0], columns[-1] + 1


def stroke(form):
    ink = 1 - form / 255
    return ink[12, : SIDE // 2].sum()


@hypothesis.given(st.integers(20, 400), st.floats(0.3, 1.0), st.floats(0.03, 0.2))
def test_size_place_and_pen_do_not_matter(height, aspect, pen):
    width = max(4, round(aspect * height))
    form = letter_form(drawn(height, width, max(1, round(pen * width))))
    assert form.shape == (SIDE, SIDE)
    assert form.dtype == np.uint8
    top, bottom, left, right = box(form)
    assert max(bottom - top, right - left) == pytest.approx(LONGER, abs=1.51)
    assert top + bottom == pytest.approx(SIDE, abs=1)
    assert left + right == pytest.approx(SIDE, abs=1)


def test_pens_are_evened_out_and_edges_are_soft():
    forms = [letter_form(drawn(200, 120, pen)) for pen in (3, 8, 20, 30)]
    widths = [stroke(form) for form in forms]
    assert all(2 < width < 4 for width in widths)
    assert max(widths) == widths[-1]
    assert all(((form > 20) & (form < 235)).sum() > 20 for form in forms)


def test_faint_and_dark_ink_give_the_same():
    ink = drawn(60, 40, 5)
    np.testing.assert_array_equal(letter_form(ink), letter_form(0.3 * ink))


def test_orientation_is_kept():
    """An L is neither mirrored nor turned: dark along the left and the bottom."""
    form = letter_form(drawn(80, 60, 8, lines=((0, 0, 0, 1), (0, 1, 1, 1)))) < 128
    top, bottom, left, right = box(np.where(form, 0, 255))
    assert form[top:bottom, left : left + 2].all()
    assert form[bottom - 2 : bottom, left:right].all()
    assert not form[top : bottom - 5, left + 5 :].any()


def test_both_parts_of_a_letter_stay():
    form = letter_form(drawn(100, 60, 9, lines=((0, 0, 1, 0), (0, 1, 1, 1))))
    assert ndimage.label(form < 128)[1] == 2


@pytest.mark.parametrize("ink", [np.ones((9, 9)), np.ones((1, 1)), np.ones((50, 3)), np.ones((3, 200)), np.eye(40)])
def test_solid_boxes_and_hairlines(ink):
    """Nothing vanishes, and what is longer stays longer."""
    form = letter_form(ink)
    top, bottom, left, right = box(form)
    assert max(bottom - top, right - left) == pytest.approx(LONGER, abs=1.01)
    assert np.sign(bottom - top - (right - left)) == np.sign(ink.shape[0] - ink.shape[1])


@pytest.mark.parametrize("ink", [np.zeros((20, 20)), np.zeros((0, 0)), np.zeros((5, 0))])
def test_no_ink_is_paper(ink):
    assert (letter_form(ink) == 255).all()


def test_ink_at_the_border_of_the_image_is_no_different():
    ink = drawn(60, 40, 6)
    inside = ink[ndimage.find_objects(ink.astype(bool).astype(int))[0]]
    np.testing.assert_array_equal(letter_form(ink), letter_form(inside))
