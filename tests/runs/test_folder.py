"""Run folders: what is written, what is refused, what survives a crash."""

import dataclasses
import json
import math
import os
import re
from pathlib import Path

import jax
import numpy as np
import pytest

import jaxnets
from jaxnets import registry
from jaxnets.errors import UserError
from jaxnets.runs import environment
from jaxnets.runs.folder import RunFolder, find_runs
from jaxnets.runs.statistics import mean_std
from jaxnets.tasks.task import ImageGrid

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
    run.append([{"step": 1, "loss": [2.3]}])
    with (run.path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 2, "lo')
    assert run.metrics() == [{"step": 1, "loss": [2.3]}]


def test_damaged_files_are_named(run):
    (run.path / "config.json").write_text("{")
    with pytest.raises(UserError, match=r"config\.json cannot be read"):
        run.read("config.json")
    with pytest.raises(UserError, match=r"has no summary\.json"):
        run.read("summary.json")


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("summary.json", "null", "it is null"),
        ("summary.json", "[]", "it is list"),
        ("summary.json", '{"id": "a"}', "dataset is missing"),
        ("environment.json", '{"versions": null}', "versions is null"),
        ("environment.json", "[" * 100_000, "cannot be read"),
        ("config.json", '{"type": "Experiment", "seeds": "x"}', "is not a run's"),
        ("config.json", '{"type": 3}', "type is int"),
        ("metrics.jsonl", "null\n", "line 1 cannot be read: it is null"),
        (
            "metrics.jsonl",
            '{"step": 1, "loss": ["x"]}\n{"step": 2, "loss": [1]}\n',
            r"line 1 .*: loss\[0\] is str",
        ),
        ("metrics.jsonl", '{"epoch": 1, "step": 1}\n', "line 1 cannot be read: train is missing"),
        (
            "metrics.jsonl",
            '{"step": 1, "loss": [1]}\n{"step": 2, "loss": [1, 2]}\n',
            "line 2 .*: it has other metrics or seeds",
        ),
        ("images.npz", "", "cannot be read"),
        ("images.npz", "PK", "cannot be read"),
    ],
)
def test_json_of_another_shape_is_named(run, name, content, problem):
    (run.path / name).write_text(content)
    read = {"summary.json": run.summary, "environment.json": run.environment, "config.json": run.experiment}
    with pytest.raises(UserError, match=rf"{name}.*{problem}"):
        {**read, "metrics.jsonl": run.metrics, "images.npz": run.images}[name]()


def test_any_flipped_bit_of_a_complete_run_is_named(run):
    run.append([{"step": 1, "loss": [2.3]}])
    run.write_images({"first layer": ImageGrid(np.zeros((1, 1, 2, 2, 1)))})
    run.finish({"a": 1})
    rng = np.random.default_rng(0)
    for name in ("config.json", "environment.json", "metrics.jsonl", "images.npz", "summary.json"):
        whole = (run.path / name).read_bytes()
        damaged = bytearray(whole)
        damaged[rng.integers(len(damaged))] ^= 1 << rng.integers(8)
        (run.path / name).write_bytes(damaged)
        with pytest.raises(UserError, match=f"{name} is damaged"):
            run.content(name)
        (run.path / name).write_bytes(whole)
        assert run.content(name) == whole


def test_a_lost_record_of_the_machine_does_not_stop_the_run(run):
    run.append([{"step": 1, "loss": [2.3]}])
    for damage in (lambda path: path.unlink(), lambda path: path.write_text("{")):
        damage(run.path / "environment.json")
        run.close()
        run.open(PLAIN, {"devices": "others"})
        assert run.read("environment.json") == {"devices": "others", "resumed": [{"devices": "others"}], "data": None}


def test_lost_and_damaged_lines_are_said(run):
    run.append([{"step": k, "loss": [1.0]} for k in range(1, 6)])
    assert run.forget_after(4, recorded=4) == []
    path = run.path / "metrics.jsonl"
    path.write_bytes(path.read_bytes()[:-1])  # A power loss: the last line has no end.
    [lost] = run.forget_after(4, recorded=4)
    assert "has 3 of the 4 lines recorded up to step 4" in lost
    path.write_bytes(path.read_bytes().replace(b'"step": 2', b'"step": \xff'))
    with pytest.raises(UserError, match="line 2 cannot be read"):
        run.metrics()
    damaged, lost = run.forget_after(4, recorded=3)
    assert "line 2 cannot be read" in damaged
    assert "has 1 of the 3 lines" in lost
    assert [line["step"] for line in run.metrics()] == [1]


def test_no_message_advises_to_remove_a_run():
    """It may be the only copy."""
    package = Path(jaxnets.__file__).parent
    for path in (*package.glob("runs/*.py"), *package.glob("training/*.py")):
        assert not re.search("remove (the|this|that) folder", path.read_text()), path


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
    assert set(described) == {"versions", "devices", "processor", "processor_features", "commit", "settings"}
    assert described["versions"]["jax"][0].isdigit()


@pytest.mark.parametrize(
    ("setting", "value"),
    [("jax_default_matmul_precision", "float32"), ("jax_default_prng_impl", "rbg"), ("jax_threefry_partitionable", False)],
)
def test_settings_that_change_figures_are_recorded(setting, value):
    before = jax.config.values[setting]
    assert environment.describe({})["settings"][setting] == before
    try:
        jax.config.update(setting, value)
        assert environment.describe({})["settings"][setting] == value != before
    finally:
        jax.config.update(setting, before)


def test_runs_are_found_while_one_of_them_saves(tmp_path, monkeypatch):
    """Folders of checkpoints come and go meanwhile."""
    for name in ("a/b", "a", "c"):
        (tmp_path / name / "checkpoints" / "8").mkdir(parents=True)
        (tmp_path / name / "config.json").write_text("{}")
    scandir = os.scandir

    def vanish(path):
        if Path(path).name in ("checkpoints", "8", "gone"):
            raise FileNotFoundError(2, "No such file or directory", str(path))
        return scandir(path)

    (tmp_path / "gone").mkdir()
    monkeypatch.setattr(os, "scandir", vanish)
    assert [str(run.path.relative_to(tmp_path)) for run in find_runs(tmp_path)] == ["a", "a/b", "c"]


def test_weights_are_checked_without_being_held(run, monkeypatch):
    """A report checks those of every run."""
    for name in ("net.json", "weights.safetensors"):
        (run.path / name).write_bytes(name.encode() * 1000)
    run.append([{"step": 1, "loss": [2.3]}])
    run.finish({"a": 1})
    monkeypatch.setattr(Path, "read_bytes", lambda path: pytest.fail(f"{path} was read as a whole"))
    assert run.damaged() == []
    (run.path / "weights.safetensors").write_bytes(b"other")
    (run.path / "net.json").unlink()
    assert run.damaged() == ["net.json", "weights.safetensors"]
