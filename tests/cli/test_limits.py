"""Limits of the process: one line where they are too low for JAX, whose runtime would abort."""

import resource
import subprocess
import sys
import threading

import pytest

from jaxnets import cli
from jaxnets.cli import limits


@pytest.mark.parametrize(
    ("kind", "bounds", "message"),
    [
        ("RLIMIT_AS", (300_000_000, 300_000_000), "can map 300 MB of addresses, and JAX needs 1,000 MB to start"),
        ("RLIMIT_NOFILE", (16, 16), "can open 16 files, and needs 64"),
    ],
)
def test_a_low_limit_ends_a_command_in_one_line(kind, bounds, message):
    command = [sys.executable, "-m", "jaxnets", "sample", "names", "--category", "Russian", "--start", "R"]
    # Set by a process between: JAX, which other tests have imported here, warns of a fork.
    limited = f"import os, resource; resource.setrlimit(resource.{kind}, {bounds}); os.execv({command[0]!r}, {command!r})"
    ended = subprocess.run([sys.executable, "-c", limited], capture_output=True, text=True)
    assert ended.returncode == 2
    [line] = ended.stderr.splitlines()
    assert line.startswith(f"jaxnets: error: this process {message}: raise its limit")


def test_the_limit_on_open_files_is_raised_where_it_may_be(monkeypatch):
    asked = []
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (16, 4096) if kind == resource.RLIMIT_NOFILE else (-1, -1))
    monkeypatch.setattr(resource, "setrlimit", lambda kind, bounds: asked.append((kind, bounds)))
    limits.check(computes=False)
    assert asked == [(resource.RLIMIT_NOFILE, (1024, 4096))]


@pytest.mark.parametrize("room", [0, 3, 12])
def test_too_few_threads_are_counted_and_ended(monkeypatch, capsys, room):
    """As where `ulimit -u` or a container allows no more."""
    start, started = threading.Thread.start, []

    def start_or_fail(self):
        if len(started) >= room:
            raise RuntimeError("can't start new thread")
        started.append(self)
        start(self)

    monkeypatch.setattr(threading.Thread, "start", start_or_fail)
    assert cli.main(["theory", "--depth", "1"]) == 2
    said = capsys.readouterr().err
    assert f"this process can start {room} threads, and JAX needs {limits.threads(computes=True)}: raise its limits" in said
    assert len(said.splitlines()) == 1
    assert len(started) == room
    assert not any(thread.is_alive() for thread in started)
    assert cli.main(["list"]) == 0


def test_with_room_for_its_threads_nothing_is_said():
    before = threading.active_count()
    limits.check(computes=True)
    assert threading.active_count() == before


def test_trying_threads_takes_no_addresses():
    """Each thread would leave a heap of 64 MB, which counts where addresses are limited."""
    program = """
from pathlib import Path
from jaxnets.cli import limits
pages = lambda: int(Path("/proc/self/statm").read_text().split()[0])
before = pages()
limits.check(computes=True)
print(pages() - before)
"""
    grown = int(subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout)
    assert grown * resource.getpagesize() < 64e6
