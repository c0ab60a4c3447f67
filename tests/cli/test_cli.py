"""The command line: what it prints, what it returns, and one line for every mistake."""

import json
import re
import subprocess
import sys

import pytest

from jaxnets import cli

RUN = ["run", "cifar10/lenet/plain", "--data.source", "synthetic"]


def call(capsys, *args):
    status = cli.main(list(args))
    captured = capsys.readouterr()
    return status, captured.out, captured.err


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["visualize"], "missing RUN, {filters,activations,maximize,deconvnet,occlusion,transfer}; see --help"),
        (["show"], "missing ID; see --help"),
        (["trian"], "unknown command 'trian'"),
        (["run"], "run needs the id of an experiment"),
        (["run", "cifar10/lenet/supper"], "did you mean cifar10/lenet/super"),
        ([*RUN, "--optim.lrr", "1"], "Unrecognized options: --optim.lrr, 1; did you mean --optim.lr?"),
        ([*RUN, "--optim.lr", "fast"], "--optim.lr: could not convert string to float: 'fast'"),
        ([*RUN, "--seeds", "2.5"], "--seeds"),
        ([*RUN, "--seeds"], "Missing value for argument '--seeds'"),
        ([*RUN, "--seeds", "0"], "seeds must be at least 1, got 0"),
        ([*RUN, "--data.batch-size", "-1"], "data.batch_size must be at least 1, got -1"),
        ([*RUN, "--optim.name", "adagrad"], "optim.name must be sgd, adam, adamw, rmsprop, spsa, an optax factory"),
        (
            [*RUN, "--optim.name", "optax.lion", "--optim.args.b3", "1", "--out", "OUT"],
            "its parameters are b1, b2",
        ),
        ([*RUN, "--optim.args.b1"], "--optim.args.b1 needs a value"),
        ([*RUN, "--optim.lr", "-0.1"], "optim.lr must be a finite number above 0"),
        ([*RUN, "--checkpoint-every", "-1"], "checkpoint_every must be 0 or more"),
        ([*RUN, "--data.batch-size", "20000", "--out", "OUT"], "larger than the training split"),
        (["run", "cifar10/lenet/plain", "--out", "OUT"], "data set cifar10 is not prepared"),
        (["show", "nothing"], "unknown experiment 'nothing'"),
        (["data", "prepare"], "data prepare needs the name of a set"),
        (["data", "prepare", "cifar11"], "did you mean cifar10"),
        (["data", "prepare", "cifar10", "--manual-dir", "OUT"], "no such folder"),
        (["data", "fetch"], "fetch"),
        (["report"], "report needs at least one folder"),
        (["report", "OUT"], "no finished run in"),
        (["run", "nowhere.py"], "no such file"),
    ],
)
def test_mistakes_are_one_line_and_status_2(capsys, tmp_path, shapes10, args, message):
    status, _, err = call(capsys, *(str(tmp_path / "out") if arg == "OUT" else arg for arg in args))
    assert status == 2
    assert err.count("\n") == 1, err
    assert err.startswith("jaxnets: error: ")
    assert message in err


def test_usage(capsys):
    status, out, _ = call(capsys)
    assert status == 2
    assert set(re.findall(r"^  ([a-z]+) ", out, re.MULTILINE)) == set(cli.COMMANDS)
    assert all(len(line) <= 120 for line in out.splitlines())
    assert call(capsys, "--help")[:2] == (0, out)
    assert re.fullmatch(r"jaxnets \d+\.\d+\.\d+\n", call(capsys, "--version")[1])


@pytest.mark.parametrize("command", sorted(set(cli.COMMANDS) - {"bench"}))
def test_every_command_has_help(capsys, command):
    with pytest.raises(SystemExit) as stop:
        cli.main([command, "--help"])
    assert stop.value.code == 0
    assert f"usage: jaxnets {command}" in capsys.readouterr().out


def test_help_of_run_names_every_field(capsys):
    with pytest.raises(SystemExit):
        cli.main(["run", "cifar10/lenet/super", "--help"])
    out = capsys.readouterr().out
    for option in ("--epochs", "--seeds", "--optim.lr", "--data.augment.flip", "--model.dropout-conv", "--out"):
        assert option in out


def test_list_is_a_line_each(capsys):
    _, out, _ = call(capsys, "list")
    line = next(line for line in out.splitlines() if line.startswith("cifar10/lenet/super "))
    assert "66.00 %" in line
    assert "S4" in line
    found = json.loads(call(capsys, "list", "--json")[1])
    assert len(found) == len(out.splitlines()) - 1
    assert {"id", "dataset", "source", "reported"} <= set(found[0])


def test_show(capsys):
    _, out, _ = call(capsys, "show", "cifar10/lenet/super")
    assert "62,458" in out
    assert "test_accuracy 66" in out
    assert re.search(r"optim\.lr +0\.001", out)
    found = json.loads(call(capsys, "show", "cifar10/lenet/super", "--json")[1])
    assert found["parameters"] == found["reported"]["parameters"] == 62_458
    assert found["data_ready"] is False
    assert "--manual-dir" in found["data_instructions"]


def test_data_status(capsys, shapes10):
    _, out, _ = call(capsys, "data", "status")
    assert re.search(r"shapes10 +yes", out)
    assert re.search(r"cifar10 +no", out)


def test_run_resume_and_report(capsys, tmp_path, shapes10):
    small = ["--steps", "12", "--seeds", "2", "--data.batch-size", "100", "--out", str(tmp_path)]
    status, out, _ = call(capsys, "run", "cifar10/lenet/plain", "cifar10/lenet/bn", "--data.source", "synthetic", *small)
    assert status == 0
    assert "shapes10 (synthetic)" in out
    assert len(re.findall(r"cifar10/lenet/\w+ +shapes10 \(synthetic\) +2 ", out)) == 2
    assert "jaxnets report" in out
    status, out, _ = call(capsys, *RUN, *small)
    assert status == 0
    assert "already finished" in out
    status, _, err = call(capsys, *RUN, *small, "--optim.lr", "0.5")
    assert status == 2
    assert "another configuration: optim.lr (0.001 there, 0.5 here)" in err
    status, out, _ = call(capsys, "report", str(tmp_path))
    assert status == 0
    assert out.strip().endswith("report/index.html")


def test_one_failure_does_not_stop_the_others(capsys, tmp_path, shapes10):
    small = ["--steps", "3", "--seeds", "1", "--data.batch-size", "100", "--out", str(tmp_path)]
    (tmp_path / "cifar10" / "lenet").mkdir(parents=True)
    (tmp_path / "cifar10" / "lenet" / "plain").write_text("in the way")
    status, out, err = call(capsys, "run", "cifar10/lenet/plain", "cifar10/lenet/bn", "--data.source", "synthetic", *small)
    assert status == 1
    assert err.startswith("jaxnets: error: cannot write to ")
    assert re.search(r"cifar10/lenet/bn +shapes10", out)


def test_the_module_runs(tmp_path):
    done = subprocess.run([sys.executable, "-m", "jaxnets", "list"], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0
    assert "cifar10/lenet/super" in done.stdout
