"""Commands in processes that can be killed.

They are forked from one that has imported jaxnets and computed nothing yet: its only thread is the one that forks, so the
copies are whole, and each starts in milliseconds where a new interpreter takes seconds.
"""

import contextlib
import multiprocessing
import os
import resource
import signal
import socket
import sys
import time
from pathlib import Path

_IMPORTED = """
    jaxnets.cli jaxnets.runs.train jaxnets.runs.sweep jaxnets.models jaxnets.analysis.report.tables
    jaxnets.analysis.report.sweep_table jaxnets.tasks.classification jaxnets.tasks.char_lm
    jaxnets.models.cnn jaxnets.models.char_rnn jaxnets.data.catalog
""".split()


def free_port():
    """A port that nothing listens on."""
    with socket.socket() as trial:
        trial.bind(("", 0))
        return trial.getsockname()[1]


@contextlib.contextmanager
def starter(data):
    """Yields a function that starts a command. `data` is the folder of prepared sets."""
    before = dict(os.environ)
    # Libraries of linear algebra start threads when they are imported.
    os.environ |= {"JAXNETS_DATA": str(data), "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_IMPORTED)
    started = []

    def start(arguments, output, devices=1, addresses=None):
        """`addresses`: bytes that the process may map beyond those that it has when it starts."""
        arguments = [str(argument) for argument in arguments]
        command = context.Process(target=_command, args=(arguments, str(output), devices, addresses), daemon=True)
        command.start()
        started.append(command)
        return command

    try:
        yield start
    finally:
        for command in started:
            if command.is_alive():
                command.kill()
            command.join()
        os.environ.clear()
        os.environ |= before


def _command(arguments, output, devices, addresses):
    """What the process does."""
    [threads] = [
        line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("Threads")
    ]
    assert threads == "1", threads
    os.setpgid(0, 0)
    os.dup2(os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND), 1)
    os.dup2(1, 2)
    sys.stdout = sys.stderr = open(1, "w", buffering=1, closefd=False)  # noqa: SIM115
    import jax

    from jaxnets import cli

    jax.config.update("jax_num_cpu_devices", devices)
    if addresses:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + addresses, resource.RLIM_INFINITY))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.exit(cli.main(arguments))


def kill_after(command, ready, delay):
    """Kills a command `delay` seconds after `ready()`, unless it has ended by then. Returns whether it was killed."""
    limit = time.monotonic() + 600
    while not ready() and command.is_alive():
        assert time.monotonic() < limit, "the command hangs"
        time.sleep(0.01)
    command.join(delay)
    alive = command.is_alive()
    if alive:
        command.kill()
    command.join()
    return alive and command.exitcode == -signal.SIGKILL
