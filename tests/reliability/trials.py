"""Malformed calls of the command line, and what is expected of each of them: an exit status and one clear line."""

import collections
import contextlib
import io
import os
import re
import signal
import time
import traceback
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from jaxnets import cli

SECONDS = 60
"""The longest that a call may compute; ten times that where other programs hold the processor, or while it waits."""


class Trial(NamedTuple):
    """One call."""

    kind: str
    """For the summary: what is malformed."""
    what: str
    """How: for whoever looks into a fault."""
    arguments: list[str]
    must_fail: bool
    """Whether nothing but a refusal can be right."""
    named: tuple[str, ...] = ()
    """The message of a refusal contains one of these: the option, value, file or folder."""


class Outcome(NamedTuple):
    """What came of a trial."""

    status: int | None
    out: str
    error: str
    fault: str
    """What is wrong with it; empty if nothing is."""


class _Hang(BaseException):
    pass


def call(arguments: Iterable[str], seconds: float = SECONDS) -> Outcome:
    """Runs a command here. A fault is an exception that gets out, or a call that takes too long."""
    out, error, status, fault = io.StringIO(), io.StringIO(), None, ""
    computed, began = time.process_time(), time.monotonic()

    def look(number, frame):
        if time.process_time() - computed > seconds or time.monotonic() - began > 10 * seconds:
            raise _Hang

    before = signal.signal(signal.SIGALRM, look)
    signal.setitimer(signal.ITIMER_REAL, seconds, 5)  # Again and again: a callback of a library may swallow the first.
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error), warnings.catch_warnings():
            warnings.simplefilter("default")  # As for users; here and there a library warns of what it is given.
            status = cli.main([str(argument) for argument in arguments])
    except SystemExit as stop:  # Help texts.
        status = stop.code
        fault = "" if status in (0, None) else f"SystemExit {status}"
    except _Hang:
        fault = f"hang: {traceback.format_exc(limit=-4)}"
    except BaseException:
        fault = f"traceback: {traceback.format_exc(limit=-4)}"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    return Outcome(status, out.getvalue(), error.getvalue(), fault)


def judge(trial: Trial) -> Outcome:
    """Runs a trial and says what is wrong with its outcome."""
    outcome = call(trial.arguments)
    lines = [line for line in outcome.error.splitlines() if line.startswith("jaxnets: ")]
    if outcome.fault:
        return outcome
    if "Traceback (most recent call last)" in outcome.error:
        return outcome._replace(fault="traceback on stderr")
    if outcome.status in (0, None):
        return outcome._replace(fault="status 0 where an error was due" if trial.must_fail else "")
    if len(lines) != 1 or lines[0] != outcome.error.splitlines()[-1]:
        return outcome._replace(fault=f"{len(lines)} lines of errors")
    message = lines[0].removeprefix("jaxnets: error: ")
    if len(message) > 2000:
        return outcome._replace(fault=f"a message of {len(message)} characters")
    if re.search(r"[\0-\x08\x0b-\x1f\x7f]", message):
        return outcome._replace(fault="a message with control characters")
    words = re.sub(r"[-_]", "", message).lower()
    if trial.named and not any(re.sub(r"[-_]", "", name).lower() in words for name in trial.named if name):
        return outcome._replace(fault=f"the message names none of {', '.join(trial.named)}")
    return outcome


def run_all(trials: Iterable[Trial]) -> list[str]:
    """Runs trials, prints a table by kind, and returns a description of each fault."""
    counts, faults = collections.Counter(), []
    for number, trial in enumerate(trials):
        here = Path.cwd()
        outcome = judge(trial)
        os.chdir(here)
        counts[trial.kind, "refused" if outcome.status else "done"] += 1
        if outcome.fault:
            counts[trial.kind, "faulty"] += 1
            fault = (
                f"trial {number}, {trial.kind}, {trial.what}:\n  jaxnets {' '.join(trial.arguments)[:600]}\n"
                f"  {outcome.fault}\n  status {outcome.status}\n  {outcome.error[-600:]}"
            )
            faults.append(fault.encode("utf-8", "backslashreplace").decode())
    print(f"\n{'MALFORMED':<28}{'refused':>9}{'done':>9}{'faulty':>9}")
    for kind in sorted({kind for kind, _ in counts}):
        print(f"{kind:<28}" + "".join(f"{counts[kind, what]:>9}" for what in ("refused", "done", "faulty")))
    return faults
