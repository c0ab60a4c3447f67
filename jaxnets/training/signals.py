"""Deferred signals: they are collected while a step runs, and acted on between steps."""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from typing import Any


class Interrupted(Exception):  # noqa: N818  # Nothing went wrong.
    """Training stopped on a signal, after saving. `signal` is its number; SIGPIPE stands for output that nobody reads."""

    def __init__(self, number: int, message: str) -> None:
        super().__init__(message)
        self.signal = number


STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Ctrl-C, the request to end, and a lost terminal."""


@contextlib.contextmanager
def defer_signals() -> Iterator[list[int]]:
    """Collects the numbers of STOPPING in the list it yields. A second signal has its usual effect.

    What is ignored, as SIGHUP under nohup, stays ignored. Only the main thread of a process can receive signals: in another
    one the list stays empty.
    """
    received: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield received
        return

    def note(number: int, frame: Any) -> None:
        received.append(number)
        signal.signal(number, _at_once if number == signal.SIGINT else before[signal.Signals(number)])
        if number == signal.SIGINT and os.isatty(2):
            os.write(2, b"\njaxnets: saving; press Ctrl-C again to stop at once\n")  # print is not safe in a handler.

    before = {number: signal.signal(number, note) for number in STOPPING if signal.getsignal(number) != signal.SIG_IGN}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _at_once(number: int, frame: Any) -> None:
    raise KeyboardInterrupt("stopped at once; what was saved is kept: run the same command again to resume from there")
