"""Several processes that train one run together, on one host or many, by `jax.distributed`.

Every process runs the same program on the same data, each with its own part of the seeds or of the batch (see
jaxnets.training.parallel). Process 0, the writer, keeps the run's folder and speaks; it needs no file that the others see.
What depends on a clock, a signal or a file is agreed on, so that all take the same branch: a process that takes another
waits for the others in a collective operation for ever. In a process that works alone all these functions are free.

Heartbeats of JAX's coordination service tell when a process is gone; it then ends the others, which is explained.
"""

import contextlib
import ctypes
import json
import os
import signal
import socket
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

import jax
import numpy as np
from jax.experimental import multihost_utils

from jaxnets.errors import Diverged, UserError, first_line
from jaxnets.training import parallel

LOST = 75
"""Exit status where another process is gone: EX_TEMPFAIL of sysexits.h, "try again"."""
_HEARTBEAT_TIMEOUT, _START_TIMEOUT = 30, 120
"""Seconds without a sign of life, and for all processes to come."""
_AUTO = "auto"


class _Agreed(UserError):  # noqa: N818
    """An error of one process that all have raised."""


def count() -> int:
    """Processes that work together; 1 without `join`."""
    return jax.process_count() if jax.distributed.is_initialized() else 1


def is_writer() -> bool:
    """Whether this process keeps the run's folder and speaks."""
    return count() == 1 or jax.process_index() == 0


@contextlib.contextmanager
def join(where: str, process: str, report: Callable[[BaseException], int]) -> Iterator[None]:
    """Joins the processes at `where`, before the first use of a device. Only the writer's standard output is heard.

    An exception ends this process with the status that `report` returns after printing it: at once, unless all have raised
    it. The others, which wait for it in vain, end with LOST.

    Args:
      where: HOST:PORT of process 0, or "auto" in a job of SLURM, Open MPI, Kubernetes or a TPU pod.
      process: I/N, the I-th of N processes counted from 0; empty with "auto".
      report: prints an exception for the user and returns the exit status.

    Raises:
      UserError: what is given is malformed, there is no such job, the port is in use, or nobody is there.
    """
    _start(where, process)
    try:
        with contextlib.nullcontext() if is_writer() else contextlib.redirect_stdout(_nowhere()):
            yield
    except BaseException as error:
        status = _status(error, report)
        if _is_common(error):
            _part()
        _leave(status)
    _part()


def can_go_on(error: UserError) -> bool:
    """Whether there can be another run after this error: not where the other processes do not raise it too."""
    return count() == 1 or _is_common(error)


def _is_common(error: BaseException) -> bool:
    """Whether all processes raise it."""
    return isinstance(error, _Agreed | Diverged)


def largest(values: Any) -> np.ndarray:
    """The element-wise maximum of an array of integers over all processes."""
    values = np.asarray(values, np.int32)
    return values if count() == 1 else multihost_utils.process_allgather(values).max(0)


def gather(text: str) -> list[str]:
    """A text of each process, by process."""
    if count() == 1:
        return [text]
    content = np.frombuffer(text.encode(), np.uint8)
    lengths = multihost_utils.process_allgather(np.int32(content.size))
    rows = multihost_utils.process_allgather(np.pad(content, (0, int(lengths.max()) - content.size)))
    return [row[:length].tobytes().decode() for row, length in zip(rows, lengths, strict=True)]


def from_writer(value: Any) -> Any:
    """The writer's JSON value on every process."""
    return value if count() == 1 else json.loads(gather(json.dumps(value) if is_writer() else "")[0])


def arrays_from_writer(tree: Any) -> Any:
    """The writer's NumPy arrays on every process, bit for bit. On the others `tree` gives structure, shapes and types."""
    if count() == 1:
        return tree

    def from_bytes(leaf: Any) -> Any:
        # The sum over processes that carries them would make 0 of -0.
        content = np.ascontiguousarray(leaf).reshape(-1).view(np.uint8)
        return multihost_utils.broadcast_one_to_all(content).view(leaf.dtype).reshape(leaf.shape)

    return jax.tree.map(from_bytes, tree)


def together(function: Callable[[], Any]) -> Any:
    """Calls a function on every process. A UserError of one is raised by all."""
    if count() == 1:
        return function()
    result, problem = None, ""
    try:
        result = function()
    except UserError as error:
        problem = str(error)
    problems = gather(problem)
    for process, text in enumerate(problems):
        if text:
            same = all(other == text for other in problems)
            raise _Agreed(text if same or process == 0 else f"process {process}: {text}")
    return result


def written(function: Callable[[], Any]) -> Any:
    """What a function that writes or reads the run's files returns on the writer, which alone calls it; None elsewhere.

    Its UserError is raised by all.
    """
    return together(lambda: function() if is_writer() else None)


def require_same(facts: Callable[[], Mapping[str, Any]]) -> None:
    """Raises UserError on all processes where they are not about to do the same, naming what differs."""
    if count() == 1:
        return
    everywhere = [json.loads(text) for text in gather(json.dumps(dict(facts())))]
    for process, other in enumerate(everywhere):
        different = [name for name in {**everywhere[0], **other} if everywhere[0].get(name) != other.get(name)]
        if different:
            shown = [f"{name} ({everywhere[0].get(name)} and {other.get(name)})" for name in different[:4]]
            raise _Agreed(
                f"processes 0 and {process} differ in {', '.join(shown)}{', …' if len(different) > 4 else ''}; start the "
                "same command with the same code and data in all"
            )


@contextlib.contextmanager
def own_folder(folder: Path) -> Iterator[Path]:
    """`folder` for the writer, and for others one that nobody keeps, so that all do the same."""
    with contextlib.nullcontext(str(folder)) if is_writer() else tempfile.TemporaryDirectory() as own:
        yield Path(own)


def _start(where: str, process: str) -> None:
    arguments = _arguments(where, process)
    jax.config.update("jax_enable_preemption_service", False)  # It would take SIGTERM, on which a run saves.
    _explain_abort()
    try:
        jax.distributed.initialize(
            **arguments, initialization_timeout=_START_TIMEOUT, heartbeat_timeout_seconds=_HEARTBEAT_TIMEOUT
        )
    except (ValueError, RuntimeError, OSError, KeyError) as error:
        if where == _AUTO:
            raise UserError(
                f"--distributed auto: this is no job of SLURM, Open MPI, Kubernetes or a TPU pod ({first_line(error)}); "
                "give --distributed HOST:PORT --process I/N"
            ) from None
        raise UserError(f"--distributed {where}: {first_line(error)}") from None
    parallel.split_cpu(1)
    _phases.append("training")
    if not parallel.is_even():
        raise UserError(f"--distributed {where}: all processes must have the same number of devices")


def _arguments(where: str, process: str) -> dict[str, Any]:
    """Of jax.distributed.initialize. The runtime would abort, or wait, where a port is in use or nobody is there."""
    if where == _AUTO:
        if process:
            raise UserError("--process is for --distributed HOST:PORT; with auto it is taken from the job")
        return {}
    host, _, port = where.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 2**16:
        raise UserError(f"--distributed must be auto or HOST:PORT, such as node1:9876, got {where}")
    index, _, number = process.partition("/")
    if not (index.isdecimal() and number.isdecimal() and int(index) < int(number)):
        raise UserError(f"--process must be I/N with I from 0 to N - 1, such as 0/2, got {process or 'nothing'}")
    if int(index) == 0:
        _check_free(where, int(port))
    elif int(number) > 1:
        _wait_for(where, host.strip("[]"), int(port))
    return {"coordinator_address": where, "num_processes": int(number), "process_id": int(index)}


def _check_free(where: str, port: int) -> None:
    try:
        with socket.socket(socket.AF_INET) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(("", port))
    except OSError as error:
        raise UserError(f"--distributed {where}: port {port} cannot be used ({error.strerror}); choose another") from None


def _wait_for(where: str, host: str, port: int) -> None:
    limit = time.monotonic() + _START_TIMEOUT
    while True:
        try:
            with socket.create_connection((host, port), timeout=5):
                return
        except OSError as error:
            if time.monotonic() > limit or isinstance(error, socket.gaierror):
                raise UserError(
                    f"--distributed {where}: process 0 cannot be reached there ({error.strerror or error}); start it on "
                    "that host with the same --distributed"
                ) from None
        time.sleep(0.2)


_phases = ["starting"]
"""What this process is about, the last of which counts."""


def _explain_abort() -> None:
    """Adds a line for the user where JAX's runtime aborts the process, and ends it with LOST.

    Python's own handlers never run after an abort. The callback that JAX's client takes for it cannot be a Python function
    (jax 0.10).
    """
    ctypes.CDLL(None).signal(signal.SIGABRT, _aborted)


@ctypes.CFUNCTYPE(None, ctypes.c_int)
def _aborted(number: int) -> None:
    explained = {
        "starting": f"not all processes came within {_START_TIMEOUT} s; start all of them with the same --distributed",
        "training": _lost("see the message above and those of the other processes"),
        "the end": "another process ended before all were done; the run's folder says what is complete",
    }
    os.write(2, f"jaxnets: error: {explained[_phases[-1]]}\n".encode())
    os._exit(LOST)


def _lost(why: str) -> str:
    return f"another process ended ({why}); run the same command again in all to go on from the last checkpoint"


def _status(error: BaseException, report: Callable[[BaseException], int]) -> int:
    """Prints an exception that ends this process, and returns its exit status."""
    if _is_common(error) and not is_writer():
        return 2
    # A program that has run before raises JAX's own error, at its first run it may be a ValueError.
    is_the_runtimes = isinstance(error, (jax.errors.JaxRuntimeError, ValueError))
    if is_the_runtimes and any(name in str(error) for name in ("Gloo", "NCCL", "UNAVAILABLE")):
        print(f"jaxnets: error: {_lost(first_line(error))}", file=sys.stderr)
        return LOST
    try:
        return report(error)
    except BaseException:
        traceback.print_exc()
        return 1


def _part() -> None:
    """Waits for the others to be done too."""
    _phases.append("the end")
    jax.distributed.shutdown()


def _leave(status: int) -> NoReturn:
    """Ends this process without waiting for the others."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(status)


def _nowhere() -> Any:
    return Path(os.devnull).open("w", encoding="utf-8")  # To the process's end.
