"""Several local processes train as one does; what depends on clocks, signals and files is agreed on; a dead one ends all."""

import functools
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest

from jaxnets import cli
from jaxnets.errors import UserError
from jaxnets.runs import weights
from jaxnets.runs.folder import RunFolder
from jaxnets.training import distributed
from tests.reliability.processes import free_port, starter

CONFIG = """
from dataclasses import replace
from jaxnets import registry
from jaxnets.config import Optim, Spsa
from jaxnets.config.model import CNNConfig, LeNetConfig, MLPConfig, SentimentRNNConfig

def experiments():
    [image] = [e for e in registry.family("cifar10_lenet").values() if e.id == "cifar10/lenet/bn"]
    shapes = replace(image.data, source="synthetic", batch_size=20)
    sgd = Optim("sgd", lr=0.02)
    image = replace(image, data=shapes, optim=sgd, epochs=1, reported={}, fitted={}, eval_batch_size=100)
    # Seeds are split over two processes, and over four where they are four; elsewhere one seed's batches are.
    small = CNNConfig(width=2, dense=8, dropout_dense=0.5, batch_norm=True)
    yield replace(image, id="trial/seeds", model=small, seeds=4, epochs=6, optim=Optim())
    yield replace(image, id="trial/batch", model=LeNetConfig(batch_norm=True), seeds=1, steps=8)
    [review] = [e for e in registry.family("imdb").values() if e.id == "imdb/best"]
    rnn = SentimentRNNConfig(hidden=8, layers=1, embedding=8, dropout=0.5, dropout_inner=0.2)
    data = replace(review.data, source="synthetic", max_length=12, batch_size=20)
    yield replace(review, id="trial/rnn", data=data, model=rnn, optim=sgd, seeds=1, steps=8, eval_examples=100, reported={})
    spsa = Optim("spsa", spsa=Spsa(a=0.02, num_perturbations=2))
    yield replace(image, id="trial/spsa", model=MLPConfig(hidden=(4,)), optim=spsa, seeds=1, steps=8)
"""
TRIALS = ("spsa", *(pytest.param(name, marks=pytest.mark.slow) for name in ("seeds", "batch", "rnn")))


@pytest.fixture(scope="module")
def start(few_shapes):
    with starter(Path(os.environ["JAXNETS_DATA"])) as start:
        yield start


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    path = tmp_path_factory.mktemp("config") / "trials.py"
    path.write_text(CONFIG)
    return path


class Team:
    """Processes that train together, each with a log of its own."""

    def __init__(self, start, folder, out, arguments, number=2, own=lambda process: ()):
        where = ("--distributed", f"127.0.0.1:{free_port()}") if number > 1 else ()
        folder.mkdir(exist_ok=True)
        self.logs = [folder / f"{time.monotonic_ns()}.{i}.log" for i in range(number)]
        for log in self.logs:
            log.touch()
        self.processes = [
            start(
                ["run", *arguments, *own(i), "--out", out, *where, *(("--process", f"{i}/{number}") if where else ())],
                log,
            )
            for i, log in enumerate(self.logs)
        ]

    def end(self, seconds=600):
        """The exit statuses."""
        for process in self.processes:
            process.join(seconds)
        assert all(process.exitcode is not None for process in self.processes), self.said()
        return [process.exitcode for process in self.processes]

    def said(self, process=None):
        """What was printed, but for the runtime's own lines."""
        logs = self.logs if process is None else [self.logs[process]]
        return "\n".join(line for log in logs for line in log.read_text().splitlines() if not line.startswith("[Gloo]"))


@pytest.mark.parametrize("kind", [jax.errors.JaxRuntimeError, ValueError])
def test_a_connection_that_breaks_is_explained(kind, capsys):
    error = kind("UNKNOWN: Gloo AllGather failed: [external/gloo/pair.cc:538] Read error [127.0.0.1]:424: reset by peer")
    assert distributed._status(error, cli.explain) == distributed.LOST
    assert "another process ended (UNKNOWN: Gloo AllGather failed" in capsys.readouterr().err


def wait_for(condition, team):
    limit = time.monotonic() + 600
    while not condition():
        assert time.monotonic() < limit, team.said()
        assert any(process.is_alive() for process in team.processes), team.said()
        time.sleep(0.01)


def measured(run):
    """(curves, final figures) without times."""
    lines = [{key: value for key, value in line.items() if key != "seconds"} for line in RunFolder(run).metrics()]
    return lines, RunFolder(run).summary()["final"]


@pytest.fixture(scope="module")
def trained(start, config, tmp_path_factory):
    """A function from a trial and a number of processes, of one device each, to the run's folder and the processes."""

    @functools.cache
    def train(trial, number):
        out = tmp_path_factory.mktemp(f"{trial}{number}")
        team = Team(start, out, out, [f"{config}:trial/{trial}"], number=number)
        assert team.end() == [0] * number, team.said()
        return out / "trial" / trial, team

    return train


@pytest.mark.parametrize("number", [2, 4] if os.environ.get("JAXNETS_RELIABILITY") == "full" else [2])
@pytest.mark.parametrize("trial", TRIALS)
def test_processes_train_as_one(trained, trial, number):
    """Statistics of BatchNorm, dropout and SPSA's directions are those of the whole batch; all rounding is in the sums.

    Only the writer speaks.
    """
    (together, team), (alone, _) = trained(trial, number), trained(trial, 1)
    ours, other = (weights.load(run)[0] for run in (together, alone))
    flat = lambda tree: np.concatenate([np.ravel(leaf) for leaf in _leaves(tree)])
    tolerance = {"seeds": 0.0, "spsa": 1e-4}.get(trial, 1e-5)
    np.testing.assert_allclose(flat(ours), flat(other), rtol=tolerance, atol=tolerance)
    assert measured(together)[0][0]["loss"] == pytest.approx(measured(alone)[0][0]["loss"], rel=1e-6)
    assert RunFolder(together).summary()["layout"] == ("seeds" if trial == "seeds" else "batch")
    assert f"trial/{trial}" in team.said(0)
    assert f"{number} processes" in team.said(0)
    assert not team.said(1).strip()


def _leaves(tree):
    return [leaf for _, item in sorted(tree.items()) for leaf in (_leaves(item) if isinstance(item, dict) else [item])]


def recorded(run, steps):
    """Whether a run has come so far."""
    return (run / "metrics.jsonl").exists() and (run / "metrics.jsonl").read_bytes().count(b"\n") >= steps


def test_a_dead_process_ends_the_other(start, config, tmp_path):
    """In the first epoch, whose record comes before the end of the other."""
    team = Team(start, tmp_path / "logs", tmp_path / "out", [f"{config}:trial/spsa", "--steps", "20000"])
    wait_for(lambda: recorded(tmp_path / "out" / "trial" / "spsa", 3), team)
    team.processes[1].kill()
    assert team.end()[0] == distributed.LOST, team.said()
    assert len([line for line in team.said(0).splitlines() if line.startswith("jaxnets: error")]) == 1


@pytest.mark.slow
def test_dead_and_stopped_processes_end_all_and_the_run_goes_on(start, config, trained, tmp_path):
    """Bit for bit as if nothing had happened: kill -9 of either, SIGTERM to the one that does not write, then one alone."""
    run, arguments = tmp_path / "out" / "trial" / "seeds", [f"{config}:trial/seeds", "--checkpoint-every", "0"]
    for killed, other, steps in ((1, 0, 3), (0, 1, 24)):
        team = Team(start, tmp_path / "logs", tmp_path / "out", arguments)
        wait_for(lambda steps=steps: recorded(run, steps), team)
        team.processes[killed].kill()
        assert team.end()[other] == distributed.LOST, team.said()
        [line] = [line for line in team.said(other).splitlines() if line.startswith("jaxnets: error")]
        assert "another process ended" in line
        assert "run the same command again in all" in line
    team = Team(start, tmp_path / "logs", tmp_path / "out", arguments)
    wait_for(lambda: "6 epochs of 20 steps" in team.said(0), team)  # Then all of them defer signals, and compile.
    os.kill(team.processes[1].pid, signal.SIGTERM)
    assert team.end() == [143, 143], team.said()
    assert "resuming trial/seeds at step" in team.said(0)
    assert re.search(r"stopped at step \d+ of 120 and saved", team.said(0))
    assert "stopped" not in team.said(1)
    team = Team(start, tmp_path / "logs", tmp_path / "out", arguments, number=1)
    assert team.end() == [0], team.said()
    assert "resuming trial/seeds at step" in team.said()
    alone, _ = trained("seeds", 1)
    assert measured(run) == measured(alone)
    for ours, other in zip(*(_leaves(weights.load(folder)[0]) for folder in (run, alone)), strict=True):
        np.testing.assert_array_equal(ours, other)


def test_an_abort_of_the_runtime_is_explained():
    """Where nothing is noticed before: on accelerators, a collective operation waits for a dead process for ever."""
    script = "import os; from jaxnets.training import distributed as d; d._explain_abort(); {}os.abort()"
    for phase, words in (
        ("", "not all processes came within 120 s"),
        ("d._phases.append('training'); ", "another process ended"),
    ):
        ended = subprocess.run([sys.executable, "-c", script.format(phase)], capture_output=True, text=True, check=False)
        assert ended.returncode == distributed.LOST
        assert re.fullmatch(f"jaxnets: error: {words}.*\n", ended.stderr)


def test_processes_that_differ_are_refused_and_the_difference_named(start, config, tmp_path):
    own = lambda process: ("--optim.lr", ("0.001", "0.002")[process])
    team = Team(start, tmp_path / "logs", tmp_path / "out", [f"{config}:trial/seeds"], own=own)
    assert team.end() == [2, 2]
    said = team.said(0)
    assert re.search(r"^jaxnets: error: processes 0 and 1 differ in optim\.lr \(0\.001 and 0\.002\); start", said, re.M), (
        said
    )
    assert not (tmp_path / "out").exists()


def test_an_error_of_one_is_said_once_and_the_others_end(start, config, tmp_path):
    """The writer's folder holds another run; the other process could not know."""
    (tmp_path / "out" / "trial").mkdir(parents=True)
    (tmp_path / "out" / "trial" / "seeds").write_text("no folder")
    team = Team(start, tmp_path / "logs", tmp_path / "out", [f"{config}:trial/seeds"])
    assert team.end() == [2, 2], team.said()
    assert re.search(r"jaxnets: error: cannot write to .*trial/seeds", team.said(0))
    assert not team.said(1).strip()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--distributed", "node1"), "must be auto or HOST:PORT"),
        (("--distributed", "node1:70000"), "must be auto or HOST:PORT"),
        (("--distributed", ":9876"), "must be auto or HOST:PORT"),
        (("--distributed", "node1:9876"), "--process must be I/N .*, got nothing"),
        (("--distributed", "node1:9876", "--process", "2/2"), "--process must be I/N .*, got 2/2"),
        (("--distributed", "node1:9876", "--process", "1"), "--process must be I/N .*, got 1"),
        (("--distributed", "auto", "--process", "0/2"), "--process is for --distributed HOST:PORT"),
        (("--process", "0/2"), "--process 0/2 needs --distributed"),
        (("--distributed", "no-such-host.invalid:9876", "--process", "1/2"), "process 0 cannot be reached there"),
    ],
)
def test_malformed_places_are_refused(arguments, message, capsys):
    assert cli.main(["run", "cifar10/lenet/bn", *arguments]) == 2
    assert re.fullmatch(f"jaxnets: error: .*{message}.*\n", capsys.readouterr().err)


def test_a_port_in_use_is_refused(capsys):
    with socket.socket() as held:
        held.bind(("", 0))
        held.listen()
        port = held.getsockname()[1]
        assert cli.main(["run", "cifar10/lenet/bn", "--distributed", f"localhost:{port}", "--process", "0/2"]) == 2
    assert f"port {port} cannot be used (Address already in use); choose another" in capsys.readouterr().err


def test_a_first_process_that_never_comes_is_said(monkeypatch):
    monkeypatch.setattr(distributed, "_START_TIMEOUT", 0.3)
    with pytest.raises(UserError, match="process 0 cannot be reached there .*Connection refused.*; start it on that host"):
        distributed._arguments(f"localhost:{free_port()}", "1/2")


def test_alone_everything_is_as_it_is(tmp_path):
    assert distributed.count() == 1
    assert distributed.is_writer()
    assert distributed.largest([1, 0]).tolist() == [1, 0]
    assert distributed.gather("é") == ["é"]
    assert distributed.from_writer(json) is json
    with distributed.own_folder(tmp_path) as folder:
        assert folder == tmp_path
    with pytest.raises(UserError) as error:
        distributed.together(lambda: (_ for _ in ()).throw(UserError("no")))
    assert type(error.value) is UserError
    distributed.require_same(lambda: pytest.fail("nobody to compare with"))
