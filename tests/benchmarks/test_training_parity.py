"""What is missing, what is compared, and the program around it, with made results."""

import json

import numpy as np
import pytest

from benchmarks import training_parity
from benchmarks.harness import OURS
from benchmarks.training_parity import FAMILIES, THEIRS
from jaxnets.errors import UserError


def made(name, side, seeds, accuracy, **changes):
    """A row with this accuracy of the first seed; each further one is a hundredth of a point better."""
    return {
        "kind": "training parity",
        "family": name,
        "side": side,
        "seeds": list(seeds),
        "accuracy": [accuracy + 1e-4 * seed for seed in seeds],
        "train_loss": [[2.0, 1.0 + 1e-3 * seed] for seed in seeds],
        "config": {**training_parity.config_of(FAMILIES[name]), **changes},
    }


def test_the_sides_take_turns_and_what_is_there_is_not_trained_again():
    plan = list(training_parity.missing("lenet", [], 6))
    assert plan == [(OURS, [0, 1, 2, 3]), (THEIRS, [0, 1, 2, 3]), (OURS, [4, 5]), (THEIRS, [4, 5])]
    rows = [made("lenet", OURS, range(4), 0.5), made("lenet", THEIRS, [1], 0.5), made("lenet_bn", THEIRS, [0], 0.5)]
    assert list(training_parity.missing("lenet", rows, 4)) == [(THEIRS, [0, 2, 3])]


def test_rows_of_other_settings_do_not_count():
    rows = [made("lenet", side, range(4), 0.5, examples=7) for side in (OURS, THEIRS)]
    assert len(list(training_parity.missing("lenet", rows, 4))) == 2
    assert training_parity.compare("lenet", rows) is None
    described = [made("lenet", side, range(4), 0.5, summary="another", reported={}) for side in (OURS, THEIRS)]
    assert training_parity.compare("lenet", described) is not None


@pytest.mark.parametrize(("gap", "verdict"), [(0.0, "equivalent"), (0.008, "equivalent"), (0.02, "different")])
def test_the_verdict_is_that_of_the_tests(gap, verdict):
    """Both deviations are a hundredth of a point times 2.45; the margin is one point."""
    rows = [made("lenet", OURS, range(8), 0.5 + gap), made("lenet", THEIRS, range(8), 0.5)]
    found = training_parity.compare("lenet", rows)
    assert found["verdict"] == verdict
    assert found["n"] == [8, 8]
    ours, theirs = (side["mean"] for side in found["measured"])
    assert ours - theirs == pytest.approx(100 * gap)
    assert ours == pytest.approx(100 * (0.5 + gap) + 0.035)
    assert found["train_loss"][0]["mean"] == pytest.approx(1.0035)
    table = training_parity.table([found])
    assert f"| {verdict} |" in table
    assert f"| {ours:.2f} ± 0.02 | {theirs:.2f} ± 0.02 |" in table


def test_a_spread_that_hides_the_difference_leaves_it_undecided():
    rows = [made("lenet", side, range(8), 0.5) for side in (OURS, THEIRS)]
    rows[0]["accuracy"] = list(np.linspace(0.3, 0.7, 8))
    assert training_parity.compare("lenet", rows)["verdict"] == "undecided"


def test_every_family_is_an_experiment_with_a_measure():
    for name, family in FAMILIES.items():
        experiment = training_parity.experiment_of(family)
        assert (experiment.epochs, experiment.select) == (family.epochs, "last"), name
        assert family.measure in training_parity.MARGINS


def test_rows_are_kept_and_a_second_call_trains_nothing(tmp_path, monkeypatch, capsys):
    pytest.importorskip("torch", reason="torch is not installed: without it there is nothing to compare")
    called = []

    def train(side):
        def fake(family, seeds):
            called.append((side, list(seeds)))
            return {"train_loss": [[1.0 + 0.1 * s] for s in seeds], "accuracy": [0.5 + 0.01 * s for s in seeds]}

        return fake

    monkeypatch.setattr(training_parity, "ours", train(OURS))
    monkeypatch.setattr(training_parity, "theirs", train(THEIRS))
    path = tmp_path / "rows.jsonl"
    args = ["lenet", "--seeds", "5", "--json", str(path)]
    assert training_parity.main(args) == 0
    assert called == [(OURS, [0, 1, 2, 3]), (THEIRS, [0, 1, 2, 3]), (OURS, [4]), (THEIRS, [4])]
    assert training_parity.main(args) == 0
    assert len(called) == 4
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [row["n"] for row in rows] == [4, 4, 1, 1]
    assert {"hardware", "versions", "commit", "config", "seconds", "date"} <= set(rows[0])
    assert "| lenet | test accuracy, % | 5 + 5 |" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("args", "message"),
    [(["lenett"], "unknown family 'lenett': choose from lenet_super, "), (["--seeds", "1"], "at least 2")],
)
def test_mistakes_end_in_one_line(args, message):
    with pytest.raises(UserError, match=message):
        training_parity.main(args)
