"""Whole runs: resuming bit for bit after any end, failures, summaries."""

import dataclasses
import io
import os
import shutil
import signal
import subprocess
import sys

import chex
import jax
import numpy as np
import pytest
from rich.console import Console

from jaxnets.config import Optim
from jaxnets.data import catalog
from jaxnets.errors import UserError
from jaxnets.runs import weights
from jaxnets.runs.folder import RunFolder
from jaxnets.runs.progress import Reporter
from jaxnets.runs.train import train
from jaxnets.training import parallel
from jaxnets.training.checkpoint import Checkpoints
from jaxnets.training.signals import Interrupted
from tests.runs.run_small import SMALL

pytestmark = pytest.mark.usefixtures("few_shapes", "engines_built_once")


@pytest.fixture(scope="module")
def straight(tmp_path_factory, few_shapes, engines_built_once):
    """An uninterrupted run: its folder and summary."""
    folder = tmp_path_factory.mktemp("straight")
    return folder, train(SMALL, folder, Reporter(Console(quiet=True)))


def measured(folder):
    """Everything measured, without times."""
    lines = [{k: v for k, v in line.items() if k != "seconds"} for line in RunFolder(folder).metrics()]
    summary = RunFolder(folder).read("summary.json")
    timed = ("seconds", "examples_per_second")
    return lines, {k: v for k, v in summary.items() if k not in timed}


def test_what_a_run_leaves(straight):
    folder, summary = straight
    assert {p.name for p in folder.iterdir()} >= {
        "config.json",
        "environment.json",
        "metrics.jsonl",
        "summary.json",
        "checkpoints",
    }
    lines = RunFolder(folder).metrics()
    epochs = [line for line in lines if "epoch" in line]
    assert [line["epoch"] for line in epochs] == [1, 2, 3]
    assert all(len(line[split]["accuracy"]) == 2 for line in epochs for split in ("train", "validation"))
    assert [line["step"] for line in lines if "epoch" not in line] == list(range(1, 121))
    assert set(summary["final"]) == {"train", "validation", "test"}
    assert np.sum(summary["details"]["test"]["confusion"]) == 2 * 200
    test = summary["final"]["test"]["accuracy"]
    assert test["mean"] == pytest.approx(np.trace(summary["details"]["test"]["confusion"]) / 400)
    assert test["mean"] == pytest.approx(np.mean(test["values"]))
    assert test["std"] == pytest.approx(np.std(test["values"], ddof=1))
    assert summary["initial_loss"]["mean"] == pytest.approx(np.log(10), abs=0.1)
    best = [max(line["validation"]["accuracy"][seed] for line in epochs) for seed in range(2)]
    assert summary["final"]["validation"]["accuracy"]["values"] == pytest.approx(best)
    convolutions, dense, statistics = (75 + 1) * 6 + (150 + 1) * 16, (16 + 1) * 84 + (84 + 1) * 10, 2 * (6 + 16 + 84)
    assert summary["parameters"] == convolutions + dense + statistics
    assert summary["synthetic"]


def test_a_finished_run_is_only_read(straight, reporter):
    folder, summary = straight
    contents = lambda: {p: p.read_bytes() for p in folder.iterdir() if p.is_file()}
    before = contents()
    assert train(SMALL, folder, reporter) == summary
    assert contents() == before


def send_when_recorded(number, step, patch):
    """Makes this process send itself a signal, once, when a run records a step after `step`."""
    append, sent = RunFolder.append, []

    def append_and_send(self, lines):
        append(self, lines)
        if not sent and any(line["step"] > step for line in lines):
            sent.append(number)
            os.kill(os.getpid(), number)

    patch.setattr(RunFolder, "append", append_and_send)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_stopped_run_resumes_bit_for_bit_as_if_never_stopped(straight, tmp_path, reporter, monkeypatch, number):
    """Stopped in the second epoch."""
    send_when_recorded(number, 40, monkeypatch)
    with pytest.raises(Interrupted, match="stopped at step 80 of 120 .*run the same command again") as stopped:
        train(SMALL, tmp_path, reporter)
    assert stopped.value.signal == number
    assert not RunFolder(tmp_path).finished
    train(SMALL, tmp_path, reporter)
    assert measured(tmp_path) == measured(straight[0])


@pytest.mark.parametrize("error", [BrokenPipeError(32, "Broken pipe"), OSError(5, "Input/output error")])
def test_a_run_whose_output_nobody_reads_saves_and_stops(tmp_path, error):
    class Closed(io.StringIO):
        def write(self, text):
            if "epoch 2" in text:
                raise error
            return len(text)

    with pytest.raises(Interrupted, match="its output cannot be written; stopped at step 80 of 120 and saved") as stopped:
        train(SMALL, tmp_path, Reporter(Console(file=Closed())))
    assert stopped.value.signal == signal.SIGPIPE
    assert (tmp_path / "checkpoints" / "80").exists()


def test_settings_of_the_callers_program_do_not_reach_a_run(straight, tmp_path, reporter):
    """64 bits, no compilation and strict promotion, as for debugging: the run is the same, bit for bit."""
    with jax.enable_x64(True), jax.disable_jit(), jax.numpy_dtype_promotion("strict"):
        train(dataclasses.replace(SMALL, epochs=1), tmp_path, reporter)
    lines = lambda folder: [{**line, "seconds": 0} for line in RunFolder(folder).metrics() if line["step"] <= 40]
    assert lines(tmp_path) == lines(straight[0])


SCRIPT = """
import signal, sys
from pathlib import Path
import chex
import jax
jax.config.update("jax_num_cpu_devices", 4)
import pytest
from rich.console import Console
from jaxnets.runs.progress import Reporter
from jaxnets.runs.train import train
from tests.runs.test_train import SMALL, send_when_recorded
send_when_recorded(signal.SIGKILL, 40, pytest.MonkeyPatch())
train(SMALL, Path(sys.argv[1]), Reporter(Console(quiet=True)), checkpoint_every=0)
"""


def test_a_killed_run_resumes_bit_for_bit_as_if_never_stopped(straight, tmp_path, reporter):
    """Killed in the second epoch: there are checkpoints, and steps after the last of them."""
    killed = subprocess.run([sys.executable, "-c", SCRIPT, tmp_path], timeout=120, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert not RunFolder(tmp_path).finished
    assert max(line["step"] for line in RunFolder(tmp_path).metrics()) == 60
    assert max(int(path.name) for path in (tmp_path / "checkpoints").iterdir()) == 40
    train(SMALL, tmp_path, reporter)
    assert measured(tmp_path) == measured(straight[0])


def test_a_run_does_not_go_on_with_data_prepared_anew(few_shapes, tmp_path, reporter, monkeypatch):
    send_when_recorded(signal.SIGTERM, 0, monkeypatch)
    with pytest.raises(Interrupted):
        train(SMALL, tmp_path, reporter)
    mean = [value + 0.1 for value in few_shapes.meta["mean"]]
    images = few_shapes.splits["test"]["image"][::-1]
    test = {**few_shapes.splits["test"], "image": images}
    anew = few_shapes._replace(meta={**few_shapes.meta, "mean": mean}, splits={**few_shapes.splits, "test": test})
    monkeypatch.setattr(catalog, "open_data", lambda config, report: anew)
    with pytest.raises(
        UserError, match=r"shapes10 changed since the run in .* began: mean, test\.image; choose another --out"
    ):
        train(SMALL, tmp_path, reporter)
    (tmp_path / "environment.json").unlink()
    for _ in range(2):
        with pytest.raises(UserError, match=r"changed since .* began: mean, test\.image"):
            train(SMALL, tmp_path, reporter)
    monkeypatch.setattr(catalog, "open_data", lambda config, report: few_shapes)
    train(SMALL, tmp_path, reporter)


def test_the_files_of_a_stopped_run_are_compared_too(few_shapes, tmp_path, reporter, monkeypatch):
    send_when_recorded(signal.SIGTERM, 0, monkeypatch)
    with pytest.raises(Interrupted):
        train(SMALL, tmp_path, reporter)
    weights.load(tmp_path)
    content = bytearray((tmp_path / "weights.safetensors").read_bytes())
    content[-10] ^= 0x40
    (tmp_path / "weights.safetensors").write_bytes(content)
    with pytest.raises(UserError, match=r"weights\.safetensors is damaged"):
        weights.load(tmp_path)
    train(SMALL, tmp_path, reporter)
    weights.load(tmp_path)


def test_a_finished_run_that_lost_its_weights_says_so(straight, tmp_path):
    shutil.copytree(straight[0], tmp_path / "copy")
    (tmp_path / "copy" / "weights.safetensors").unlink()
    with pytest.raises(UserError, match=r"weights\.safetensors, which its run wrote, is gone"):
        weights.load(tmp_path / "copy")
    output = io.StringIO()
    train(SMALL, tmp_path / "copy", Reporter(Console(file=output, width=400)))
    assert "weights.safetensors missing or damaged; to train it again, choose another --out" in output.getvalue()


def test_damage_to_the_newest_checkpoint_and_the_record_is_said_and_mended(straight, tmp_path, monkeypatch):
    """The run goes on from the checkpoint before, and a complete run keeps nothing of the damaged one."""
    send_when_recorded(signal.SIGTERM, 40, monkeypatch)
    with pytest.raises(Interrupted):
        train(SMALL, tmp_path, Reporter(Console(quiet=True)), checkpoint_every=0)
    progress = tmp_path / "checkpoints" / "60" / "progress" / "metadata"
    progress.write_text(progress.read_text().replace('"step": 60', '"step": 61'))
    metrics = tmp_path / "metrics.jsonl"
    metrics.write_text("".join(line for line in metrics.read_text().splitlines(True) if '"step": 17,' not in line))
    output = io.StringIO()
    train(SMALL, tmp_path, Reporter(Console(file=output, width=400)))
    assert "checkpoint of step 60 could not be read" in output.getvalue()
    assert "has 40 of the 41 lines recorded up to step 40" in output.getvalue()
    assert measured(tmp_path)[1] == measured(straight[0])[1]
    assert all(path.name.isdigit() for path in (tmp_path / "checkpoints").iterdir())


def test_another_process_in_the_same_folder_is_refused(tmp_path, reporter):
    import fcntl

    with (tmp_path / ".lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(UserError, match="another process is running"):
            train(SMALL, tmp_path, reporter)


def test_split_batches_train_and_resume_like_one_device(tmp_path, reporter, monkeypatch):
    """The layout for several accelerators whose number does not divide the seeds, on virtual devices."""
    # Short steps of plain descent make little of a rounding error. Adam would make much, where a gradient is almost zero.
    even = dataclasses.replace(
        SMALL, data=dataclasses.replace(SMALL.data, batch_size=20), optim=Optim("sgd", lr=0.005), steps=10
    )
    monkeypatch.setattr(parallel, "steps_per_call", lambda steps, platform: 2)
    save, states = Checkpoints.save, {}

    def save_and_remember(self, step, snapshot):
        states[self._folder.parent.name, step] = jax.device_get((snapshot.latest.params, snapshot.latest.model_state))
        save(self, step, snapshot)

    monkeypatch.setattr(Checkpoints, "save", save_and_remember)
    split = parallel.Layout("batch", parallel.make_mesh())
    monkeypatch.setattr(parallel, "choose_layout", lambda seeds, batch, devices: split)
    with monkeypatch.context() as patch:
        send_when_recorded(signal.SIGTERM, 0, patch)
        with pytest.raises(Interrupted, match="stopped at step 6 of 10"):
            train(even, tmp_path / "split", reporter)
    train(even, tmp_path / "split", reporter)
    alone = parallel.Layout("seeds", parallel.make_mesh(jax.devices()[:1]))
    monkeypatch.setattr(parallel, "choose_layout", lambda seeds, batch, devices: alone)
    train(even, tmp_path / "alone", reporter)
    for ours, theirs in zip(*(jax.tree.leaves(states[name, 10]) for name in ("split", "alone")), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


def test_training_in_steps_ends_within_an_epoch(tmp_path, reporter):
    summary = train(dataclasses.replace(SMALL, epochs=9, steps=20), tmp_path, reporter)
    assert (summary["steps"], summary["epochs"]) == (20, 1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"data": dataclasses.replace(SMALL.data, batch_size=401)}, "larger than the training split of shapes10"),
        ({"data": dataclasses.replace(SMALL.data, source="cifar10")}, "data set cifar10 is not prepared.*data prepare"),
        ({"data": dataclasses.replace(SMALL.data, source="cifar11")}, "unknown data set 'cifar11': did you mean cifar10"),
    ],
)
def test_what_cannot_run_is_said_before_anything_is_trained(tmp_path, reporter, change, message):
    with pytest.raises(UserError, match=message):
        train(dataclasses.replace(SMALL, **change), tmp_path, reporter)


def test_a_full_disk_loses_nothing_saved(tmp_path, reporter, monkeypatch):
    from pathlib import Path

    real_open = Path.open

    def full(self, mode="r", *args, **kwargs):
        if self.name == "metrics.jsonl" and "a" in mode and self.exists() and self.stat().st_size > 2000:
            raise OSError(28, "No space left on device")
        return real_open(self, mode, *args, **kwargs)

    monkeypatch.setattr(Path, "open", full)
    small = dataclasses.replace(SMALL, epochs=2)
    with pytest.raises(UserError, match="No space left on device; free space there, then run the same command again"):
        train(small, tmp_path, reporter, checkpoint_every=0)
    monkeypatch.undo()
    assert train(small, tmp_path, reporter)["epochs"] == 2


def test_a_run_saves_the_average_of_its_weights_and_resumes(tmp_path, reporter, monkeypatch):
    averaged = dataclasses.replace(SMALL, optim=dataclasses.replace(SMALL.optim, ema=0.9), select="last", steps=60)
    train(averaged, tmp_path / "straight", reporter)
    send_when_recorded(signal.SIGTERM, 20, monkeypatch)
    with pytest.raises(Interrupted):
        train(averaged, tmp_path / "stopped", reporter)
    train(averaged, tmp_path / "stopped", reporter)
    (saved, _), (resumed, _) = (weights.load(tmp_path / name) for name in ("straight", "stopped"))
    jax.tree.map(np.testing.assert_array_equal, saved, resumed)
    # After few steps, as the two programs may round differently.
    averages, last = (
        dataclasses.replace(averaged, optim=optim, steps=4, id=id_)
        for optim, id_ in ((averaged.optim, "averages"), (SMALL.optim, "last"))
    )
    for experiment in (averages, last):
        train(experiment, tmp_path / experiment.id, reporter)
    (average, _), (unlike, _) = (weights.load(tmp_path / experiment.id) for experiment in (averages, last))
    assert not np.allclose(average["params"]["head"]["kernel"], unlike["params"]["head"]["kernel"], rtol=1e-3)
    chex.assert_trees_all_close(average["batch_stats"], unlike["batch_stats"], rtol=1e-4, atol=1e-6)
