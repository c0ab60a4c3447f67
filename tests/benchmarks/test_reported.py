"""Reported training times against ours."""

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
    short = reported.compare(PLAIN, run())
    assert short.reported == 3181.56
    assert short.ours == pytest.approx((400 * 200 / 50 + 10) / 4)
    assert short.extrapolated
    assert short.stated
    full = reported.compare(PLAIN, run(epochs=200))
    assert full.ours == pytest.approx(410 / 4)
    assert not full.extrapolated


def test_extrapolated_figures_and_epochs_of_ours_are_marked():
    unstated = dataclasses.replace(PLAIN, reported={"gpu_seconds": 100.0}, epochs=50)
    text = reported.table([reported.compare(PLAIN, run()), reported.compare(unstated, run())])
    lines = [line for line in text.splitlines() if line.startswith("| cifar10")]
    assert "| 200 |" in lines[0]
    assert lines[0].count("≈") == 2
    assert "| 50* |" in lines[1]
    assert "≈" not in lines[1]


def test_the_longest_run_of_an_experiment_and_hardware_counts():
    runs = [run(), run(epochs=100), run(epochs=5), run(hardware="another"), run(synthetic=True, epochs=200), run(id="mine")]
    runs.append(run(epochs=300, config={"steps": 300}))  # Cut to some steps: no whole epochs.
    compared, missing = reported.comparisons([PLAIN, registry.all_experiments()["cifar10/lenet/bn"]], runs)
    assert [(c.measured, c.hardware) for c in compared] == [(100, "a chip"), (50, "another")]
    assert missing == ["cifar10/lenet/bn"]


def test_every_reported_time_is_either_compared_or_missing():
    """Experiments without a reported time are neither, whether they were run or not."""
    experiments = registry.all_experiments()
    timed = [e.id for e in experiments.values() if "gpu_seconds" in e.reported]
    untimed = [id_ for id_ in experiments if id_ not in timed]
    runs = [run(id=id_) for id_ in (*timed[::3], *untimed[::3])]
    compared, missing = reported.comparisons(experiments.values(), runs)
    assert [c.id for c in compared] == timed[::3]
    assert missing == [id_ for id_ in timed if id_ not in timed[::3]]
    assert all(c.reported == experiments[c.id].reported["gpu_seconds"] for c in compared)


def test_files_are_read_and_others_refused(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(run()) + "\n" + json.dumps({"kind": "benchmark"}) + "\n")
    assert [row["id"] for row in reported.read([path])] == [PLAIN.id]
    path.write_text("{")
    with pytest.raises(UserError, match="not a file of results"):
        reported.read([path])
    with pytest.raises(UserError, match="not a file of results"):
        reported.read([tmp_path / "none.jsonl"])
