"""Runs as rows of JSON Lines."""

import pytest

from jaxnets.runs import records

SPLIT = {"loss": [1.25, None], "accuracy": [0.5, None]}
STEPS = [{"step": k, "loss": [2.5 / k, None]} for k in (1, 2)]
EPOCHS = [{"epoch": e, "train": {**SPLIT, "gradient_norm": [1.0 * e, None]}, "validation": SPLIT} for e in (1, 2, 3)]


class Run:
    """A run folder, as far as its row is made of it."""

    def __init__(self, *epochs):
        self.epochs = epochs

    def environment(self):
        devices = {"platform": "cpu", "kind": "cpu", "count": 1, "cores": 2}
        return {"versions": {}, "devices": devices, "processor": "abacus", "commit": None}

    def summary(self):
        return {"seeds": 2}

    def read(self, name):
        return {"config.json": {}}[name]

    def metrics(self):
        return [*STEPS, *({**line, "step": 10 * line["epoch"], "seconds": {}} for line in self.epochs)]


def test_the_curves_and_first_steps_of_a_row_are_those_of_its_run():
    [row] = records.rows([Run(*EPOCHS)])
    assert (row["hardware"], row["n"]) == ("abacus, 2 cores", 2)
    gpus = {"devices": {"platform": "gpu", "kind": "X100", "count": 4}}
    assert (records.hardware(gpus), records.hardware(gpus, used=1)) == ("4 × X100", "1 × X100")
    assert records.lines(row) == [*STEPS, *EPOCHS]
    del row["first_losses"]  # As in older rows.
    assert records.lines(row) == EPOCHS


def test_a_run_without_an_epoch_has_no_curves():
    [row] = records.rows([Run()])
    assert records.lines(row) == STEPS


def test_a_row_holds_five_digits():
    assert records._rounded([1 / 3, None]) == [pytest.approx(0.33333, abs=1e-9), None]
