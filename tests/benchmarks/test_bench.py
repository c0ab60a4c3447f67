"""The command: errors in one line, rows saved as they are measured, and only our side where PyTorch is missing."""

import functools
import json
import subprocess
import sys

import jax
import pytest

from benchmarks import __main__ as command
from benchmarks import contention, facts, harness, measurements, separate, workloads
from jaxnets import cli
from jaxnets.cli import bench
from jaxnets.errors import UserError


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["lenett"], "unknown workload 'lenett': choose from lenet, "),
        (["--measure", "speed"], "unknown measure 'speed': choose from train step, 8 seeds, epoch, time to accuracy, all"),
        (["lenet", "--device", "tpu"], "unknown device 'tpu': choose from cpu, gpu"),
        (["lenet", "--rounds", "3"], "at least 7 rounds, got 3"),
        (["lenet", "--rounds", "many"], "--rounds"),
        (["lenet", "--speed"], "Unrecognized options: --speed"),
        (["lenet", "--measure", "epoch"], "'epoch' is not measured of this workload: lenet_super has epoch"),
    ],
)
def test_mistakes_end_in_one_line(args, message):
    with pytest.raises(UserError, match=message) as caught:
        command.main(args)
    assert "\n" not in str(caught.value)


def fake(name, rounds):
    if name == "small_cnn":
        raise UserError("no luck")
    if name == "resnet34":
        raise KeyboardInterrupt
    return harness.row(name, "train step", {harness.OURS: harness.Timing(0, (1.0,) * rounds)}, facts.facts(), {})


def in_this_process(run, called, args, **options):
    """subprocess.run, but `python -m benchmarks.separate …` runs here."""
    if "benchmarks.separate" not in args:
        return run(args, **options)
    called.append(args[3:-1])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", args[2:])
        with pytest.raises(SystemExit) as left:
            harness.start(separate.main)
    return subprocess.CompletedProcess(args, left.value.code)


def test_rows_are_kept_whatever_comes_after(tmp_path, monkeypatch, capsys):
    called = []
    monkeypatch.setattr(measurements, "MEASUREMENTS", {"train step": fake})
    monkeypatch.setattr(contention, "probe", lambda: {"jax": contention.Probe(1.0, 1.0)})
    monkeypatch.setattr(subprocess, "run", functools.partial(in_this_process, subprocess.run, called))
    path = tmp_path / "rows.jsonl"
    assert command.main(["lenet", "small_cnn", "lenet_bn", "--rounds", "7", "--json", str(path)]) == 2
    out, err = capsys.readouterr()
    assert out.count("| lenet_bn | train step |") == 2  # As soon as it is measured, and at the end.
    assert err == "jaxnets: error: no luck\n"
    assert command.main(["gray_cnn", "resnet34", "lenet", "--json", str(path)]) == harness.INTERRUPTED
    out, err = capsys.readouterr()
    assert "| lenet |" not in out
    assert err == "jaxnets: interrupted; the rows measured before are saved\n"
    assert [args[0] for args in called] == ["lenet", "small_cnn", "lenet_bn", "gray_cnn", "resnet34"]
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [row["workload"] for row in rows] == ["lenet", "lenet_bn", "gray_cnn"]
    fields = {"workload", "measure", "device", "ratio", "hardware", "versions", "commit", "n"}
    assert all(fields <= set(row) and row["ratio"] is None for row in rows)


def test_every_workload_and_measure_runs_in_a_separate_process(monkeypatch):
    called = []
    run = lambda args: (called.append(args[3:-1]), subprocess.CompletedProcess(args, 1))[1]
    monkeypatch.setattr(subprocess, "run", run)
    assert command.main(["lenet", "--measure", "train step", "8 seeds", "epoch", "--rounds", "8", "--device", "cpu"]) == 1
    # An epoch is no measure of lenet alone.
    assert called == [["lenet", "train step", "8", "cpu"], ["lenet", "8 seeds", "8", "cpu"]]
    called.clear()
    command.main(["--measure", "all"])
    assert [name for name, measure, *_ in called if measure == "train step"] == list(workloads.WORKLOADS)
    assert list(dict.fromkeys(measure for _, measure, *_ in called)) == list(measurements.MEASUREMENTS)
    assert called[-1][0] == "lenet_super"


def test_without_torch_our_side_is_measured_alone(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "torch", None)
    workload = workloads.prepare(workloads.WORKLOADS["lenet"])
    assert measurements._torch_steps(workload) == {}
    assert "torch is not installed: our side alone" in capsys.readouterr().out


def test_the_installed_package_says_where_the_benchmarks_are(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(bench, "ROOT", tmp_path)
    assert cli.main(["bench"]) == 2
    assert "bench needs jaxnets' source tree" in capsys.readouterr().err


def test_the_command_hands_its_arguments_over(capfd):
    assert cli.main(["bench", "lenet", "--measure", "speed"]) == 2
    assert "unknown measure 'speed'" in capfd.readouterr().err


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="there is an accelerator")
def test_a_device_that_is_not_there_is_named(capfd):
    assert cli.main(["bench", "lenet", "--device", "gpu"]) == 2
    assert capfd.readouterr().err.endswith("JAX finds no gpu here: leave --device out, or install jax for it\n")


def test_every_workload_can_be_prepared():
    for name, workload in workloads.WORKLOADS.items():
        prepared = workloads.prepare(workload)
        assert prepared.experiment.optim.schedule == "constant"
        size = prepared.experiment.data.batch_size
        assert prepared.units["examples"] == size, name
        # Images have no tokens; of padded sequences only the real ones count.
        if name.startswith("word_lm"):
            assert prepared.units["tokens"] == 35 * size
        elif name.startswith(("char", "imdb", "translate")):
            assert 4 * size < prepared.units["tokens"] < 100 * size
        else:
            assert set(prepared.units) == {"examples"}
