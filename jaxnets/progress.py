"""What a person sees while nets train: bars on a terminal, plain lines elsewhere."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from jaxnets.record import Json


class Reporter:
    """Prints one run's progress. On a terminal a bar moves with every call; otherwise a line an epoch."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._bar: Progress | None = None
        self._task: TaskID | None = None

    @contextmanager
    def run(self, title: str, total_steps: int, done: int) -> Iterator[None]:
        """The time of one run."""
        self.note(title)
        if not self.console.is_terminal:
            yield
            return
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%  {task.fields[figures]}"),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=self.console, transient=True) as self._bar:
            self._task = self._bar.add_task("starting", total=total_steps, completed=done, figures="compiling")
            yield
        self._bar = self._task = None

    def step(self, step: int, epoch: int, epochs: int, loss: float, accuracy: float | None, rate: float) -> None:
        """After each call of the compiled program: means over seeds of the epoch so far, and images a second."""
        if self._bar is None or self._task is None:
            return
        figures = f"loss {loss:.4f}" + (f"  accuracy {100 * accuracy:.2f}%" if accuracy is not None else "")
        self._bar.update(
            self._task, completed=step, description=f"epoch {epoch}/{epochs}", figures=f"{figures}  {rate:,.0f} images/s"
        )

    def epoch(self, line: Json, epochs: int, rate: float, left: float) -> None:
        """After each epoch: its line of metrics.jsonl."""

        def mean(split: str, name: str) -> float:
            values = [v for v in line[split].get(name, []) if v == v]
            return sum(values) / len(values) if values else float("nan")

        if self._bar is None:
            accuracy = "accuracy" in line["train"]
            self.note(
                f"epoch {line['epoch']}/{epochs}  train loss {mean('train', 'loss'):.4f}"
                + (f" accuracy {100 * mean('train', 'accuracy'):.2f}%" if accuracy else "")
                + f"  validation loss {mean('validation', 'loss'):.4f}"
                + (f" accuracy {100 * mean('validation', 'accuracy'):.2f}%" if accuracy else "")
                + f"  {rate:,.0f} images/s  {left:.0f} s left"
            )

    def note(self, text: str) -> None:
        """A line of its own."""
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)
