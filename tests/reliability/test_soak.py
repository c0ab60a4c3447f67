"""Hours of use in one process: runs, stops, resumes, reports and questions leave nothing behind."""

import gc
import os
import shutil
import signal
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
    """Megabytes in memory, open descriptors, threads of Python and of the process, temporary files."""
    gc.collect()
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":" in line)
    return {
        "MB": int(status["VmRSS"].split()[0]) / 1000,
        "descriptors": len(os.listdir("/proc/self/fd")),  # noqa: PTH208
        "threads": threading.active_count(),
        "native threads": int(status["Threads"]),
        "temporary files": sum(len(names) + len(folders) for _, folders, names in os.walk(temporary)),
    }


def one_round(out, picture, monkeypatch):
    """A run that is stopped and resumed, a second one, questions to both, a report, a mistake."""
    append = RunFolder.append

    def append_and_stop(self, lines):
        append(self, lines)
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


@pytest.mark.skipif(not SECONDS, reason="only in the long form: JAXNETS_SOAK_SECONDS=3600")
def test_nothing_grows(places, tmp_path, monkeypatch):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setattr("tempfile.tempdir", None)
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
