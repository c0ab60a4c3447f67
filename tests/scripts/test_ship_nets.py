"""What is shipped of a run: its net rounded to float16, measured as it is shipped."""

import runpy
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from jaxnets import cli
from jaxnets.runs import load, records
from jaxnets.runs.folder import RunFolder

SCRIPT = Path(__file__).parent.parent.parent / "scripts" / "ship_nets.py"
pytestmark = pytest.mark.usefixtures("few_shapes", "engines_built_once")


def test_a_shipped_run_has_the_figures_of_its_rounded_weights(tmp_path, few_shapes):
    args = ("--data.source", "synthetic", "--steps", "6", "--data.batch-size", "50", "--seeds", "2", "--out", str(tmp_path))
    assert cli.main(["run", "cifar10/lenet/bn", *args]) == 0
    trained, results = RunFolder(tmp_path / "cifar10" / "lenet" / "bn"), tmp_path / "results.jsonl"
    ship = runpy.run_path(str(SCRIPT))["ship"]
    ship({"small": trained.path}, tmp_path / "nets", results)

    shipped = RunFolder(tmp_path / "nets" / "small")
    before, after = (load_file(run.path / "weights.safetensors") for run in (trained, shipped))
    for name, tensor in before.items():
        np.testing.assert_array_equal(after[name], tensor.astype(np.float16))
    assert {path.name for path in shipped.path.iterdir()} == {
        *("config.json", "environment.json", "net.json", "weights.safetensors", "summary.json", "SHA256SUMS")
    }
    summary, test = shipped.summary(), few_shapes.splits["test"]
    assert summary["final_float32"] == trained.summary()["final"]
    for net, accuracy in zip(load.load_all(shipped.path), summary["final"]["test"]["accuracy"]["values"], strict=True):
        assert np.mean(net.predictor(test["image"]).argmax(1) == test["label"]) == pytest.approx(accuracy, abs=1e-6)
    assert summary["final"]["test"]["loss"]["values"] != summary["final_float32"]["test"]["loss"]["values"]
    [row] = records.read(results)
    assert row["final"] == summary["final"]
    assert len(row["curves"]["validation_accuracy"]) == 1  # The folder has no curves, the record has.

    # What float16 cannot hold is not shipped.
    before["params/head/bias"] += 1e6
    save_file(before, trained.path / "weights.safetensors")
    (trained.path / "SHA256SUMS").unlink()
    with pytest.raises(FloatingPointError, match="overflow"):
        ship({"small": trained.path}, tmp_path / "nets", results)
    assert RunFolder(tmp_path / "nets" / "small").summary() == summary
