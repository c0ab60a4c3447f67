"""Hours of use, in one process and in many: runs, stops, resumes, reports and questions leave nothing behind."""

import contextlib
import gc
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from jaxnets.runs.folder import RunFolder
from tests.reliability.trials import call

SECONDS = float(os.environ.get("JAXNETS_SOAK_SECONDS", "300" if os.environ.get("JAXNETS_RELIABILITY") else "0"))
"""An hour is 3600."""
WARM_UP = 3
"""Rounds, in which libraries are imported and caches filled."""
_IMAGE = ("cifar10/gray_cnn/best", "--model.width", "2", "--data.batch-size", "100", "--seeds", "2", "--epochs", "2")
_NAMES = ("names/char_rnn", "--model.hidden", "4", "--seeds", "1", "--steps", "5")


def measured(temporary):
    """Megabytes in memory, open descriptors, threads of Python and of the process, temporary files.

    TensorStore's pool of threads, which is filled by and by, does not count.
    """
    gc.collect()
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":" in line)
    return {
        "MB": int(status["VmRSS"].split()[0]) / 1000,
        "descriptors": len(os.listdir("/proc/self/fd")),  # noqa: PTH208
        "threads": threading.active_count(),
        "native threads": int(status["Threads"]) - _threads_of("ts_pool_worker"),
        "temporary files": sum(len(names) + len(folders) for _, folders, names in os.walk(temporary)),
    }


def _threads_of(name):
    """How many threads of this process have a name."""
    found = 0
    for thread in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):  # It has ended meanwhile.
            found += (thread / "comm").read_text().strip() == name
    return found


def one_round(out, picture, monkeypatch):
    """A run that is stopped and resumed, a second one, questions to both, a report, a mistake."""
    append = RunFolder.append

    def append_and_stop(self, lines):
        append(self, lines)
        patch.setattr(RunFolder, "append", append)  # A second signal would end the process.
        os.kill(os.getpid(), signal.SIGTERM)

    shared = ("--data.source", "synthetic", "--out", out)
    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "append", append_and_stop)
        assert call(["run", *_IMAGE, *shared]).status == 128 + signal.SIGTERM
    assert call(["run", *_IMAGE, *shared]).status == 0
    assert call(["run", *_NAMES, *shared]).status == 0
    assert call(["classify", out / _IMAGE[0], picture]).status == 0
    assert call(["sample", out / _NAMES[0], "--number", "1"]).status == 0
    assert call(["report", out]).status == 0
    assert call(["visualize", out / _IMAGE[0], "filters"]).status == 0
    assert call(["classify", out, picture]).status == 2
    shutil.rmtree(out)


def left_behind(temporary, store):
    """What processes that have ended may leave: temporary files, shared memory, data, and processes of their own."""
    living = 0
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # It has ended meanwhile, or is another user's.
            living += f"TMPDIR={temporary}".encode() in (process / "environ").read_bytes().split(b"\0")
    places = {"temporary files": temporary, "shared memory": Path("/dev/shm"), "files of data": store}
    return {"processes": living} | {name: sum(1 for _ in place.rglob("*")) for name, place in places.items()}


def one_round_of_processes(out, picture, environment):
    """Two runs at once in one folder, one of which is stopped and resumed; then a report and questions, all at once."""

    def start(*arguments):
        command = [sys.executable, "-m", "jaxnets", *map(str, arguments)]
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def end(*commands, status=(0,)):
        for command in commands:
            printed, _ = command.communicate(timeout=300)
            assert command.returncode in status, (command.args, command.returncode, printed)

    shared = ("--data.source", "synthetic", "--out", out)
    image, names = start("run", *_IMAGE, *shared), start("run", *_NAMES, *shared)
    while image.poll() is None and not (out / _IMAGE[0] / "metrics.jsonl").exists():
        time.sleep(0.01)
    image.terminate()
    end(image, status=(0, 128 + signal.SIGTERM))
    end(names, start("run", *_IMAGE, *shared))
    end(start("report", out), start("classify", out / _IMAGE[0], picture), start("sample", out / _NAMES[0]))
    shutil.rmtree(out)


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """The folder of temporary files, of this process and of those that it starts."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    monkeypatch.setattr("tempfile.tempdir", None)
    return tmp_path / "temporary"


@pytest.mark.skipif(not SECONDS, reason="only in the long form: JAXNETS_SOAK_SECONDS=3600")
def test_many_processes_leave_nothing(places, store, temporary, tmp_path):
    history, end = [], time.monotonic() + SECONDS
    while time.monotonic() < end or len(history) < 3:
        one_round_of_processes(tmp_path / "out", places.picture, dict(os.environ))
        history.append(left_behind(temporary, store))
        print(history[-1], flush=True)
    assert history[1:] == history[1:2] * (len(history) - 1)  # The first makes the locks of data sets.
    assert history[-1]["processes"] == 0


@pytest.mark.skipif(not SECONDS, reason="only in the long form: JAXNETS_SOAK_SECONDS=3600")
def test_nothing_grows(places, temporary, tmp_path, monkeypatch):
    history, end = [], time.monotonic() + SECONDS
    while time.monotonic() < end or len(history) < WARM_UP + 3:
        one_round(tmp_path / "out", places.picture, monkeypatch)
        history.append(measured(temporary))
        print(history[-1], flush=True)
    rounds = np.arange(len(history) - WARM_UP)
    slopes = {name: np.polyfit(rounds, [entry[name] for entry in history[WARM_UP:]], 1)[0] for name in history[0]}
    print(f"\n{len(history)} rounds; growth per round after the first {WARM_UP}: {slopes}")
    for name in ("descriptors", "threads", "temporary files"):
        assert history[-1][name] <= history[WARM_UP][name], (name, history)
    assert slopes["native threads"] < 0.5
    assert slopes["MB"] < 5
