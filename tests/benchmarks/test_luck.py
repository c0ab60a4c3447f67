"""What one seed decides, against enumeration."""

import itertools
import json

import numpy as np
import pytest

from benchmarks import luck
from jaxnets.errors import UserError


def seeds(id_, test, validation=None):
    return luck.Seeds(id_, 5, np.array(test if validation is None else validation, float), np.array(test, float), 10_000)


def row(id_, test, seed=0, epochs=5):
    accuracy = {"values": test}
    final = {"validation": {"accuracy": {"values": [x and 1 - x for x in test]}}, "test": {"accuracy": accuracy}}
    details = {"test": {"confusion": [[5 * len(test), 0], [0, 5 * len(test)]]}}
    fields = {"kind": "run", "id": id_, "epochs": epochs, "seeds": len(test)}
    return {**fields, "final": final, "config": {"seed": seed}, "details": details}


@pytest.mark.parametrize("n", [1, 2, 3])
def test_the_best_of_n_is_the_mean_over_all_draws(n):
    picked_by, measured = np.array([3.0, 1.0, 4.0, 1.5]), np.array([10.0, 20.0, 12.0, 15.0])
    draws = itertools.product(range(4), repeat=n)
    expected = np.mean([measured[max(chosen, key=picked_by.__getitem__)] for chosen in draws])
    assert luck.expected_best(picked_by, measured, n) == pytest.approx(expected)


def test_pairs_and_rankings_that_one_seed_gets_wrong():
    """Against draws of NumPy's, for pairs, and against these pairs where only one of them can be wrong."""
    groups = [seeds("a", [1, 5]), seeds("b", [4, 6]), seeds("c", [-90, -91])]
    rng = np.random.default_rng(1)
    a, b = rng.normal(3, 8**0.5, 200_000), rng.normal(5, 2**0.5, 200_000)
    pairs = luck.wrong_pairs(groups)
    assert list(pairs) == [("b", "a"), ("b", "c"), ("a", "c")]
    assert pairs["b", "a"] == pytest.approx(np.mean(a > b), abs=0.005)
    assert pairs["b", "c"] == pytest.approx(0, abs=1e-9)
    assert luck.wrong_rankings(groups) == pytest.approx(pairs["b", "a"], abs=0.005)


def test_runs_from_several_root_seeds_are_put_together(tmp_path, capsys):
    path = tmp_path / "rows.jsonl"
    rows = [row("x", [0.5, 0.6], 0), row("x", [0.7, None], 1), row("x", [0.7], 1), row("y", [0.4, 0.55], 0)]
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    groups = luck.gather(rows)
    assert [(g.id, len(g.test), g.examples) for g in groups] == [("x", 3, 10), ("y", 2, 10)]
    np.testing.assert_allclose(groups[0].test, [50, 60, 70])
    np.testing.assert_allclose(groups[0].validation, [50, 40, 30])
    assert luck.main([str(path), "--out", str(tmp_path / "luck.png")]) == 0
    text = capsys.readouterr().out
    assert "x, 5 epochs, 3 seeds: test 60.00 ± 10.00 %" in text
    # Means of 60 and 47.5, variances of 100 and 112.5: the normal distribution beyond 12.5 / √212.5.
    assert "| x | y | 19.6 |" in text
    assert (tmp_path / "luck.png").stat().st_size > 5000
    others = tmp_path / "others.jsonl"
    others.write_text(
        "".join(json.dumps(r) + "\n" for r in (row("v", [0.2, 0.4], epochs=9), row("w", [0.2, 0.3], epochs=3)))
    )
    assert luck.main([str(path), "--ranked", str(others)]) == 0
    text = capsys.readouterr().out
    assert "x, 5 epochs, 3 seeds" in text
    assert "| v | w |" in text
    assert "| x | y |" not in text


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([row("x", [0.5, 0.6]), row("x", [0.5], 1, epochs=6)], "x: runs of .5, 6. epochs"),
        ([row("x", [0.5])], "no experiment with two seeds"),
        ([row("x", [0.5, 0.6]), row("y", [0.5])], "y: one seed has no deviation"),
    ],
)
def test_what_cannot_be_told_is_refused(tmp_path, rows, message):
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    with pytest.raises(UserError, match=message):
        luck.main([str(path)])
