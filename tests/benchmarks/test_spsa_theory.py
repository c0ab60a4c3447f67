"""What Spall's papers state of SPSA, within what few seeds and steps can show."""

import numpy as np
import pytest

from benchmarks import spsa_theory


@pytest.mark.parametrize("statement", spsa_theory.STATEMENTS, ids=lambda statement: statement.what)
def test_what_is_stated_is_found(statement):
    values = statement.measure(50, 1000)
    # The mean square of ten components in 50 seeds has a standard error of 6 %; directions add 12 % after 1,000 steps.
    assert np.mean(values) == pytest.approx(statement.stated, rel=0.4 if len(values) > 1 else 1e-4)


def test_the_limit_of_one_parameter(monkeypatch):
    """By the recursion of the mean square itself, v ← (1 - a h / k)² v + a² s² k^(2 γ) / (2 c² k²)."""
    monkeypatch.setattr(spsa_theory, "CURVATURES", np.array([1.5]))
    v, a, c, s = 0.0, spsa_theory.A, spsa_theory.C, spsa_theory.NOISE
    for k in range(1, 100_001):
        v = (1 - a * 1.5 / k) ** 2 * v + (a * s / c / k) ** 2 * k ** (1 / 3) / 2
    assert spsa_theory.limit(1, 1 / 6) == pytest.approx(0.75 * v * 100_000 ** (2 / 3), rel=1e-3)


def test_the_table_has_means_and_errors():
    row = {"what": "a", "source": "b", "stated": 1.0, "values": [1.0, 3.0], "n": 2}
    assert spsa_theory.table([row, {**row, "values": [2.0], "n": 1}]).splitlines()[2:] == [
        "| a | 1.000 | 2.000 ± 1.000 | 2 | b |",
        "| a | 1.000 | 2.000 | 1 | b |",
    ]
