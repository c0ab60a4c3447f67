"""The lock of a run's folder: one process at a time works there, on whatever host.

The lock itself is flock(2), which ends with its process. It reaches other hosts where the file system carries it there: NFS,
and Lustre mounted with `flock`. Others keep it to each host (Lustre with `localflock`, NFS with `local_lock`, most that
present an object store as files). So the holder also writes the name of its host into the file and touches it now and then;
who finds another host's name, touched lately, stays away. Where the lock does not reach, two that start within the same
moment do not see each other.
"""

import contextlib
import fcntl
import os
import socket
import tempfile
import threading
import time
from pathlib import Path
from typing import BinaryIO

from jaxnets.errors import UserError

_BEAT, _GONE = 20.0, 120.0
"""Seconds between two touches, and without one until the holder counts as gone: what NFS may show late is within."""
_PATIENCE = 1.0
"""Seconds to try for a lock: whoever asks `is_held` has a share in it for a moment."""


class Lock:
    """A lock that this process holds, from its making until `release`, or until it ends, however it ends."""

    def __init__(self, path: Path) -> None:
        """Raises UserError where another process holds it; OSError where the file system has no locks."""
        self._file = path.open("ab+")
        try:
            holder = _elsewhere(path) if _taken(self._file) else "another process is running"
        except OSError:
            self._file.close()
            raise
        if holder:
            self._file.close()
            raise UserError(f"{holder} in {path.parent}; wait for it, or choose another --out")
        self._mark(socket.gethostname().encode())
        self._ended = threading.Event()
        self._beat = threading.Thread(target=self._touch, daemon=True)
        self._beat.start()

    def release(self) -> None:
        """Lets other processes have it."""
        self._ended.set()
        self._beat.join()
        with contextlib.suppress(OSError):
            self._mark(b"")
        self._file.close()

    def _mark(self, text: bytes) -> None:
        self._file.truncate(0)
        self._file.write(text)
        self._file.flush()

    def _touch(self) -> None:
        while not self._ended.wait(_BEAT):
            with contextlib.suppress(OSError):
                os.utime(self._file.fileno())


def _taken(file: BinaryIO) -> bool:
    """Takes the lock; whether that could be done before patience ended."""
    end = time.monotonic() + _PATIENCE
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() > end:
                return False
            time.sleep(_PATIENCE / 50)


def is_held(path: Path) -> bool:
    """Whether a process holds it, on this host or another."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return bool(_elsewhere(path))
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False


def _elsewhere(path: Path) -> str:
    """Who holds the lock on another host, in words; empty if nobody does."""
    with path.open("rb") as file:  # Opening it asks the file's server.
        host, touched = file.read().decode("utf-8", "replace"), os.fstat(file.fileno()).st_mtime
    age = _now(path.parent) - touched
    if host in ("", socket.gethostname()) or age > _GONE:
        return ""
    return f"a process of {host} was running {max(0, age):.0f} s ago (it counts as gone after {_GONE:.0f} s)"


def _now(folder: Path) -> float:
    """The time by the clock of the file system, which may be another than this host's."""
    with contextlib.suppress(OSError), tempfile.TemporaryFile(dir=folder) as file:
        return os.fstat(file.fileno()).st_mtime
    return time.time()
