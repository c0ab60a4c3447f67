"""`jaxnets plan`, where no compiler for accelerators is needed."""

import importlib.util
import re

import pytest

from jaxnets import cli
from jaxnets.training import accelerators


@pytest.fixture(autouse=True)
def same_devices(monkeypatch):
    """The settings of the test process stay as they are."""
    from jaxnets.training import process

    monkeypatch.setattr(process, "without_accelerators", lambda: None)


def call(capsys, *args):
    status = cli.main(["plan", *args])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ([], "plan needs the id of an experiment first"),
        (["nist36/mpl"], "did you mean nist36/mlp"),
        (["nist36/mlp", "--on", "h1000"], "unknown device 'h1000': choose from h100, a100, rtx4090, a6000, v5e, v6e, cpu"),
        (["nist36/mlp", "--on", "cpu:2"], "unknown device 'cpu'"),
        (["nist36/mlp", "--on", "h100:0"], "--on h100:0: the number of devices must be from 1"),
        (["nist36/mlp", "--on", "h100:²"], "--on h100:²: the number of devices must be from 1"),
        (["nist36/mlp", "--on", "v5e:3"], "--on v5e:3: TPUs come in 1, 4, 8, 16, 32, 64, 128, 256 chips"),
        (["nist36/mlp", "--batch-size", "8,x"], "--batch-size 8,x: give whole numbers from 1"),
        (["nist36/mlp", "--batch-size", "8,0"], "--batch-size 8,0: give whole numbers from 1"),
        (["nist36/mlp", "--batch-size", "20000"], "nist36/mlp: data.batch_size 20000 is larger than the training split"),
        (["nist36/mlp", "--on", "v5e", "--measure"], "--measure times steps on this machine's cpu, and --on is v5e"),
    ],
)
def test_mistakes_are_one_line(capsys, args, message):
    status, out, err = call(capsys, *args)
    assert status == 2
    assert not out
    last = err.strip().splitlines()[-1]
    assert last.startswith("jaxnets: error: ")
    assert message in last


@pytest.mark.parametrize(("on", "package"), [("h100:4", "jax_cuda12_plugin"), ("v5e", "libtpu")])
def test_a_missing_compiler_is_one_line(capsys, monkeypatch, on, package):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    status, _, err = call(capsys, "nist36/mlp", "--on", on)
    assert status == 2
    assert f"needs the package {package}: pip install 'jaxnets[plan]'" in err
    assert len(err.splitlines()) == 1


def test_a_table_of_batch_sizes(capsys, monkeypatch):
    here = accelerators.get(accelerators.CPU)
    monkeypatch.setattr(accelerators, "get", lambda name: here._replace(memory=22_000_000))
    status, out, _ = call(capsys, "nist36/mlp", "--on", "cpu", "--batch-size", "32,2048", "--seeds", "1")
    assert status == 0
    header, small, large, *_ = out.splitlines()
    assert [line.split()[2:5:2] for line in (small, large)] == [["32", "yes"], ["2,048", "no"]]
    assert header.split()[:5] == ["experiment", "split", "batch", "GB", "fits"]
    assert "estimated, not measured" in out
    advice = re.search(r"out of memory \(\d+ MB needed, 22 MB available\): --data.batch-size (\d+) should fit", out)
    assert 32 <= int(advice[1]) < 2048


def test_measured_steps_stand_beside_the_estimate_without_evaluation(capsys, monkeypatch):
    from jaxnets.runs.reproduction import pace

    example = pace.EVALUATION * 1e-3  # Of one replica, with a share of evaluation after each epoch.
    monkeypatch.setattr(pace, "measure", lambda experiment: pace.Pace(example, 0.0, measured=True))
    status, out, _ = call(capsys, "nist36/mlp", "--on", "cpu", "--seeds", "2", "--data.batch-size", "32", "--measure")
    assert status == 0
    header, row, *_ = out.splitlines()
    assert header.split()[-1] == "measured"
    assert row.split()[-1] == "64.000"  # 32 examples of 2 replicas.
