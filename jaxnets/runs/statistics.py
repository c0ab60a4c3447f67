"""What a few seeds allow to say: means with intervals, comparisons, and what chance alone explains.

A figure that a report states is one draw. So is a seed of ours; `prediction_interval` is where one further draw falls.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from scipy import special

Json = dict[str, Any]
Values = Sequence[float] | np.ndarray
TestName = Literal["welch", "paired", "permutation", "sign_flip"]

LEVEL = 0.95
"""Of all intervals."""
_ENUMERATED = 200_000
"""Up to this many arrangements are enumerated; of more, this many are drawn."""


def mean_std(values: Sequence[float]) -> Json:
    """{"values", "mean", "std", "n"} over the seeds that came to a finite result; std is the sample's (n - 1).

    >>> mean_std([1.0, 3.0])
    {'values': [1.0, 3.0], 'mean': 2.0, 'std': 1.4142135623730951, 'n': 2}
    """
    finite = [float(v) for v in values if math.isfinite(v)]
    return {
        "values": [float(v) for v in values],
        "mean": float(np.mean(finite)) if finite else math.nan,
        "std": float(np.std(finite, ddof=1)) if len(finite) > 1 else math.nan,
        "n": len(finite),
    }


class Interval(NamedTuple):
    """From `low` to `high`, both included."""

    low: float
    high: float

    def __contains__(self, value: object) -> bool:
        return isinstance(value, int | float) and self.low <= value <= self.high


def mean_interval(values: Values, level: float = LEVEL) -> Interval:
    """Student's confidence interval of the mean; without bounds for fewer than two values, and for equal ones.

    Values that are equal by chance, as few integers often are, have no spread to estimate an error by.
    """
    return _t_interval(values, level, lambda n: math.sqrt(1 / n))


def prediction_interval(values: Values, level: float = LEVEL) -> Interval:
    """Where one further draw of the same normal distribution falls with probability `level`; without bounds as above."""
    return _t_interval(values, level, lambda n: math.sqrt(1 + 1 / n))


def difference_interval(ours: Values, others: Values, paired: bool = False, level: float = LEVEL) -> Interval:
    """Confidence interval of the mean of `ours` minus that of `others`, by Welch; with empty `others` of the mean itself."""
    if paired or not len(others):
        return mean_interval(_differences(np.asarray(ours, float), np.asarray(others, float)), level)
    if min(len(ours), len(others)) < 2:
        return Interval(-math.inf, math.inf)
    error, df = _welch_error([np.asarray(ours, float), np.asarray(others, float)])
    if not error:
        return Interval(-math.inf, math.inf)
    effect, reach = float(np.mean(ours) - np.mean(others)), float(special.stdtrit(df, (1 + level) / 2)) * error
    return Interval(effect - reach, effect + reach)


def _t_interval(values: Values, level: float, factor: Callable[[int], float]) -> Interval:
    n = len(values)
    if n < 2 or not np.ptp(values):
        return Interval(-math.inf, math.inf)
    mean = float(np.mean(values))
    reach = float(special.stdtrit(n - 1, (1 + level) / 2) * np.std(values, ddof=1)) * factor(n)
    return Interval(mean - reach, mean + reach)


def p_above(test: TestName, ours: Values, others: Values, margin: float = 0.0) -> float:
    """The one-sided p-value against "the mean of `ours` is at most `margin` above that of `others`".

    - welch: Student's t with Welch's degrees of freedom; with empty `others`, whose mean is then 0, of one sample.
    - paired: Student's t of the differences; values with the same index share their data order.
    - permutation: all regroupings of the values, exact if they are interchangeable under the hypothesis.
    - sign_flip: all signs of the paired differences, exact if these are symmetric under the hypothesis.

    1 if there are too few values for any evidence, and by Student's t if neither side has any spread.

    >>> round(p_above("permutation", [4.0, 5.0, 6.0], [1.0, 2.0, 3.0]), 2)  # The first of 20 regroupings.
    0.05
    """
    return _TESTS[test](np.asarray(ours, float) - margin, np.asarray(others, float))


def p_below(test: TestName, ours: Values, others: Values, margin: float = 0.0) -> float:
    """The one-sided p-value against "the mean of `ours` is at least `margin` above that of `others`"."""
    return p_above(test, -np.asarray(ours, float), -np.asarray(others, float), -margin)


def p_different(ours: Values, others: Values) -> float:
    """Welch's two-sided p-value against equal means; 1 for fewer than two values on a side, or no spread."""
    return min(1.0, 2 * min(p_above("welch", ours, others), p_below("welch", ours, others)))


def p_equivalent(ours: Values, others: Values, margin: float) -> float:
    """The p-value against "the means differ by `margin` or more": the larger of two one-sided tests by Welch.

    1 for fewer than two values on a side.

    References:
      Schuirmann, D. J. (1987), A comparison of the two one-sided tests procedure and the power approach for assessing the
      equivalence of average bioavailability.
    """
    return max(p_above("welch", ours, others, -margin), p_below("welch", ours, others, margin))


def _welch(ours: np.ndarray, others: np.ndarray) -> float:
    if len(ours) < 2 or len(others) == 1:
        return 1.0
    effect = ours.mean() - (others.mean() if len(others) else 0.0)
    error, df = _welch_error([x for x in (ours, others) if len(x)])
    if not error:
        return 1.0
    return float(special.stdtr(df, -effect / error))


def _welch_error(samples: Sequence[np.ndarray]) -> tuple[float, float]:
    """(standard error, degrees of freedom) of the difference of two means, or of one mean."""
    # Of equal values the mean, and so the variance, may be off by rounding.
    parts = np.array([x.var(ddof=1) / len(x) if np.ptp(x) else 0.0 for x in samples])
    if not parts.sum():
        return 0.0, 1.0
    df = parts.sum() ** 2 / sum(part**2 / (len(x) - 1) for part, x in zip(parts, samples, strict=True))
    return math.sqrt(parts.sum()), float(df)


def _permutation(ours: np.ndarray, others: np.ndarray) -> float:
    pooled, n = np.concatenate([ours, others]), len(ours)
    if not n or n == len(pooled):
        return 1.0
    if math.comb(len(pooled), n) <= _ENUMERATED:
        chosen = np.array(list(itertools.combinations(range(len(pooled)), n)))
    else:
        rng = np.random.default_rng(0)
        drawn = np.argsort(rng.random((_ENUMERATED, len(pooled))), 1)[:, :n]
        chosen = np.concatenate([np.arange(n)[None], drawn])
    return _share_as_large(pooled[chosen].sum(1), ours.sum())


def _sign_flip(ours: np.ndarray, others: np.ndarray) -> float:
    differences = _differences(ours, others)
    n = len(differences)
    if not n:
        return 1.0
    if 2**n <= _ENUMERATED:
        signs = 1 - 2 * (np.arange(2**n)[:, None] >> np.arange(n) & 1)
    else:
        rng = np.random.default_rng(0)
        signs = np.concatenate([np.ones((1, n)), rng.choice([-1, 1], (_ENUMERATED, n))])
    return _share_as_large(signs @ differences, differences.sum())


def _share_as_large(totals: np.ndarray, observed: float) -> float:
    # Sums of the same numbers in another order differ by rounding.
    return float(np.mean(totals >= observed - 1e-9 * (1 + abs(observed))))


def _differences(ours: np.ndarray, others: np.ndarray) -> np.ndarray:
    if len(others) and len(ours) != len(others):
        raise ValueError(f"{len(ours)} values cannot be paired with {len(others)}")
    return ours - others if len(others) else ours


_TESTS: dict[TestName, Callable[[np.ndarray, np.ndarray], float]] = {
    "welch": _welch,
    "paired": lambda ours, others: _welch(_differences(ours, others), np.empty(0)),
    "permutation": _permutation,
    "sign_flip": _sign_flip,
}


def probability_better(ours: Values, others: Values) -> float:
    """How often a value of `ours` exceeds one of `others`, ties counted half: Mann and Whitney's U over its maximum.

    >>> probability_better([2.0, 3.0], [1.0, 2.0])
    0.875
    """
    difference = np.subtract.outer(np.asarray(ours, float), np.asarray(others, float))
    return float(np.mean((difference > 0) + 0.5 * (difference == 0)))


class Spread(NamedTuple):
    """A standard deviation over seeds, and the part that the finite number of examples explains."""

    total: float
    binomial: float
    """Of a share measured on independent examples: √(p (1 - p) / examples)."""
    rest: float
    """√(total² - binomial²); 0 where the binomial part alone is larger."""


def spread(accuracies: Values, examples: int) -> Spread:
    """Splits the spread of accuracies in [0, 1], each measured on `examples` examples."""
    total, mean = float(np.std(accuracies, ddof=1)), float(np.mean(accuracies))
    binomial = math.sqrt(mean * (1 - mean) / examples)
    return Spread(total, binomial, math.sqrt(max(0.0, total**2 - binomial**2)))
