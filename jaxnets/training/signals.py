"""Deferred signals: they are collected while a step runs, and acted on between steps."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import Any


class Interrupted(Exception):  # noqa: N818  # Nothing went wrong.
    """Training stopped on a signal, after saving. `signal` is its number."""

    def __init__(self, number: int, message: str) -> None:
        super().__init__(message)
        self.signal = number


@contextlib.contextmanager
def defer_signals() -> Iterator[list[int]]:
    """Collects the numbers of SIGINT and SIGTERM in the list it yields. A second signal has its usual effect.

    Only a process's main thread can receive signals: in another thread the list stays empty.
    """
    received: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield received
        return

    def note(number: int, frame: Any) -> None:
        received.append(number)
        signal.signal(number, before[signal.Signals(number)])

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
