"""The command line: what it prints, what it returns, and one line for every mistake."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from jaxnets import cli, registry
from jaxnets.errors import UserError
from jaxnets.runs import shipped
from jaxnets.training import parallel

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
        ([*RUN, "--seeds", "0"], "seeds must lie in [1, 10000], got 0"),
        ([*RUN, "--data.batch-size", "-1"], "data.batch_size must be at least 1, got -1"),
        ([*RUN, "--optim.name", "adagrad"], "optim.name must be sgd, adam, adamw, rmsprop, spsa, an optax factory"),
        (
            [*RUN, "--optim.name", "optax.lion", "--optim.args.b3", "1", "--out", "OUT"],
            "its parameters are b1, b2",
        ),
        ([*RUN, "--optim.args.b1"], "--optim.args.b1 needs a value"),
        ([*RUN, "--optim.lr", "-0.1"], "optim.lr must be a finite number above 0"),
        ([*RUN, "--checkpoint-every", "-1"], "checkpoint_every must be at least 0, got -1"),
        ([*RUN, "--data.batch-size", "20000", "--out", "OUT"], "larger than the training split"),
        (["run", "cifar10/lenet/plain", "--out", "OUT"], "data set cifar10 is not prepared"),
        (["show", "nothing"], "unknown experiment 'nothing'"),
        (["data", "prepare"], "data prepare needs the name of a set"),
        (["data", "prepare", "cifar11"], "did you mean cifar10"),
        (["data", "prepare", "cifar10", "--manual-dir", "OUT"], "no such folder"),
        (["data", "fetch"], "fetch"),
        (["report"], "report needs at least one folder"),
        (["reproduce"], "missing DOCUMENT; see --help"),
        (["reproduce", "S9"], "no document 'S9': choose from S0, S1, S2, S3, S4"),
        (["reproduce", "S4", "--only", "tabel1"], "S4 has no tabel1: did you mean table1?"),
        (["reproduce", "S4", "--part", "3/2"], "part must be K/N"),
        (["reproduce", "S4", "--data.source", "mnist"], "a reproduction takes the documents' data, or synthetic"),
        (["claims", "S9"], "no document 'S9'"),
        (["report", "OUT"], "no finished run in"),
        (["run", "nowhere.py"], "no such file"),
        (["show", f"{5000 * 'x'}.py"], "no such file"),
        ([*RUN, "--out", 5000 * "x"], "out is not a valid path"),
        ([*RUN, "--data.source", 5000 * "x"], "data.source must be a name or a path that a file can have"),
        ([*RUN, "--checkpoint-every", "nan"], "checkpoint_every must be a finite number, got nan"),
        ([*RUN, "--checkpoint-every", "inf"], "checkpoint_every must be a finite number, got inf"),
        ([*RUN, "--model.init.std", "inf"], "model.init.std must be a finite number, got inf"),
        ([*RUN, "--optim.lr", "nan"], "optim.lr must be a finite number"),
        ([*RUN, "--seeds", 20 * "9"], "seeds must be an integer of 32 bits"),
        ([*RUN, "--epochs", "2147483647", "--out", "OUT"], "steps are more than can be counted"),
        ([*RUN, "--model.dropout-conv", "0.1", "0.999999"], "model.dropout_conv cannot be (0.1, 0.999999)"),
        (["sample", "OUT", "--seed", "4294967296"], "seed must be an integer of 32 bits"),
        (["sample", "OUT", "--seed", "-1"], "seed must be at least 0, got -1"),
        (["sample", "OUT", "--temperature", "inf"], "temperature must be a finite number, got inf"),
        (["sample", "OUT", "--temperature", "1e-38"], "temperature must be at least 1e-06, got 1e-38"),
        (["sample", "OUT", "--length", "100000000"], "length must be at most 100,000"),
        (["sample", "OUT", "--beam", "100000"], "beam must be at most 1,000"),
        (["sample", "shakespeare", *"--length 100000 --number 101".split()], "100,000 × --number 101 is too much"),
        (["sample", "shakespeare", *"--length 20000 --beam 501".split()], "--length 20,000 × --beam 501 is too much"),
        (["translate", "OUT", "je suis", "--beam", "0"], "beam must be at least 1, got 0"),
        (["visualize", "OUT", "maximize", "--rate", "nan"], "rate must be a finite number, got nan"),
        (["visualize", "OUT", "occlusion", "--stride", "0"], "stride must be at least 1, got 0"),
        (["theory", "--depth", "1000000"], "depth must be at most 1,000"),
        (["sweep", "names/best", "--over", "optim.lr=1e-3", "--random", "0"], "random must be at least 1, got 0"),
    ],
)
def test_mistakes_are_one_line_and_status_2(capsys, tmp_path, few_shapes, args, message):
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


def test_data_status(capsys, few_shapes):
    _, out, _ = call(capsys, "data", "status")
    assert re.search(r"shapes10 +yes", out)
    assert re.search(r"cifar10 +no", out)


def test_run_resume_and_report(capsys, tmp_path, few_shapes):
    small = ["--steps", "12", "--seeds", "2", "--data.batch-size", "20", "--data.shrink", "2", "--out", str(tmp_path)]
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
    assert "another configuration: optim.lr (0.0001 there, 0.5 here)" in err
    status, out, _ = call(capsys, "report", str(tmp_path))
    assert status == 0
    assert out.strip().endswith("report/index.html")
    (tmp_path / "cifar10" / "lenet" / "plain" / "net.json").write_text("null")
    status, _, err = call(capsys, "report", str(tmp_path))
    assert status == 0  # The page is right without it.
    assert err.strip() == f"{tmp_path}/cifar10/lenet/plain: the trained net cannot be used: net.json is damaged or missing"


def test_one_failure_does_not_stop_the_others(capsys, tmp_path, few_shapes):
    small = ["--steps", "3", "--seeds", "1", "--data.batch-size", "20", "--data.shrink", "2", "--out", str(tmp_path)]
    (tmp_path / "cifar10" / "lenet").mkdir(parents=True)
    (tmp_path / "cifar10" / "lenet" / "plain").write_text("in the way")
    status, out, err = call(capsys, "run", "cifar10/lenet/plain", "cifar10/lenet/bn", "--data.source", "synthetic", *small)
    assert status == 1
    assert err.startswith("jaxnets: error: cannot write to ")
    assert re.search(r"cifar10/lenet/bn +shapes10", out)


def start(*args, **options):
    return subprocess.Popen([sys.executable, "-m", "jaxnets", *args], stderr=subprocess.PIPE, text=True, **options)


@pytest.mark.parametrize("args", [["list"], ["run", "--help"]])
def test_output_that_cannot_be_written(args):
    """One line on a full disk, silence where nobody reads, "?" for what an ASCII terminal cannot show."""
    with Path("/dev/full").open("w") as full:
        process = start(*args, stdout=full)
        assert process.communicate()[1] == "jaxnets: error: cannot write the output: No space left on device\n"
        assert process.returncode == 2
    reader, writer = os.pipe()
    os.close(reader)
    process = start(*args, stdout=writer)
    os.close(writer)
    assert process.communicate()[1] == ""
    assert process.returncode == 128 + signal.SIGPIPE
    ascii_only = {**os.environ, "PYTHONIOENCODING": "ascii"}
    process = start(*args, stdout=subprocess.PIPE, env=ascii_only)
    out, err = process.communicate()
    assert (process.returncode, err) == (0, "")
    assert out.isascii()


def test_a_user_without_home_and_entry():
    """Sets of data need a home, or JAXNETS_DATA; what needs none works."""
    program = "import pwd, sys; pwd.getpwuid = {}.__getitem__; from jaxnets.cli import main; sys.exit(main(sys.argv[1:]))"
    homeless = {name: value for name, value in os.environ.items() if name not in ("HOME", "JAXNETS_DATA")}

    def call(*args, **further):
        command = [sys.executable, "-c", program, *args]
        return subprocess.run(command, env={**homeless, **further}, capture_output=True, text=True)

    assert (listed := call("list")).returncode == 0, listed.stderr
    said = "jaxnets: error: there is no home folder: set JAXNETS_DATA to a folder for data sets\n"
    assert (refused := call("data", "status")).returncode == 2
    assert refused.stderr == said
    assert not refused.stdout
    assert call("data", "status", JAXNETS_DATA=os.environ["JAXNETS_DATA"]).returncode == 0


@pytest.mark.parametrize("closed", [">&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_streams_may_be_closed(closed):
    """What is said goes nowhere, and not into a file that takes the stream's number."""
    program = "import os; from jaxnets.cli import main; assert main(['list']) == 0; assert os.open('.', os.O_RDONLY) > 2"
    command = f"{shlex.join([sys.executable, '-c', program])} {closed}"
    assert subprocess.run(["bash", "-c", command]).returncode == 0


def test_an_accelerator_that_is_not_there(tmp_path):
    """And other settings of JAX that could stop a command: 64 bits, no compilation, strict types."""
    process = start("theory", "--out", str(tmp_path), env={**os.environ, "JAX_PLATFORMS": "cuda"})
    assert process.communicate()[1].startswith("jaxnets: error: JAX_PLATFORMS=cuda: JAX finds no such device here;")
    assert process.returncode == 2


def test_a_setting_that_jax_cannot_read(tmp_path):
    process = start("theory", "--out", str(tmp_path), env={**os.environ, "JAX_DISABLE_JIT": "perhaps"})
    error = process.communicate()[1]
    assert (process.returncode, error.count("\n")) == (2, 1), error
    assert "invalid truth value 'perhaps' for environment 'JAX_DISABLE_JIT'" in error


@pytest.mark.parametrize(
    "args",
    [
        ["translate", "translate", "\udcc3\udca7a va ?"],
        ["sample", "shakespeare", "--prompt", "caf\udcc3\udca9"],
        ["sample", "names", "--start", "\udcc3\udc89"],
    ],
)
def test_a_text_that_the_locale_cannot_read_is_refused(capsys, args):
    """As Python gives UTF-8 in a locale of ASCII: the nets would read other words."""
    assert cli.main(args) == 2
    assert "PYTHONUTF8=1" in capsys.readouterr().err


def test_what_is_read_is_not_overwritten(capsys, tmp_path):
    """A page, a picture, a run, whatever it is called."""
    run, picture = tmp_path / "run", tmp_path / "a.png"
    shutil.copytree(shipped.FOLDER / "lenet", run)
    Image.new("RGB", (32, 32)).save(picture)
    (tmp_path / "b.png").hardlink_to(picture)
    (tmp_path / "c.png").symlink_to(picture)
    before = {path: path.read_bytes() for path in [picture, *run.iterdir()]}
    for args in (
        ["ocr", picture, "--out", tmp_path / "b.png"],
        ["ocr", picture, "--words", run / "config.json", "--out", run / "config.json"],
        ["classify", run, picture, "--out", tmp_path / "c.png"],
        ["report", run, "--jsonl", run / "summary.json"],
        ["export", run, "--out", tmp_path / "run" / ".." / "run"],
    ):
        status, _, err = call(capsys, *map(str, args))
        assert status == 2, args
        assert "would overwrite" in err, err
    assert {path: path.read_bytes() for path in [picture, *run.iterdir()]} == before


def test_the_module_runs(tmp_path):
    done = subprocess.run([sys.executable, "-m", "jaxnets", "list"], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0
    assert "cifar10/lenet/super" in done.stdout


def test_devices_are_for_all_runs_of_a_call(monkeypatch):
    asked = []

    def stop(*seeds):
        asked.append(seeds)
        raise UserError("enough")

    monkeypatch.setattr(parallel, "split_cpu", stop)
    assert cli.main(["run", "imdb"]) == 2
    assert asked == [tuple(experiment.seeds for experiment in registry.select(["imdb"]))]
    assert len(set(asked[0])) > 1
