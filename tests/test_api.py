"""jaxnets from Python: training, trained nets and data, by the names that `import jaxnets` offers."""

import hashlib
import json
import shutil
import subprocess
import sys
import threading

import numpy as np
import pytest

import jaxnets

SMALL = {"data.source": "synthetic", "data.batch_size": 50}


@pytest.fixture(scope="module")
def result(tmp_path_factory, few_shapes):
    out = tmp_path_factory.mktemp("runs")
    return jaxnets.train("cifar10/lenet/bn", out=out, quiet=True, seeds=3, epochs=2, **SMALL)


def test_every_public_name_is_there():
    assert set(jaxnets.__all__) <= set(dir(jaxnets))
    for name in jaxnets.__all__:
        assert getattr(jaxnets, name).__doc__
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = jaxnets.nothing


def test_importing_is_light_and_changes_nothing():
    program = """
import logging, sys
before = logging.getLogger().level, list(logging.getLogger().handlers), logging.getLogger("absl").level
import jaxnets
assert not {"jax", "matplotlib", "tensorflow_datasets"} & set(sys.modules)
jaxnets.train, jaxnets.load, jaxnets.spsa, jaxnets.nn
assert "matplotlib.pyplot" not in sys.modules
assert before == (logging.getLogger().level, list(logging.getLogger().handlers), logging.getLogger("absl").level)
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_result_holds_the_metrics_of_every_epoch_and_seed(result):
    assert result.summary["final"]["test"]["accuracy"]["n"] == 3
    assert {name: values.shape for name, values in result.history.items()} == dict.fromkeys(
        ("train_accuracy", "train_loss", "validation_accuracy", "validation_loss"), (2, 3)
    )
    assert result.variables["params"]["head"]["kernel"].shape[0] == 3


def test_training_again_reads_the_finished_run(result):
    again = jaxnets.train("cifar10/lenet/bn", out=result.folder.parents[2], quiet=True, seeds=3, epochs=2, **SMALL)
    assert again.summary == result.summary


def test_a_net_is_all_in_two_files(result, few_shapes, tmp_path, monkeypatch):
    """A run folder without its checkpoints, copied to where its data set is not, answers as the run evaluated."""
    copy = tmp_path / "copy"
    shutil.copytree(result.folder, copy, ignore=shutil.ignore_patterns("checkpoints", "summary.json", "metrics.jsonl"))
    test = few_shapes.splits["test"]
    monkeypatch.setenv("JAXNETS_DATA", str(tmp_path / "nothing"))
    for replica, accuracy in enumerate(result.summary["final"]["test"]["accuracy"]["values"]):
        net = jaxnets.load(copy, replica)
        probabilities = net(np.asarray(test["image"]))
        np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-5)
        assert (probabilities.argmax(1) == test["label"]).mean() == pytest.approx(accuracy, abs=1e-6)
    assert net.meta["class_names"] == list(few_shapes.meta["class_names"])


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        ("weights.safetensors", b"{", "weights.safetensors or net.json cannot be read"),
        ("net.json", b"{", "net.json cannot be read"),
        ("net.json", b"{}", "net.json does not hold what a run writes: name is missing"),
        ("net.json", b'{"name": "a", "splits": {}, "meta": {"class_names": [["a"]]}}', r"class_names\[0\] is list"),
        ("net.json", b'{"name": "a", "splits": {}, "meta": {}}', "net.json does not describe the data of its config.json"),
        ("config.json", b'{"type": "Experiment"}', "config.json is not a run's"),
    ],
)
def test_a_damaged_file_is_named(result, tmp_path, name, damage, message):
    """By its checksum, and where there is none, by its content."""
    copy = shutil.copytree(result.folder, tmp_path / "copy", ignore=shutil.ignore_patterns("checkpoints"))
    (copy / name).write_bytes(damage)
    with pytest.raises(jaxnets.UserError, match=f"{name} is damaged: it is not what the run wrote"):
        jaxnets.load(copy)
    (copy / "SHA256SUMS").unlink()
    with pytest.raises(jaxnets.UserError, match=message):
        jaxnets.load(copy)


def test_the_checksums_are_those_of_sha256sum(result):
    """And name every file that the commands read."""
    lines = (result.folder / "SHA256SUMS").read_text().splitlines()
    sums = {name: digest for digest, name in (line.split("  ") for line in lines)}
    assert sums == {name: hashlib.sha256((result.folder / name).read_bytes()).hexdigest() for name in sums}
    files = {path.name for path in result.folder.iterdir() if path.is_file()}
    assert files - set(sums) == {"SHA256SUMS", ".lock"}


def test_weights_of_another_net_are_refused(result, tmp_path):
    copy = shutil.copytree(result.folder, tmp_path / "copy", ignore=shutil.ignore_patterns("checkpoints", "SHA256SUMS"))
    config = json.loads((copy / "config.json").read_text())
    config["model"]["batch_norm"] = False
    (copy / "config.json").write_text(json.dumps(config))
    with pytest.raises(jaxnets.UserError, match="holds another net than config.json describes"):
        jaxnets.load(copy)


def test_bad_arguments_are_named(result, tmp_path):
    with pytest.raises(jaxnets.UserError, match=r"no field optim.lrr: did you mean optim.lr\?"):
        jaxnets.train("cifar10/lenet/bn", **{"optim.lrr": 1})
    with pytest.raises(jaxnets.UserError, match="cifar10/lenet names .* experiments"):
        jaxnets.train("cifar10/lenet")
    with pytest.raises(jaxnets.UserError, match="replicas 0 to 2, not 3"):
        jaxnets.load(result.folder, 3)
    (tmp_path / "config.json").write_bytes((result.folder / "config.json").read_bytes())
    with pytest.raises(jaxnets.UserError, match="has no weights yet"):
        jaxnets.load(tmp_path)


def test_training_outside_the_main_thread(few_shapes, tmp_path):
    """As notebooks and servers do; signals reach the main thread alone."""
    results = []
    arguments = {"out": tmp_path, "quiet": True, "seeds": 1, "steps": 2, **SMALL}
    thread = threading.Thread(target=lambda: results.append(jaxnets.train("cifar10/lenet/bn", **arguments)))
    thread.start()
    thread.join()
    assert results[0].summary["steps"] == 2


def test_data_sets_by_split(few_shapes):
    train, validation, test = jaxnets.load_dataset("shapes10")
    assert [len(split["label"]) for split in (train, validation, test)] == [400, 200, 200]
