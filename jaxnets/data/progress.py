"""How the data layer reports progress: through a function that the command line hands in."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

Report = Callable[[str, int, int], None]
"""Called as report(stage, done, total) while a set is prepared, for example ("reading train", 1000, 45000)."""

T = TypeVar("T")


def silent(stage: str, done: int, total: int) -> None:
    """Reports nothing."""


def track(items: Sequence[T], stage: str, report: Report, every: int = 100) -> Iterator[T]:
    """Yields `items` and reports after each `every` of them and at the end."""
    for done, item in enumerate(items, 1):
        yield item
        if done % every == 0 or done == len(items):
            report(stage, done, len(items))


@contextmanager
def watch(measure: Callable[[], int], total: int, stage: str, report: Report, seconds: float = 0.5) -> Iterator[None]:
    """Reports what `measure()` returns, whenever it has grown, while the body of the `with` statement runs.

    For work that offers no hook of its own, such as a download: `measure` is called from a second thread.
    """
    finished = threading.Event()

    def poll() -> None:
        previous = measure()
        while not finished.wait(seconds):
            current = measure()
            if current != previous:
                report(stage, min(current, total), total)
            previous = current

    thread = threading.Thread(target=poll, daemon=True)
    thread.start()
    try:
        yield
    finally:
        finished.set()
        thread.join()
