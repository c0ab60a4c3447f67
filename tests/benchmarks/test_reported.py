"""Reported seconds beside ours."""

import dataclasses
import json

import pytest

from benchmarks import reported
from jaxnets import registry
from jaxnets.errors import UserError

PLAIN = registry.all_experiments()["cifar10/lenet/plain"]


def run(**changes):
    base = {
        "kind": "run",
        "id": PLAIN.id,
        "synthetic": False,
        "epochs": 50,
        "seeds": 4,
        "seconds": {"train": 390.0, "compile": 10.0, "total": 410.0},
        "hardware": "a chip",
        "config": {"steps": None},
    }
    return base | changes


def test_seconds_grow_with_epochs_but_compilation_does_not():
    found = reported.compare(PLAIN, run())
    assert found.reported == 3181.56
    assert found.ours == pytest.approx((400 * 200 / 50 + 10) / 4)
    assert found.extrapolated
    assert found.stated
    whole = reported.compare(PLAIN, run(epochs=200))
    assert whole.ours == pytest.approx(410 / 4)
    assert not whole.extrapolated


def test_extrapolated_figures_and_epochs_of_ours_are_marked():
    unsaid = dataclasses.replace(PLAIN, reported={"gpu_seconds": 100.0}, epochs=50)
    text = reported.table([reported.compare(PLAIN, run()), reported.compare(unsaid, run())])
    lines = [line for line in text.splitlines() if line.startswith("| cifar10")]
    assert "| 200 |" in lines[0]
    assert lines[0].count("≈") == 2
    assert "| 50* |" in lines[1]
    assert "≈" not in lines[1]


def test_the_longest_run_of_an_experiment_and_hardware_counts():
    runs = [run(), run(epochs=100), run(epochs=5), run(hardware="another"), run(synthetic=True, epochs=200), run(id="mine")]
    runs.append(run(epochs=300, config={"steps": 300}))  # Cut to some steps: no whole epochs.
    found, missing = reported.comparisons([PLAIN, registry.all_experiments()["cifar10/lenet/bn"]], runs)
    assert [(c.measured, c.hardware) for c in found] == [(100, "a chip"), (50, "another")]
    assert missing == ["cifar10/lenet/bn"]


def test_every_reported_time_is_asked_for():
    """Tables 1 to 5 and 7 of report S4; the table 5 rows are runs of the others."""
    _, missing = reported.comparisons(registry.all_experiments().values(), [])
    assert len([id_ for id_ in missing if id_.startswith("cifar10/lenet")]) == 7
    assert len([id_ for id_ in missing if id_.startswith("tiny_imagenet/lenet")]) == 7
    assert len([id_ for id_ in missing if "resnet34/" in id_ and not id_.startswith("study")]) == 8
    assert len([id_ for id_ in missing if id_.startswith("study/batch_size")]) == 7


def test_files_are_read_and_others_refused(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(run()) + "\n" + json.dumps({"kind": "benchmark"}) + "\n")
    assert [row["id"] for row in reported.read([path])] == [PLAIN.id]
    path.write_text("{")
    with pytest.raises(UserError, match="not a file of results"):
        reported.read([path])
    with pytest.raises(UserError, match="not a file of results"):
        reported.read([tmp_path / "none.jsonl"])
