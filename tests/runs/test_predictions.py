"""Confusion, calibration and ensembles of what several seeds answered."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import logsumexp, softmax

from jaxnets.runs import predictions


@st.composite
def answers(draw):
    """(logits [S, N, C], labels [N])."""
    shape = draw(st.tuples(st.integers(1, 4), st.integers(1, 30), st.integers(2, 5)))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    return rng.normal(0, draw(st.floats(0.1, 20)), shape).astype(np.float32), rng.integers(0, shape[2], shape[1])


@given(answers())
def test_counts_and_the_mean_of_probabilities(case):
    logits, labels = case
    seeds, count, classes = logits.shape
    found = predictions.describe(logits, labels, np.ones(seeds, bool))
    expected = np.zeros((classes, classes))
    for of_seed in logits:
        for label, scores in zip(labels, of_seed, strict=True):
            expected[label, scores.argmax()] += 1
    np.testing.assert_array_equal(found["confusion"], expected)
    share = [np.mean(logits[0].argmax(1)[labels == c] == c) if (labels == c).any() else 0 for c in range(classes)]
    np.testing.assert_allclose(found["accuracy_by_class"][0], share)
    assert ("ensemble" in found) == (seeds > 1)
    if seeds > 1:
        together = found["ensemble"]
        mean = softmax(logits.astype(np.float64), -1).mean(0)
        assert together["seeds"] == seeds
        assert together["accuracy"] == pytest.approx(np.mean(mean.argmax(1) == labels))
        by_log = logsumexp(logits.astype(np.float64) - logsumexp(logits.astype(np.float64), -1, keepdims=True), 0)
        loss = -(by_log - np.log(seeds))[np.arange(count), labels].mean()
        assert together["loss"] == pytest.approx(loss, rel=1e-6, abs=1e-9)


@given(answers())
def test_bins_hold_every_example_once(case):
    logits, labels = case
    probabilities = softmax(logits[0].astype(np.float64), -1)
    bins = predictions.reliability(probabilities, labels)
    examples, right, confidence = bins.sum(0)
    assert examples == len(labels)
    assert right == np.sum(logits[0].argmax(1) == labels)
    assert confidence == pytest.approx(probabilities.max(1).sum())
    edges = np.linspace(0, 1, predictions.BINS + 1)
    for low, high, (n, _, total) in zip(edges, edges[1:], bins, strict=False):
        assert not n or low - 1e-9 <= total / n <= high + 1e-9


def test_the_expected_error_of_nets_that_are_too_sure():
    """Sure of 90 % and right in half of the cases: 40 points; sure of 60 % and right in 60 %: none."""
    sure, honest = np.tile([[0.9, 0.1]], (10, 1)), np.tile([[0.6, 0.4]], (10, 1))
    half, most = np.arange(10) % 2, np.asarray([0] * 6 + [1] * 4)
    error = lambda p, labels: predictions.calibration_error(predictions.reliability(p, labels))
    assert error(sure, half) == pytest.approx(0.4)
    assert error(honest, most) == pytest.approx(0.0, abs=1e-12)
    # Bins count by their examples.
    assert error(np.concatenate([sure, honest]), np.concatenate([half, most])) == pytest.approx(0.2)


def test_failed_seeds_do_not_count():
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(3, 20, 4)), rng.integers(0, 4, 20)
    logits[1] = np.nan
    found = predictions.describe(logits, labels, np.asarray([True, False, True]))
    without = predictions.describe(logits[[0, 2]], labels, np.ones(2, bool))
    for name in ("confusion", "reliability", "ensemble"):
        assert found[name] == without[name]
    assert np.isnan(found["calibration_error"]).tolist() == [False, True, False]
    assert np.isnan(found["accuracy_by_class"]).all(1).tolist() == [False, True, False]
