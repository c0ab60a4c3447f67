"""Runs killed at random moments, some with their newest checkpoint damaged afterwards: each resumes bit for bit."""

import collections
import json
import os
import re
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest

from jaxnets.runs.folder import find_runs
from jaxnets.training.distributed import LOST
from tests.reliability.arguments import pick
from tests.reliability.processes import free_port, kill_after, starter

_SHARED = ("--data.source", "synthetic", "--checkpoint-every", "0")
_IMAGE = ("cifar10/gray_cnn/best", "--model.width", "2", "--data.batch-size", "100", *_SHARED)
COMMANDS = {
    "image run": (("run", *_IMAGE, "--seeds", "2", "--epochs", "6"), 1, 1),
    "recurrent run": (("run", "names/char_rnn", "--model.hidden", "4", "--seeds", "1", "--epochs", "4", *_SHARED), 1, 1),
    "several devices": (("run", *_IMAGE, "--seeds", "2", "--epochs", "6"), 2, 1),
    "several processes": (("run", *_IMAGE, "--seeds", "2", "--epochs", "6"), 1, 2),
    "sweep": (
        ("sweep", *_IMAGE, "--seeds", "1", "--epochs", "3", "--over", "optim.lr=1e-3,1e-2", "--over", "model.width=2,3"),
        *(1, 1),
    ),
}
"""And on how many devices of how many processes."""
KILLS = {"short": {"image run": 2}, "full": dict.fromkeys(COMMANDS, 25)}


def folders(out):
    """The run folders of a command, by their place below `out`."""
    return {str(run.path.relative_to(out)): run.path for run in find_runs(out)}


def checkpoints(run):
    """The steps of the complete checkpoints of a run folder, in order."""
    return sorted(int(path.name) for path in (run / "checkpoints").glob("*") if path.name.isdigit())


def is_finished(run):
    return (run / "summary.json").exists()


def recorded(out):
    """Bytes of all records so far, which grow while something is trained."""
    return sum((run / "metrics.jsonl").stat().st_size for run in folders(out).values() if (run / "metrics.jsonl").exists())


def content(run):
    """All that a run came to, but for times: weights, last training state, curves, summary."""
    plain = lambda value: {k: v for k, v in value.items() if k not in ("seconds", "examples_per_second")}
    last = run / "checkpoints" / str(checkpoints(run)[-1])
    arrays = {
        str(path.relative_to(last)): path.read_bytes()
        for item in ("latest", "best")
        for path in sorted((last / item).rglob("*"))
        if path.is_file() and re.fullmatch(r"[\d.]+", path.name)
    }
    assert len(arrays) > 10
    return {
        **arrays,
        "weights": (run / "weights.safetensors").read_bytes(),
        "metrics": [plain(json.loads(line)) for line in (run / "metrics.jsonl").read_text().splitlines()],
        "summary": plain(json.loads((run / "summary.json").read_text())),
    }


def damage(rng, run):
    """Spoils the newest checkpoint, and says how."""
    step = checkpoints(run)[-1]
    newest = run / "checkpoints" / str(step)
    files = sorted(path for path in newest.rglob("*") if path.is_file() and path.stat().st_size)
    path = pick(rng, files)
    data = bytearray(path.read_bytes())
    what = pick(rng, ("truncated", "emptied", "bits flipped", "file missing", "all files emptied", "item missing"))
    if what == "file missing":
        path.unlink()
    elif what == "item missing":
        shutil.rmtree(newest / pick(rng, ("latest", "best", "progress")))
    elif what == "all files emptied":  # What a power loss can leave.
        for file in files:
            file.write_bytes(b"")
    elif what == "bits flipped":
        for place in rng.integers(0, len(data), 3):
            data[place] ^= 1 << rng.integers(8)
        path.write_bytes(data)
    else:
        path.write_bytes(data[: 0 if what == "emptied" else int(rng.integers(len(data)))])
    return what


class Trial:
    """One command that is killed and started again to its end, and what is known of its folder in between."""

    def __init__(self, start, rng, name, out, reference):
        self.start, self.rng, self.out, self.reference = start, rng, out, reference
        self.command, self.devices, self.processes = COMMANDS[name]
        self.allowed = None
        self.finished = {}
        self.spoiled = set()
        """Inodes of the checkpoints that were damaged: a new one may come under the same name."""
        self.counts = collections.Counter()
        out.mkdir()

    def launch(self):
        """(its processes, the log of the first, which speaks)."""
        logs = [self.out.with_suffix(f".{i}.log") for i in range(self.processes)]
        team = [f"--distributed=127.0.0.1:{free_port()}", f"--process=%d/{self.processes}"] * (self.processes > 1)
        commands = []
        for i, log in enumerate(logs):
            log.write_text("")
            more = [part % i if "%" in part else part for part in team]
            commands.append(self.start([*self.command, "--out", self.out, *more], log, self.devices))
        return commands, logs[0]

    def kill(self, seconds):
        """Starts it, and kills it at a random moment: a few of them from the start on, most after something was recorded."""
        before = recorded(self.out)
        commands, log = self.launch()
        victim = pick(self.rng, commands)
        if self.rng.random() < 0.15:
            killed = kill_after(victim, lambda: True, self.rng.uniform(0, seconds * self.processes))
        else:
            growth = self.rng.integers(1, 4000)
            killed = kill_after(victim, lambda: recorded(self.out) >= before + growth, self.rng.uniform(0, 0.05))
        self.end_others(commands, killed)
        self.check(commands[0], log, killed)
        if killed:
            self.counts["kills"] += 1
        return killed

    def end_others(self, commands, killed):
        """Processes that work with one that is gone end too, by themselves; those that wait for its coming need not."""
        for command in commands:
            command.join(60 if killed else 600)
            if killed and command.is_alive():
                self.counts["others killed too"] += 1
                command.kill()
                command.join()
            assert command.exitcode in ((0, LOST, -signal.SIGKILL) if killed else (0,)), (self.counts, command.exitcode)

    def check(self, command, log, killed):
        """What the process said and left."""
        said = log.read_text()
        assert "Traceback" not in said, said
        assert killed or command.exitcode == 0, said
        resumed = re.search(r"resuming \S+ at step (\d+)", said)
        if resumed:
            self.counts["resumed"] += 1
            assert self.allowed, said
            assert int(resumed[1]) in self.allowed, (self.allowed, said)
        elif self.allowed and not killed:
            raise AssertionError(f"it began anew, where it could go on from {self.allowed}: {said}")
        for place, before in self.finished.items():
            assert content(self.out / place) == before, f"{place} was finished, and was changed"
        for place, run in folders(self.out).items():
            if is_finished(run):
                self.finished[place] = content(run)
                assert self.finished[place] == self.reference[place], f"{place} is not the undisturbed run"

    def look(self):
        """Finds the checkpoints that the next process may go on from; damages the newest of two after half of the kills."""
        begun = [run for run in folders(self.out).values() if not is_finished(run)]
        assert len(begun) <= 1, begun
        steps = checkpoints(begun[0]) if begun else []
        inodes = [(begun[0] / "checkpoints" / str(step)).stat().st_ino for step in steps]
        # Where both are damaged there is nothing to go on from.
        behind = 2 * self.counts["damaged"] < self.counts["kills"]
        if behind and len(steps) > 1 and not self.spoiled & set(inodes):
            self.counts[f"damaged: {damage(self.rng, begun[0])}"] += 1
            self.counts["damaged"] += 1
            self.spoiled.add(inodes[-1])
        self.allowed = set(steps[-2:] if inodes and inodes[-1] in self.spoiled else steps[-1:])


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [name for name in COMMANDS if name in KILLS["short"] or os.environ.get("JAXNETS_RELIABILITY")]
)
def test_killed_runs_resume_bit_for_bit(name, tmp_path, few_shapes, full, seed):
    rng = np.random.default_rng((seed, len(name)))
    wanted, counts = KILLS["full" if full else "short"][name], collections.Counter()
    with starter(Path(os.environ["JAXNETS_DATA"])) as start:
        undisturbed = Trial(start, rng, name, tmp_path / "undisturbed", {})
        undisturbed.end_others(undisturbed.launch()[0], False)
        reference = {place: content(run) for place, run in folders(undisturbed.out).items()}
        while counts["kills"] < wanted:
            trial = Trial(start, rng, name, tmp_path / f"run{counts['runs']}", reference)
            # One run is killed in turn, until the trials are over or it comes to its end.
            while counts["kills"] + trial.counts["kills"] < wanted and trial.kill(seconds=3):
                trial.look()
                print(name, dict(trial.counts), flush=True)
            if set(trial.finished) != set(reference):
                commands, log = trial.launch()
                trial.end_others(commands, False)
                trial.check(commands[0], log, False)
            assert set(trial.finished) == set(reference)
            shutil.rmtree(trial.out)
            counts += trial.counts + collections.Counter(runs=1)
    print(f"\n{name}: {dict(counts)}")
    assert counts["damaged"] or not full
