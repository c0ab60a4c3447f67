"""Progress of training: a bar on a terminal, plain lines elsewhere."""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import IO, Any, cast

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from jaxnets.runs.statistics import Json, mean_std

_SECONDS = 2.0
"""Between two lines while data are prepared."""


class _Stream:
    """A stream that falls silent from the first write that fails, and knows it."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self.broken = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        self._try(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        self._try(self._stream.flush)

    def _try(self, call: Callable[[], Any]) -> None:
        if not self.broken:
            try:
                call()
            except OSError:  # A closed pipe, a terminal that is gone, a full disk.
                self.broken = True


class Reporter:
    """Prints the progress of runs to `console`: on a terminal a moving bar, otherwise one line per epoch."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._stream = _Stream(console.file)
        self.console.file = cast(IO[str], self._stream)
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._prepared_at = time.monotonic()

    @property
    def unheard(self) -> bool:
        """Whether the output could not be written, so that nobody reads it: training then saves and stops."""
        return self._stream.broken

    @contextmanager
    def run(self, title: str, total_steps: int, done: int) -> Iterator[None]:
        """Context of one run of `total_steps`, of which `done` are finished already if it is resumed."""
        self.note(title)
        if not self.console.is_terminal:
            yield
            return
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%  {task.fields[metrics]}"),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=self.console, transient=True) as self._bar:
            self._task = self._bar.add_task("starting", total=total_steps, completed=done, metrics="compiling")
            yield
        self._bar = self._task = None

    def preparation(self, stage: str, done: int, total: int) -> None:
        """Prints how far the reading of data is, every two seconds."""
        if (now := time.monotonic()) - self._prepared_at >= _SECONDS:
            self._prepared_at = now
            self.note(f"{stage}: {done:,} of {total:,}")

    def step(self, step: int, epoch: int, epochs: int, means: Mapping[str, float], rate: float) -> None:
        """Updates the bar after each call of the compiled program.

        Args:
          step: steps done.
          epoch: the current epoch, from 1.
          epochs: epochs in all.
          means: metrics of the epoch so far, means over seeds.
          rate: examples per second, all seeds together.
        """
        if self._bar is not None and self._task is not None:
            metrics = f"{_format(means)}  {rate:,.0f} examples/s"
            self._bar.update(self._task, completed=step, description=f"epoch {epoch}/{epochs}", metrics=metrics)

    def epoch(self, line: Json, epochs: int, rate: float, left: float) -> None:
        """Prints an epoch: its `line` of metrics.jsonl, `rate` in examples per second, and `left`, the seconds remaining."""
        if self._bar is None:
            means = {
                split: {name: mean_std(values)["mean"] for name, values in line[split].items()}
                for split in ("train", "validation")
            }
            self.note(
                f"epoch {line['epoch']}/{epochs}  train {_format(means['train'])}  validation "
                f"{_format(means['validation'])}  {rate:,.0f} examples/s  {left:.0f} s left"
            )

    def first_loss(self, loss: float, classes: int) -> None:
        """Says whether the first cross entropy is that of random guessing, as from good weights (report S4 §4.5)."""
        guessing = math.log(classes)
        verdict = "as of random guessing" if abs(loss - guessing) < 0.1 else "not that of random guessing"
        self.note(f"first loss {loss:.4f}, ln({classes}) = {guessing:.4f}: {verdict}")

    def note(self, text: str) -> None:
        """Prints one line."""
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)


def _format(means: Mapping[str, float]) -> str:
    """Metrics on one line: accuracies in percent, everything else as it is."""
    return " ".join(
        f"{name} {100 * value:.2f}%" if name == "accuracy" else f"{name} {value:.4f}" for name, value in means.items()
    )
