"""One process works in a folder: on this host by flock, on others, where that may not reach, by what the file says."""

import fcntl
import os
import subprocess
import sys
import threading
import time

import pytest

from jaxnets import registry
from jaxnets.errors import UserError
from jaxnets.runs import lock
from jaxnets.runs.folder import RunFolder
from jaxnets.runs.lock import Lock, is_held

HOLD = """
import sys, time
from pathlib import Path
from jaxnets.runs import lock
if len(sys.argv) > 2:
    lock.socket.gethostname = lambda: sys.argv[2]
held = lock.Lock(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / ".lock"


@pytest.fixture
def hold(path):
    """A function that starts another process, of a host of any name, which holds the lock."""
    started = []

    def start(*host):
        process = subprocess.Popen([sys.executable, "-c", HOLD, path, *host], stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout.readline() == "held\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def kill(process):
    process.kill()
    process.wait()


def flock_stays_on_its_host(monkeypatch):
    """As on a file system that keeps locks to each host: that of another is never in the way."""
    monkeypatch.setattr(fcntl, "flock", lambda file, kind: None)


def test_a_lock_of_this_host_ends_with_its_process(path, hold):
    other = hold()
    assert is_held(path)
    with pytest.raises(UserError, match="another process is running in .*; wait for it"):
        Lock(path)
    kill(other)
    assert not is_held(path)
    Lock(path).release()
    assert not is_held(path)


def test_who_asks_for_a_moment_is_in_nobodys_way(path):
    with path.open("ab+") as asking:
        fcntl.flock(asking, fcntl.LOCK_SH)  # What `is_held` has while it looks.
        ends = threading.Timer(0.2, fcntl.flock, (asking, fcntl.LOCK_UN))
        ends.start()
        Lock(path).release()
        ends.join()


def test_another_host_is_seen_where_its_lock_does_not_reach(path, hold, monkeypatch):
    hold("node1")
    flock_stays_on_its_host(monkeypatch)
    assert is_held(path)
    with pytest.raises(UserError, match=r"a process of node1 was running \d s ago \(it counts as gone after 120 s\) in "):
        Lock(path)


def test_a_dead_host_counts_as_gone_after_a_while(path, hold, monkeypatch):
    kill(hold("node1"))
    assert is_held(path)  # Who knows?
    touched = path.stat().st_mtime
    os.utime(path, (touched, touched - lock._GONE - 1))
    assert not is_held(path)
    Lock(path).release()


def test_a_holder_gives_signs_of_life_and_leaves_none(path, monkeypatch):
    monkeypatch.setattr(lock, "_BEAT", 0.01)
    held = Lock(path)
    os.utime(path, (0, 0))
    limit = time.monotonic() + 30
    while path.stat().st_mtime < 1 and time.monotonic() < limit:
        time.sleep(0.01)
    assert abs(path.stat().st_mtime - time.time()) < 60
    held.release()
    monkeypatch.setattr(lock.socket, "gethostname", lambda: "node2")
    assert not is_held(path)


def test_a_file_system_without_locks_is_named(tmp_path, monkeypatch):
    def refuse(file, kind):
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    plain = registry.all_experiments()["cifar10/lenet/plain"]
    with pytest.raises(UserError, match="cannot write to .*: No locks available; choose another --out"):
        RunFolder(tmp_path / "run").open(plain, {})
