"""Edit distances against their definition."""

import functools

import hypothesis
import pytest
from hypothesis import strategies as st

from jaxnets.analysis.ocr.error_rate import ErrorRate, character_errors, distance

letters = st.text("ABC ", max_size=7)


@hypothesis.given(letters, letters)
def test_distance_is_levenshteins(a, b):
    @functools.cache
    def recursive(i, j):
        if not i or not j:
            return i + j
        return min(recursive(i - 1, j) + 1, recursive(i, j - 1) + 1, recursive(i - 1, j - 1) + (a[i - 1] != b[j - 1]))

    assert distance(a, b) == recursive(len(a), len(b)) == distance(b, a)


@pytest.mark.parametrize(
    ("read", "truth", "without", "within"),
    [
        ("AB CD\nEF", "ab cd\nef\n", (0, 6), (0, 8)),
        ("ABCD\nEF", "AB  CD\n\n EF", (0, 6), (1, 8)),
        ("AB CD EF", "AB CD\nEF", (0, 6), (1, 8)),
        ("", "AB C", (3, 3), (4, 4)),
        ("AB", "", (2, 0), (2, 0)),
        ("", "", (0, 0), (0, 0)),
    ],
)
def test_spaces_and_line_breaks(read, truth, without, within):
    assert character_errors(read, truth, spaces=False) == without
    assert character_errors(read, truth, spaces=True) == within


def test_the_rate_that_the_report_gives_for_its_own_reading():
    read, truth = "DEEF LEARMING DEFPER LEARNING DE8PEST LEARNING", "DEEP LEARNING DEEPER LEARNING DEEPEST LEARNING"
    assert str(character_errors(read, truth, spaces=False)) == "4 of 41 (9.8 %)"
    assert ErrorRate(1, 0).rate == 1
