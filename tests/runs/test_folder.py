"""Run folders: what is written, what is refused, what survives a crash."""

import dataclasses
import json
import math

import pytest

from jaxnets import registry
from jaxnets.errors import UserError
from jaxnets.runs import environment
from jaxnets.runs.folder import RunFolder
from jaxnets.runs.statistics import mean_std

PLAIN = registry.all_experiments()["cifar10/lenet/plain"]


@pytest.fixture
def run(tmp_path):
    folder = RunFolder(tmp_path / "run")
    folder.open(PLAIN, {"devices": {}})
    yield folder
    folder.close()


def test_the_same_experiment_comes_back(run):
    assert run.experiment() == PLAIN


def test_texts_may_change_and_a_later_start_is_recorded_beside_the_first(run):
    run.append([{"step": 1, "loss": [2.3]}])
    run.close()
    run.open(dataclasses.replace(PLAIN, summary="better words", reported={"test_accuracy": 1.0}), {"devices": "others"})
    assert run.read("environment.json") == {"devices": {}, "resumed": [{"devices": "others"}]}


def test_a_field_younger_than_the_run_has_its_default(run):
    config = run.read("config.json")
    del config["optim"]["warmup_epochs"]
    run.append([{"step": 1, "loss": [2.3]}])
    (run.path / "config.json").write_text(json.dumps(config))
    run.close()
    run.open(PLAIN, {})


def test_a_folder_in_use_is_refused(run):
    with pytest.raises(UserError, match="another process is running"):
        RunFolder(run.path).open(PLAIN, {})


def test_another_configuration_is_refused_by_name(run):
    other = dataclasses.replace(PLAIN, seeds=5)
    run.append([{"step": 1, "loss": [2.3]}])
    run.close()
    with pytest.raises(UserError, match=r"another configuration: seeds \(3 there, 5 here\); choose another --out"):
        run.open(other, {})


def test_a_run_that_recorded_nothing_gives_way_to_another(run):
    other = dataclasses.replace(PLAIN, grad_accumulation_steps=4)
    run.close()
    run.open(other, {"devices": "others"})
    assert run.experiment() == other
    assert run.read("environment.json") == {"devices": "others"}


def test_lines_after_a_checkpoint_are_forgotten(run):
    run.append([{"step": k, "loss": [1.0]} for k in range(1, 6)])
    run.forget_after(3)
    run.append([{"step": 4, "loss": [math.nan]}])
    assert [line["step"] for line in run.metrics()] == [1, 2, 3, 4]
    assert run.metrics()[-1]["loss"] == [None]  # JSON has no NaN.


def test_a_torn_last_line_is_ignored(run):
    run.append([{"step": 1}])
    with (run.path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 2, "lo')
    assert run.metrics() == [{"step": 1}]


def test_damaged_files_are_named(run):
    (run.path / "config.json").write_text("{")
    with pytest.raises(UserError, match=r"config\.json cannot be read"):
        run.read("config.json")
    with pytest.raises(UserError, match=r"has no summary\.json"):
        run.read("summary.json")


def test_finish_marks_the_run(run):
    assert not run.finished
    run.finish({"a": math.inf})
    assert run.finished
    assert json.loads((run.path / "summary.json").read_text()) == {"a": None}


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write to .*choose another --out"):
        RunFolder(tmp_path / "file" / "run").open(PLAIN, {})


def test_means_are_over_finite_seeds_with_the_sample_deviation():
    result = mean_std([1.0, 3.0, math.nan])
    assert (result["mean"], result["n"]) == (2.0, 2)
    assert result["std"] == pytest.approx(math.sqrt(2))
    assert math.isnan(mean_std([5.0])["std"])
    assert math.isnan(mean_std([math.nan])["mean"])


def test_environment_names_versions_and_processor():
    described = environment.describe({"platform": "cpu"})
    assert set(described) == {"versions", "devices", "processor", "commit"}
    assert described["versions"]["jax"][0].isdigit()
