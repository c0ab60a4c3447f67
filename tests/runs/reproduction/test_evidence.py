"""Which runs count as evidence, and what is read from them."""

import json
import math

import numpy as np
import pytest

from jaxnets import registry
from jaxnets.runs.reproduction import evidence
from tests.runs.reproduction.evidence_made import record

PLAIN = registry.all_experiments()["cifar10/lenet/plain"]


def of(*records, synthetic=False):
    return evidence.of(PLAIN, records, synthetic)


def test_runs_of_other_root_seeds_add_up_and_a_repeated_replica_counts_once():
    known = of(record(PLAIN.id, [0.5, 0.6]), record(PLAIN.id, [0.7], seed=1), record(PLAIN.id, [0.51, 0.61, 0.65]))
    assert known.exact
    assert known.values("test_accuracy") == pytest.approx([51, 61, 65, 70])


def test_a_failed_replica_has_no_value():
    assert of(record(PLAIN.id, [0.5, float("nan")])).values("test_accuracy") == [50]


@pytest.mark.parametrize(
    ("measure", "value"),
    [("epochs_to_best", 4), ("fluctuation", np.std([10, 20, 1, -31], ddof=1)), ("steps_above_chance", 1)],
)
def test_a_replica_that_failed_on_the_way_has_no_value_of_its_curve(measure, value):
    one = record(PLAIN.id, [0.5, 0.6, 0.7])
    validation = [[0.2, 0.2], [0.3, 0.3], [0.5, math.nan], [0.51, math.nan], [0.2, math.nan]]
    one.row["curves"]["validation_accuracy"] = [[*values, math.nan] for values in validation]
    one.row["first_losses"] = [[3.0, math.nan, 3.0], [2.0, math.nan, math.nan]]
    assert of(one).values(measure) == pytest.approx([value])


@pytest.mark.parametrize("change", [{"optim__lr": 3e-4}, {"data__batch_size": 64}, {"model__batch_norm": True}])
def test_other_settings_do_not_count(change):
    assert of(record(PLAIN.id, [0.5], **change)).records == ()


def test_names_and_memory_savings_do_not_matter():
    other_name = record(PLAIN.id, [0.5], id="mine/plain", grad_accumulation_steps=4, eval_batch_size=10)
    assert of(other_name).exact


def test_a_short_run_says_nothing_of_the_end_but_all_of_the_start():
    known = of(record(PLAIN.id, [0.5, 0.6], epochs=30))
    assert (known.exact, known.epochs, known.dataset) == (False, 30, "")
    assert known.departs("test_accuracy")
    assert not known.departs("initial_loss")
    both = of(record(PLAIN.id, [0.5, 0.6], epochs=1), record(PLAIN.id, [0.4], seed=1))
    assert both.exact
    assert both.values("initial_loss") == pytest.approx([2.8, 2.9, 2.7])


def test_exact_runs_come_before_other_data_and_these_before_short_ones():
    exact, short = record(PLAIN.id, [0.5]), record(PLAIN.id, [0.6], epochs=100)
    other = record(PLAIN.id, [0.7], data__source="mnist")
    assert of(short, other, exact).values("test_accuracy") == [50]
    assert of(short, other).dataset == "mnist"
    assert of(record(PLAIN.id, [0.4], epochs=5), short).epochs == 100


def test_synthetic_runs_count_only_where_asked_for_and_then_alone():
    real, synthetic = record(PLAIN.id, [0.5]), record(PLAIN.id, [0.9], synthetic=True)
    assert of(real, synthetic).values("test_accuracy") == [50]
    assert of(real, synthetic, synthetic=True).values("test_accuracy") == [90]


@pytest.mark.parametrize(
    ("measure", "values"),
    [
        ("parameters", [62_006]),
        ("gpu_seconds", [12]),
        ("gpu_memory_gb", [2]),
        ("gpu_utilization", []),
        ("steps_above_chance", [1, 1]),
        ("epochs_to_best", [4, 4]),
        ("validation_accuracy@2", [10, 10]),
        ("validation_accuracy@9", []),
        ("train_gap", []),
        ("validation_accuracy", []),
    ],
)
def test_measures(measure, values):
    assert of(record(PLAIN.id, [0.5, 0.6])).values(measure) == pytest.approx(values)


def test_gaps_and_accuracies_by_class_are_by_replica():
    one = record(PLAIN.id, [0.5, 0.6])
    one.row["final"]["train"] = {"accuracy": {"values": [0.8, 0.7]}}
    one.row["details"]["test"]["accuracy_by_class"] = [[0.1, 0.2], [0.3, None]]
    assert of(one).values("train_gap") == pytest.approx([30, 10])
    assert of(one).values("test_accuracy/a") == pytest.approx([10, 30])
    assert of(one).values("test_accuracy/b") == pytest.approx([20])


def test_accuracies_by_class_of_older_rows_are_those_of_all_replicas_together():
    one = record(PLAIN.id, [0.5, 0.6])
    one.row["details"]["test"]["confusion"] = [[150, 50, 0], [0, 60, 140], [0, 0, 0]]
    assert of(one).values("test_accuracy/a") == pytest.approx([75])
    assert of(one).values("test_accuracy/b") == pytest.approx([30])
    assert of(one).values("test_accuracy/c") == []  # No example of it.
    assert of(one).values("test_accuracy/d") == []  # Not in the matrix.


def test_records_come_from_files_and_sweeps_are_left_out(tmp_path):
    plain = record(PLAIN.id, [0.5])
    sweep = record(PLAIN.id, [0.5], grid={"optim.lr": (1.0,)})
    file = tmp_path / "rows.jsonl"
    lines = [{"kind": "run", **plain.row}, {"kind": "run", **sweep.row}, {"kind": "benchmark"}]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    [found] = evidence.gather([file], [])
    assert found.experiment == plain.experiment


def test_the_number_of_examples_is_that_of_one_seed():
    assert evidence.examples(record(PLAIN.id, [0.5, 0.6]).row, "test") == 200


def test_settings_of_a_record_are_computed_once(monkeypatch):
    gathered = [record("cifar10/lenet/bn", [0.5]), record("cifar10/lenet/l2", [0.5])]
    computed = []
    settings = evidence.settings
    monkeypatch.setattr(evidence, "settings", lambda experiment: computed.append(experiment.id) or settings(experiment))
    for name in ("cifar10/lenet/bn", "cifar10/lenet/plain", "cifar10/lenet/l2"):
        evidence.of(registry.all_experiments()[name], gathered)
    assert computed.count("cifar10/lenet/bn") == 2  # As a record, and as what is documented.
    assert computed.count("cifar10/lenet/plain") == 1


def test_committed_runs_of_table_1_count_at_the_documented_rate():
    """Full runs at the rate that explains three of its rows; to compare with them the fourth, which it does not explain."""
    known, runs = registry.all_experiments(), evidence.gather(evidence.committed(), [])
    for name, fitted in (("plain", ("optim.lr",)), ("bn", ("optim.lr",)), ("l2", ("optim.lr",)), ("dropout", ())):
        found = evidence.of(known[f"cifar10/lenet/{name}"], runs)
        assert found.exact, name
        assert found.fitted_to("test_accuracy") == fitted
        assert evidence.of(known[f"tiny_imagenet/lenet/{name}"], runs).fitted_to("validation_accuracy") == (), name
