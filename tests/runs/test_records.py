"""Runs as rows of JSON Lines."""

import pytest

from jaxnets import registry
from jaxnets.runs import records
from jaxnets.runs.folder import RunFolder


def test_the_curves_and_first_steps_of_a_row_are_those_of_its_run(tmp_path):
    run = RunFolder(tmp_path)
    devices = {"platform": "cpu", "kind": "cpu", "count": 1, "cores": 2}
    run.open(
        registry.all_experiments()["cifar10/lenet/plain"],
        {"versions": {}, "devices": devices, "processor": "abacus", "commit": None},
    )
    split = lambda e: {"loss": [e + 0.25, None], "accuracy": [0.5, None]}
    steps = [{"step": k, "loss": [2.5 / k, None]} for k in (1, 2)]
    epochs = [{"epoch": e, "train": {**split(e), "gradient_norm": [1.0, None]}, "validation": split(e)} for e in (1, 2, 3)]
    run.append([*steps, *({**line, "step": 10 * line["epoch"], "seconds": {}} for line in epochs)])
    run.finish({"seeds": 2})
    [row] = records.rows([run])
    assert row["hardware"] == "abacus, 2 cores"
    assert records.lines(row) == [*steps, *epochs]
    del row["first_losses"]  # As in older rows.
    assert records.lines(row) == epochs


def test_a_row_holds_five_digits():
    assert records._rounded([1 / 3, None]) == [pytest.approx(0.33333, abs=1e-9), None]
