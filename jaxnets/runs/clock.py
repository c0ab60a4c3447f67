"""Where a run's time goes."""

import time
from collections.abc import Callable


class Clock:
    """Books the time between laps, and how much of it was compilation."""

    def __init__(self, compile_seconds: Callable[[], float]) -> None:
        self.seconds = {"train": 0.0, "eval": 0.0, "compile": 0.0, "save": 0.0}
        self._compile_seconds = compile_seconds
        self._last, self._compiled = time.perf_counter(), compile_seconds()

    def lap(self, name: str) -> None:
        """Books the time since the lap before under `name`."""
        now, compiled = time.perf_counter(), self._compile_seconds()
        self.seconds["compile"] += compiled - self._compiled
        self.seconds[name] += now - self._last - (compiled - self._compiled)
        self._last, self._compiled = now, compiled
