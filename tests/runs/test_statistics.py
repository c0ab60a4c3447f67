"""Intervals and tests against SciPy, closed forms, and what they promise of repeated draws."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from jaxnets.runs.statistics import (
    difference_interval,
    mean_interval,
    mean_std,
    p_above,
    p_below,
    p_different,
    p_equivalent,
    prediction_interval,
    probability_better,
    spread,
)

RNG = np.random.default_rng(5)
OURS, OTHERS = RNG.normal(1.0, 2.0, 6), RNG.normal(0.0, 1.0, 6)


def test_the_interval_of_the_mean_is_student_s():
    expected = stats.t.interval(0.95, 5, OURS.mean(), stats.sem(OURS))
    np.testing.assert_allclose(mean_interval(OURS), expected)


def test_the_prediction_interval_in_closed_form():
    """Of -1, 0 and 1, whose standard deviation is 1: t(0.975, 2) = 4.3027 times √(4/3)."""
    np.testing.assert_allclose(prediction_interval([-1, 0, 1]), [-4.9683, 4.9683], rtol=1e-4)


def test_the_interval_of_a_difference_is_welch_s():
    expected = stats.ttest_ind(OURS, OTHERS, equal_var=False).confidence_interval()
    np.testing.assert_allclose(difference_interval(OURS, OTHERS), expected)
    expected = stats.ttest_rel(OURS, OTHERS).confidence_interval()
    np.testing.assert_allclose(difference_interval(OURS, OTHERS, paired=True), expected)
    assert difference_interval([1.0], [2.0, 3.0]) == (-math.inf, math.inf)


@pytest.mark.parametrize("n", [2, 3, 8])
def test_intervals_cover_as_often_as_they_say(n):
    """The mean by one, a further draw by the other: 20,000 samples, so that three standard errors are 0.005."""
    draws = np.random.default_rng(n).normal(3.0, 2.0, (20_000, n + 1))
    of_mean = np.mean([3.0 in mean_interval(values[:n]) for values in draws])
    of_draw = np.mean([float(values[n]) in prediction_interval(values[:n]) for values in draws])
    np.testing.assert_allclose([of_mean, of_draw], 0.95, atol=0.005)


@pytest.mark.parametrize("interval", [mean_interval, prediction_interval])
@pytest.mark.parametrize("values", [[], [0.5]])
def test_one_value_bounds_nothing(interval, values):
    assert interval(values) == (-math.inf, math.inf)


@pytest.mark.parametrize("margin", [0.0, 1.5])
def test_p_values_are_those_of_scipy(margin):
    shifted = OURS - margin
    exact = stats.permutation_test(
        (shifted, OTHERS), lambda x, y: np.mean(x) - np.mean(y), alternative="greater", n_resamples=np.inf
    )
    flipped = stats.permutation_test(
        (shifted, OTHERS), lambda x, y: np.mean(x - y), permutation_type="samples", alternative="greater", n_resamples=np.inf
    )
    expected = {
        "welch": stats.ttest_ind(shifted, OTHERS, equal_var=False, alternative="greater").pvalue,
        "paired": stats.ttest_rel(shifted, OTHERS, alternative="greater").pvalue,
        "permutation": exact.pvalue,
        "sign_flip": flipped.pvalue,
    }
    for test, p in expected.items():
        np.testing.assert_allclose(p_above(test, OURS, OTHERS, margin), p, rtol=1e-9, err_msg=test)
    np.testing.assert_allclose(
        p_above("welch", OURS, [], margin), stats.ttest_1samp(OURS, margin, alternative="greater").pvalue
    )


@pytest.mark.parametrize("test", ["welch", "paired", "permutation", "sign_flip"])
def test_below_is_above_seen_from_the_other_side(test):
    np.testing.assert_allclose(p_below(test, OURS, OTHERS, 0.5), p_above(test, OTHERS, OURS, -0.5))


@pytest.mark.parametrize("test", ["welch", "paired", "permutation", "sign_flip"])
def test_p_values_below_a_level_are_as_rare_as_the_level(test):
    """Under the hypothesis; exact tests may be rarer, since their p-values come in steps."""
    draws = np.random.default_rng(2).normal(0, 1, (4000, 2, 6))
    rate = np.mean([p_above(test, ours, others) <= 0.05 for ours, others in draws])
    assert 0.037 < rate < 0.061


def test_three_against_three_regroupings_cannot_reach_a_fiftieth():
    assert p_above("permutation", [7, 8, 9], [1, 2, 3]) == pytest.approx(1 / math.comb(6, 3))


def test_more_arrangements_than_can_be_enumerated_are_drawn():
    ours, others = np.arange(16.0), np.arange(16.0) + 3
    np.testing.assert_allclose(
        p_above("permutation", ours, others), stats.ttest_ind(ours, others, alternative="greater").pvalue, atol=0.01
    )
    differences = np.random.default_rng(0).normal(0.3, 1.0, 20)
    np.testing.assert_allclose(
        p_above("sign_flip", differences, []), stats.ttest_1samp(differences, 0, alternative="greater").pvalue, atol=0.01
    )


@pytest.mark.parametrize(
    ("test", "ours", "others"),
    [("welch", [1.0], [2.0, 3.0]), ("welch", [2.0, 3.0], [1.0]), ("paired", [9.0], [1.0]), ("permutation", [], [1.0])],
)
def test_too_few_values_are_no_evidence(test, ours, others):
    assert p_above(test, ours, others) == 1.0


@pytest.mark.parametrize("others", [[9, 9, 9], [10, 10, 10], []])
def test_values_without_spread_show_nothing(others):
    """Two seeds with equal integers do not decide a claim. Ten times 0.1 is not quite 1."""
    for ours in ([10, 10], [10.1] * 10):
        assert p_above("welch", ours, others) == 1.0
        assert difference_interval(ours, others) == (-math.inf, math.inf)
        assert prediction_interval(ours) == (-math.inf, math.inf)
    assert p_above("paired", [10, 10, 10], [9, 9, 9]) == 1.0
    assert p_above("welch", [10, 10, 10], [9, 9, 8]) < 0.05


def test_unequal_numbers_cannot_be_paired():
    with pytest.raises(ValueError, match="3 values cannot be paired with 2"):
        p_above("paired", [1, 2, 3], [1, 2])


def test_the_probability_of_the_better_is_that_of_all_pairs():
    pairs = [(a > b) + (a == b) / 2 for a, b in itertools.product([1, 2, 2, 5], [2, 3, 0])]
    assert probability_better([1, 2, 2, 5], [2, 3, 0]) == pytest.approx(np.mean(pairs))
    u = stats.mannwhitneyu(OURS, OTHERS).statistic
    assert probability_better(OURS, OTHERS) == pytest.approx(u / 36)


def test_the_spread_of_drawn_test_sets_is_binomial():
    """A net of fixed skill on test sets of 1000 drawn anew: nothing is left for the rest."""
    parts = spread(np.random.default_rng(1).binomial(1000, 0.6, 4000) / 1000, 1000)
    assert parts.binomial == pytest.approx(math.sqrt(0.6 * 0.4 / 1000), rel=0.01)
    assert parts.total == pytest.approx(parts.binomial, rel=0.05)
    assert parts.rest < 0.3 * parts.binomial


def test_the_spread_adds_up_in_squares():
    parts = spread([0.5, 0.6, 0.7], 10_000)
    assert math.hypot(parts.binomial, parts.rest) == pytest.approx(parts.total) == pytest.approx(0.1)


def test_seeds_without_a_result_do_not_count():
    assert mean_std([1.0, math.nan, 3.0])["n"] == 2


def test_welch_s_two_sided_test_is_scipy_s():
    assert p_different(OURS, OTHERS) == pytest.approx(stats.ttest_ind(OURS, OTHERS, equal_var=False).pvalue)
    assert p_different(OTHERS, OURS) == pytest.approx(p_different(OURS, OTHERS))
    assert p_different([1.0, 2.0], [1.0, 2.0]) == 1
    assert p_different([1.0], [5.0, 6.0]) == 1


@pytest.mark.parametrize("margin", [0.5, 3.0])
def test_equivalence_is_two_one_sided_tests(margin):
    """Each is SciPy's test of shifted values. At 5 % they agree with the 90 % interval of the difference."""
    low = stats.ttest_ind(OURS + margin, OTHERS, equal_var=False, alternative="greater").pvalue
    high = stats.ttest_ind(OURS - margin, OTHERS, equal_var=False, alternative="less").pvalue
    assert p_equivalent(OURS, OTHERS, margin) == pytest.approx(max(low, high))
    interval = difference_interval(OURS, OTHERS, level=0.9)
    inside = -margin < interval.low and interval.high < margin
    assert inside == (p_equivalent(OURS, OTHERS, margin) < 0.05)


def test_means_that_are_a_margin_apart_are_rarely_called_equivalent():
    """In 5 % of 10,000 samples at the margin, within three standard errors; one value shows nothing."""
    rng = np.random.default_rng(3)
    called = [p_equivalent(rng.normal(1, 0.3, 8), rng.normal(0, 0.2, 8), 1.0) < 0.05 for _ in range(10_000)]
    assert np.mean(called) == pytest.approx(0.05, abs=0.0066)
    assert p_equivalent([0.0], [0.0, 0.1], 1.0) == 1
