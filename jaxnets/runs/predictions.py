"""What a classifier's outputs for every example of a split tell: confusion, calibration, and its seeds asked together."""

from typing import Any

import numpy as np
from scipy.special import softmax

Json = dict[str, Any]

BINS = 15
"""Of a reliability diagram, as in Guo et al. (2017)."""


def describe(logits: np.ndarray, labels: np.ndarray, completed: np.ndarray) -> Json:
    """The details of one split.

    Args:
      logits: [S, N, C], of each seed for each example.
      labels: true classes, int [N].
      completed: which seeds did not fail, bool [S].

    Returns:
      confusion: counts [C, C], row = true class, column = predicted class, summed over the seeds that completed.
      accuracy_by_class: shares [S, C]; NaN for seeds that failed.
      reliability: see `reliability`; over all examples and seeds.
      calibration_error: by seed, [S]; NaN for seeds that failed.
      ensemble: only where two seeds and more completed, see `ensemble`.
    """
    probabilities = softmax(logits[completed].astype(np.float64), -1)
    counts = np.zeros((len(logits), *logits.shape[2:] * 2))
    for of_seed, predicted in zip(counts, logits.argmax(-1), strict=True):
        np.add.at(of_seed, (labels, predicted), 1)
    hits, examples = np.diagonal(counts, 0, 1, 2), counts.sum(2)
    bins = np.stack([reliability(of_seed, labels) for of_seed in probabilities])
    errors = np.full(len(logits), np.nan)
    errors[completed] = [calibration_error(of_seed) for of_seed in bins]
    found = {
        "confusion": counts[completed].sum(0).tolist(),
        "accuracy_by_class": np.where(completed[:, None], hits / np.maximum(examples, 1), np.nan).tolist(),
        "reliability": bins.sum(0).tolist(),
        "calibration_error": errors.tolist(),
    }
    return found | ({"ensemble": ensemble(probabilities, labels)} if len(probabilities) > 1 else {})


def ensemble(probabilities: np.ndarray, labels: np.ndarray) -> Json:
    """Several nets as one, by the mean of their probabilities [S, N, C] (a deep ensemble, Lakshminarayanan et al. 2017): its
    accuracy, loss, calibration error and reliability, and how many they are.
    """
    mean = probabilities.mean(0)
    of_label = mean[np.arange(len(labels)), labels]
    bins = reliability(mean, labels)
    return {
        "seeds": len(probabilities),
        "accuracy": float((mean.argmax(-1) == labels).mean()),
        "loss": float(-np.log(np.maximum(of_label, np.finfo(np.float64).tiny)).mean()),
        "calibration_error": calibration_error(bins),
        "reliability": bins.tolist(),
    }


def reliability(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Examples by confidence, the probability of the predicted class, in BINS bins of equal width over [0, 1].

    >>> bins = reliability(np.asarray([[0.9, 0.1], [0.2, 0.8]]), np.asarray([0, 0]))
    >>> [row.tolist() for row in bins if row[0]]
    [[1.0, 0.0, 0.8], [1.0, 1.0, 0.9]]

    Args:
      probabilities: [N, C].
      labels: int [N].

    Returns:
      [BINS, 3]: for each bin the number of examples, of those predicted right, and the sum of their confidences.
    """
    confidence = probabilities.max(-1)
    place = np.minimum((confidence * BINS).astype(int), BINS - 1)
    columns = np.ones(len(labels)), probabilities.argmax(-1) == labels, confidence
    return np.stack([np.bincount(place, column, BINS) for column in columns], -1)


def calibration_error(bins: np.ndarray) -> float:
    """Expected calibration error (Guo et al. 2017): mean |accuracy - confidence| of bins [BINS, 3], weighted by examples."""
    examples, right, confidence = bins.T
    return float(np.abs(right - confidence).sum() / examples.sum())
