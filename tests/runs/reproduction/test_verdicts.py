"""Reported figures against ours."""

import dataclasses

import pytest

from jaxnets import registry
from jaxnets.runs.reproduction import evidence
from jaxnets.runs.reproduction.verdicts import verdict
from tests.runs.reproduction.evidence_made import record

PLAIN = dataclasses.replace(registry.all_experiments()["cifar10/lenet/plain"], fitted={})
# Mean 50, standard deviation 1: one further draw falls within 4.3027 × √(4/3) = 4.97 with 95 %.
VALUES = [0.49, 0.50, 0.51]


def of(*records):
    return evidence.of(PLAIN, records)


@pytest.mark.parametrize(
    ("reported", "expected"),
    [
        (50, "reproduced"),
        (54.9, "reproduced"),
        (55.1, "ours lower"),
        (45.1, "reproduced"),
        (44.9, "ours higher"),
        (None, ""),
    ],
)
def test_a_figure_is_reproduced_if_one_more_seed_might_have_it(reported, expected):
    assert verdict(of(record(PLAIN.id, VALUES)), "test_accuracy", reported) == expected


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        (of(), "not run"),
        (of(record(PLAIN.id, [0.5])), "undecided"),
        (of(record(PLAIN.id, [0.49, 0.51])), "undecided"),
        (of(record(PLAIN.id, [0.89, 0.9])), "ours higher"),
        (of(record(PLAIN.id, [0.6, 0.6])), "undecided"),
        (of(record(PLAIN.id, VALUES, epochs=30)), "not run"),
        (of(record(PLAIN.id, VALUES, data__source="mnist")), "other data"),
    ],
)
def test_what_cannot_be_compared_is_said(known, expected):
    assert verdict(known, "test_accuracy", 50) == expected


def test_a_figure_that_a_setting_was_fitted_to_says_so():
    fitted = dataclasses.replace(PLAIN, fitted={"optim.lr": ("test_accuracy",)})
    known = evidence.of(fitted, [record(PLAIN.id, VALUES)])
    assert verdict(known, "test_accuracy", 50) == "reproduced (fitted)"
    assert verdict(known, "test_accuracy", 60) == "ours lower"
    assert verdict(known, "initial_loss", 2.8) == "reproduced"


def test_sizes_are_equal_or_not_and_costs_are_not_compared():
    known = of(record(PLAIN.id, VALUES))
    assert verdict(known, "parameters", 62_006) == "reproduced"
    assert verdict(known, "parameters", 62_007) == "ours lower"
    assert verdict(known, "gpu_seconds", 1.0) == ""


def test_short_runs_reproduce_the_start():
    known = of(record(PLAIN.id, VALUES, epochs=1))
    assert verdict(known, "initial_loss", 2.8) == "reproduced"
