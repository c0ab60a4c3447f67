"""Drawn pages are what their text says, and what becomes of their letters is counted rightly."""

import numpy as np
import pytest

from benchmarks import pages, reading
from jaxnets.analysis.ocr.pieces import Box, Letter


@pytest.fixture(scope="module")
def drawn():
    return next(page for page in (pages.draw(7, i) for i in range(0, 99, 12)) if max(page.letters.shape) <= 1240)


def pieces(drawn):
    """The page's lines of words of letters, from its own numbers."""
    number, lines = 0, []
    for line in drawn.text.splitlines():
        lines.append([])
        for word in line.split():
            lines[-1].append([])
            for _ in word:
                number += 1
                rows, columns = np.nonzero(drawn.letters == number)
                box = Box(rows.min(), columns.min(), rows.max() + 1, columns.max() + 1)
                ink = drawn.letters[box.top : box.bottom, box.left : box.right] == number
                lines[-1][-1].append(Letter(box, ink))
    return lines


def test_a_page_is_always_the_same_and_has_every_letter_of_its_text(drawn):
    again = pages.draw(7, next(i for i in range(0, 99, 12) if pages.draw(7, i).settings == drawn.settings))
    np.testing.assert_array_equal(np.asarray(again.picture), np.asarray(drawn.picture))
    letters = sum(character.isalnum() for character in drawn.text)
    assert set(np.unique(drawn.letters)) == set(range(letters + 1))
    assert drawn.picture.size == drawn.letters.shape[::-1]


def test_a_page_that_was_taken_apart_perfectly(drawn):
    found = reading.segmentation(pieces(drawn), drawn.letters, drawn.text)
    assert found.found == found.letters == sum(character.isalnum() for character in drawn.text)
    assert found.spaces == drawn.text.count(" ")
    assert found.lines_kept == found.lines == len(drawn.text.splitlines())
    assert (found.extra, found.spaces_missed, found.spaces_added) == (0, 0, 0)


def test_letters_that_touch_are_counted():
    page = np.zeros((9, 30), int)
    page[2:6, 2:6], page[2:6, 7:12], page[2:6, 15:20], page[6:9, 20:24], page[2:6, 26:28] = 1, 2, 3, 4, 5
    assert reading.touching(page) == 4
    assert reading.touching(np.where(page % 2, page, 0)) == 0


def test_every_fault_is_counted(drawn):
    whole = reading.segmentation(pieces(drawn), drawn.letters, drawn.text)
    lines = pieces(drawn)
    lost = lines[0][0].pop()
    found = reading.segmentation(lines, drawn.letters, drawn.text)
    assert (found.found, found.extra) == (whole.letters - 1, 0)

    rows = round(0.4 * lost.box.height)
    lines[0][0].append(Letter(lost.box._replace(bottom=lost.box.top + rows), lost.ink[:rows]))
    found = reading.segmentation(lines, drawn.letters, drawn.text)
    assert (found.found, found.extra) == (whole.letters - 1, 1)

    lines = pieces(drawn)
    lines[1] = [[letter for word in lines[1] for letter in word]]
    found = reading.segmentation(lines, drawn.letters, drawn.text)
    assert found.spaces_missed == drawn.text.splitlines()[1].count(" ")
    assert found.spaces_added == 0

    lines = pieces(drawn)
    lines[1:3] = [lines[1] + lines[2]]
    found = reading.segmentation(lines, drawn.letters, drawn.text)
    assert (found.found, found.lines_kept) == (whole.letters, whole.lines - 2)

    lines = pieces(drawn)
    long = max(range(len(lines)), key=lambda i: len(lines[i][0]))
    lines[long] = [lines[long][0][:1], lines[long][0][1:], *lines[long][1:]]
    assert reading.segmentation(lines, drawn.letters, drawn.text).spaces_added == 1
    lines[long] = [lines[long][1], lines[long][0], *lines[long][2:]]
    assert reading.segmentation(lines, drawn.letters, drawn.text).lines_kept == whole.lines - 1
