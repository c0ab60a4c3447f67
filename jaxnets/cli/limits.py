"""Limits of the process that are too low for JAX: its runtime would end the process, or leave tracebacks behind."""

import ctypes
import os
import resource
import threading

from jaxnets.errors import UserError

_ARENA_MAX = -8
"""Of mallopt(3), in glibc."""
_FILES, _FEWEST_FILES = 1_024, 64
"""Open files that are asked for where the limit may be raised, and those that a checkpoint needs."""
_ADDRESSES = 1_000_000_000
"""Bytes that libraries, threads' stacks and heaps map before the first computation; little of it is ever used."""


def threads(computes: bool) -> int:
    """Threads that libraries start: of linear algebra one for each core, to compute several pools of such, and those of
    Orbax, of which 2 cores have 46 in all.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return 25 + 8 * cores if computes else min(cores, 64)


def check(computes: bool) -> None:
    """Raises UserError for a limit that is too low, and raises that on open files where the system lets it.

    `computes` says whether JAX is to compute or only to be imported.
    """
    addresses, _ = resource.getrlimit(resource.RLIMIT_AS)
    if addresses != resource.RLIM_INFINITY and addresses < _ADDRESSES:
        raise UserError(
            f"this process can map {addresses / 1e6:,.0f} MB of addresses, and JAX needs {_ADDRESSES / 1e6:,.0f} MB to "
            "start: raise its limit (ulimit -v), or limit memory by a container, where only what is used counts"
        )
    files, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files != resource.RLIM_INFINITY and files < _FILES:
        files = _FILES if most == resource.RLIM_INFINITY else min(_FILES, most)
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, most))
        if files < _FEWEST_FILES:
            raise UserError(f"this process can open {files} files, and needs {_FEWEST_FILES}: raise its limit (ulimit -n)")
    number = threads(computes)
    if (started := _started(number)) < number:
        raise UserError(
            f"this process can start {started} threads, and JAX needs {number}: raise its limits (ulimit -u and -v, or the "
            "container's on processes)"
        )


def _started(number: int) -> int:
    """How many of so many threads can be started; they end at once.

    All share one heap. By default each gets one, 64 MB of addresses that stay mapped, and the threads that compute would
    take those over, which `jaxnets.training.process` avoids.
    """
    if mallopt := getattr(ctypes.CDLL(None), "mallopt", None):
        mallopt(_ARENA_MAX, 1)
    end, started = threading.Event(), []
    try:
        for _ in range(number):
            started.append(threading.Thread(target=end.wait))
            started[-1].start()
    except RuntimeError:
        started.pop()
    finally:
        end.set()
        for thread in started:
            thread.join()
    return len(started)
