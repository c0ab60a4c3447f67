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
    groups = [seeds("a", [1, 5]), seeds("b", [4, 6]), seeds("c", [0, 0.5])]
    # b is better than a by mean; one seed of each says otherwise if a has 5 and b has 4.
    assert luck.wrong_pairs(groups) == {("b", "a"): 0.25, ("b", "c"): 0, ("a", "c"): 0}
    assert luck.wrong_rankings(groups) == pytest.approx(0.25, abs=0.005)


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
    assert "| x | y | 16.7 |" in text
    assert (tmp_path / "luck.png").stat().st_size > 5000


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([row("x", [0.5, 0.6]), row("x", [0.5], 1, epochs=6)], "x: runs of .5, 6. epochs"),
        ([row("x", [0.5])], "no experiment with two seeds"),
    ],
)
def test_what_cannot_be_told_is_refused(tmp_path, rows, message):
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    with pytest.raises(UserError, match=message):
        luck.main([str(path)])
