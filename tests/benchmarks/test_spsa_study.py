"""The variants of the study: the lowest validation loss is taken on, budgets are kept, and rows become tables."""

import json

import pytest

from benchmarks import spsa_study
from benchmarks.spsa_study import Gain
from jaxnets import registry
from jaxnets.config import field_at
from jaxnets.errors import UserError
from jaxnets.runs.folder import RunFolder
from jaxnets.training.signals import Interrupted

TINY = ["--data.source", "synthetic", "--data.shrink", "2", "--checkpoint-every", "0"]


def test_every_variant_is_an_experiment_with_that_gain():
    known = registry.all_experiments()
    for variant, gain in spsa_study.VARIANTS.items():
        assert isinstance(field_at(known[f"study/spsa/{variant}"], gain.field), float)
        assert len(set(gain.values)) == 3


@pytest.mark.slow
def test_budgets_are_kept_and_nothing_is_trained_twice(tmp_path, monkeypatch):
    gains = {"gd": Gain("optim.lr", (0.01, 1e30)), "spsa_1": Gain("optim.spsa.a", (0.01, 1e30))}
    monkeypatch.setattr(spsa_study, "VARIANTS", gains)
    monkeypatch.setattr(spsa_study, "SEEDS", 1)
    rows = list(spsa_study.measure(["spsa_1"], tmp_path, TINY, evaluations=12))
    assert [(r["variant"], r["budget"]) for r in rows] == [
        ("gd", "evaluations"), ("spsa_1", "evaluations"), ("gd", "seconds"), ("spsa_1", "seconds"),
    ]  # fmt: skip
    assert [(r["steps"], r["evaluations"]) for r in rows[:2]] == [(12, 12), (6, 12)]
    assert all(r["value"] == 0.01 and r["n"] == 1 and r["tried"] == (0.01, 1e30) for r in rows)
    assert (rows[2]["steps"], rows[2]["evaluations"]) == (12, 12)
    pace = RunFolder(tmp_path / "seconds" / "pace" / "study" / "spsa" / "spsa_1").summary()
    assert pace["steps"] == 5
    fair = max(1, round(rows[2]["seconds"] / pace["seconds"]["train"] * 5))
    assert (rows[3]["steps"], rows[3]["evaluations"]) == (fair, 2 * fair)
    spsa = RunFolder(tmp_path / "seconds" / "study" / "spsa" / "spsa_1").experiment().optim.spsa
    assert (spsa.a, spsa.big_a) == (0.01, fair // 10)

    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("summary.json")}
    assert list(spsa_study.measure(["spsa_1"], tmp_path, TINY, evaluations=12)) == rows
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("summary.json")}


ROW = {
    "kind": "spsa study", "budget": "evaluations", "variant": "gd", "field": "optim.lr", "tried": [0.01, 0.1], "value": 0.1,
    "train_loss": [1.0, 2.0, None], "validation_accuracy": [0.5, 0.25, None], "n": 3, "batch": 32, "steps": 4000,
    "evaluations": 4000, "seconds": 12.34,
}  # fmt: skip


def test_the_tables():
    first, second = spsa_study.table([ROW, {**ROW, "budget": "seconds", "evaluations": 8000}]).split("\n\n")
    assert first.splitlines()[0].startswith("| equal evaluations | gain")
    assert first.splitlines()[-1] == "| gd | lr 0.1 of 0.01, 0.1 | 2 | 4,000 | 4,000 | 12.3 | 1.500 ± 0.707 | 37.5 ± 17.7 |"
    assert second.splitlines()[0].startswith("| equal seconds | gain")
    assert "8,000" in second


def test_rows_are_written_as_they_come_and_an_interruption_is_passed_on(tmp_path, monkeypatch):
    def measured(variants, folder):
        yield ROW
        raise Interrupted(15, "stopped")

    monkeypatch.setattr(spsa_study, "measure", measured)
    assert spsa_study.main(["--json", str(tmp_path / "rows.jsonl"), "--out", str(tmp_path)]) == 143
    assert json.loads((tmp_path / "rows.jsonl").read_text()) == ROW


def test_an_unknown_variant_is_named():
    with pytest.raises(UserError, match="unknown variant 'nosuch': choose from gd, spsa_1"):
        spsa_study.main(["nosuch"])
