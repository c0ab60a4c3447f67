"""The command line: `jaxnets COMMAND …`. Each command parses its arguments, makes one call, and prints the result."""

import contextlib
import errno
import importlib
import io
import logging
import os
import signal
import sys
from collections.abc import Sequence

from jaxnets import __version__
from jaxnets.cli import limits
from jaxnets.errors import UserError, first_line, one_line

USAGE = """\
usage: jaxnets COMMAND [ARGUMENTS]

Classic small-network experiments, re-run in JAX with error bars over seeds.

  list                    the experiments: id, data set, source, reported accuracy
  show ID                 one experiment: configuration, parameter count, reported results, state of its data
  data status             the data sets and whether they are ready
  data show NAME          one data set: what it holds, whether it is ready, how to get it
  data prepare NAME       download a data set, or read it from --manual-dir, and store it for training
  run ID…                 train; any field of the configuration can be set, for example --optim.lr 3e-4
  plan ID…                what training would take on an accelerator that is not here: memory, work, bounds of its time
  sweep ID                search hyperparameters: --over optim.lr=1e-3,1e-2 --over model.width=16,32
  report DIR…             make an HTML page with tables and plots of finished runs

  reproduce DOCUMENT      train what a report's tables, figures and claims need, and make its page with our results
  claims [DOCUMENT…]      rule on what documents say of their experiments

  nets                    the trained nets that come with jaxnets
  sample RUN              generate names, or text that continues a --prompt
  classify RUN INPUT…     tell the classes of pictures, or whether reviews are positive or negative
  translate [RUN] TEXT…   translate French sentences into English
  ocr [RUN] PAGE          read the text on an image of a page
  visualize RUN VIEW      look inside a CNN: filters, activations, maximize, deconvnet, occlusion, transfer
  export RUN              write a net for PyTorch: its weights, and code that needs nothing else

  theory                  three facts checked numerically: shift invariance of softmax, vanishing gradients,
                          symmetry of zero initialization
  bench [WORKLOAD…]       time training against PyTorch (needs a source checkout)

`jaxnets COMMAND --help` lists the options of a command. An ID names one experiment (cifar10/lenet/super), a family
(cifar10/lenet) or a config file of your own (mine.py). RUN is the folder of one run, or one of `jaxnets nets`.
Exit status: 0 done, 1 some experiments failed, 2 bad input, 75 another process of a run is gone, 129, 130, 141 or 143
interrupted (128 + the signal).
"""

COMMANDS = {
    "list": "experiments:list_all",
    "show": "experiments:show",
    "data": "data:data",
    "run": "run:run",
    "plan": "plan:plan",
    "sweep": "sweep:sweep",
    "report": "report:report",
    "reproduce": "reproduce:reproduce",
    "claims": "claims:claims",
    "nets": "nets:nets",
    "sample": "inference:sample",
    "classify": "inference:classify",
    "translate": "inference:translate",
    "ocr": "ocr:ocr",
    "export": "export:export",
    "theory": "theory:theory",
    "bench": "bench:bench",
    "visualize": "visualize:visualize",
}
"""The function (arguments) -> exit status of each command, in a module of this package that only this command imports."""
_WITHOUT_JAX = ("list", "nets")
_WITHOUT_COMPUTING = ("report", "claims")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns the exit status."""
    _open_standard_streams()
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # It can do without a folder for its caches.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # "?" for what the terminal cannot show.
    try:
        try:
            return _call(list(sys.argv[1:] if argv is None else argv))
        finally:
            sys.stdout.flush()
    except BaseException as error:
        return explain(error)


def _open_standard_streams() -> None:
    """Where a stream is closed (`>&-`), what is said goes nowhere, and no file takes its number."""
    if None in (sys.stdin, sys.stdout, sys.stderr):
        while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
            pass
        os.close(number)
        sys.stdout = sys.stdout or open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
        sys.stderr = sys.stderr or open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115


def explain(error: BaseException) -> int:
    """Prints what ended a command, and returns its exit status. Raises what is a defect of ours."""
    try:
        raise error
    except UserError as error:
        return _fail(str(error))
    except MemoryError:
        return _fail("out of memory: ask for less at once, or end other programs")
    except KeyboardInterrupt as stop:
        return _fail(str(stop) or "interrupted", 128 + signal.SIGINT)
    except (RuntimeError, AssertionError, ValueError):
        if problem := _wrong_setting():
            return _fail(f"JAX cannot be used with the JAX_… variables of this environment: {problem}")
        if _has_devices():
            raise
        asked = os.environ.get("JAX_PLATFORMS", "")
        return _fail(f"JAX_PLATFORMS={asked}: JAX finds no such device here; unset it, or install JAX with support for it")
    except OSError as error:
        if error.filename is not None or error.errno not in (errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EIO):
            raise
        # What could not be written must not be tried again when the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        if error.errno == errno.EPIPE:  # Nobody reads: as programs do that SIGPIPE ends.
            return 128 + signal.SIGPIPE
        return _fail(f"cannot write the output: {error.strerror}")


def _wrong_setting() -> str:
    """What JAX says of a variable of the environment that it cannot read; empty if it reads all."""
    try:
        importlib.import_module("jax")
    except ValueError as error:
        return first_line(error)
    return ""


def _has_devices() -> bool:
    """Whether JAX finds the devices that it was asked for."""
    from jaxnets.training import parallel

    try:
        parallel.describe_devices()
    except (RuntimeError, AssertionError):
        return False
    return True


def _call(args: list[str]) -> int:
    if not args or args[0] in ("-h", "--help"):
        print(USAGE, end="")
        return 0 if args else 2
    if args[0] == "--version":
        print(f"jaxnets {__version__}")
        return 0
    if args[0] not in COMMANDS:
        raise UserError(f"unknown command {args[0]!r}: choose from {', '.join(COMMANDS)}")
    if args[0] not in _WITHOUT_JAX:
        limits.check(computes=args[0] not in _WITHOUT_COMPUTING)
    module, _, function = COMMANDS[args[0]].partition(":")
    status: int = getattr(importlib.import_module(f"jaxnets.cli.{module}"), function)(args[1:])
    return status


def _fail(message: str, status: int = 2) -> int:
    """Prints one line and returns the status."""
    with contextlib.suppress(OSError):
        print(f"jaxnets: {'error: ' if status == 2 else ''}{one_line(message)}", file=sys.stderr, flush=True)
    return status
