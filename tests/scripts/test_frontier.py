"""The plot of accuracy against parameters and minutes: which rows are on it, and which are best."""

import runpy
from pathlib import Path

import pytest

SCRIPT = runpy.run_path(str(Path(__file__).parent.parent.parent / "scripts" / "frontier.py"))
Point = SCRIPT["Point"]


def row(id_, accuracy, parameters, **changes):
    made = {"kind": "run", "id": id_, "dataset": "cifar10", "parameters": parameters, "seeds": 2}
    measured = {"seconds": {"total": 240.0}, "final": {"test": {"accuracy": {"mean": accuracy, "std": None}}}}
    return {**made, **measured, "config": {"steps": None}, **changes}


def test_each_experiment_has_its_best_complete_run():
    rows = [row("a", 0.5, 10), row("a", 0.75, 10), row("b", 0.625, 5), row("a", 0.9, 10, eval_examples=5)]
    rows += [row("study/x", 0.9, 1), row("c", 0.9, 1, dataset="mnist"), row("d", 0.9, 1, config={"steps": 3})]
    rows.append({"kind": "benchmark"})
    assert SCRIPT["points"](rows) == [Point("a", 75.0, 0, 10, 2.0), Point("b", 62.5, 0, 5, 2.0)]


@pytest.mark.parametrize("field", ["parameters", "minutes"])
def test_the_frontier_leaves_out_what_another_beats_with_less(field):
    sizes = [(1, 50.0), (2, 40.0), (3, 60.0), (3, 55.0), (9, 60.0)]
    found = [Point(str(i), accuracy, 0, size, size) for i, (size, accuracy) in enumerate(sizes)]
    assert [p.id for p in SCRIPT["frontier"](found, field)] == ["0", "2"]


def test_it_is_drawn(tmp_path):
    SCRIPT["draw"](SCRIPT["points"]([row("a", 0.5, 10), row("b", 0.625, 50)]), tmp_path / "f.png")
    assert 1000 < (tmp_path / "f.png").stat().st_size < 100_000
