"""Training an experiment from its start, or from where it stopped, to its summary."""

import contextlib
import math
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxnets import parallel, program, record
from jaxnets.checkpoint import Checkpoints, Snapshot
from jaxnets.config import Experiment
from jaxnets.data import sets
from jaxnets.errors import UserError
from jaxnets.metrics import Metrics
from jaxnets.program import Program
from jaxnets.progress import Reporter
from jaxnets.record import Json, RunFolder, TensorBoard
from jaxnets.state import TrainState

_FIRST_STEPS = 400
"""Steps whose loss is recorded one by one, for the look of the first descent."""


class Interrupted(Exception):  # noqa: N818  # Nothing went wrong.
    """Training stopped on a signal, after saving. `signal` is its number."""

    def __init__(self, number: int, message: str) -> None:
        super().__init__(message)
        self.signal = number


class Best(NamedTuple):
    """The weights that validated best so far, each seed's own."""

    score: jax.Array
    epoch: jax.Array
    params: Any
    variables: Any


def train(
    experiment: Experiment,
    folder: Path,
    reporter: Reporter,
    checkpoint_every: float = 60.0,
    tensorboard: bool = False,
) -> Json:
    """Trains all seeds of an experiment in `folder` and returns the summary.

    A folder that holds an unfinished run of the same experiment is gone on with, bit for bit as if it had not stopped; a
    finished one is only read. Checkpoints are written at most every `checkpoint_every` seconds, on SIGINT and SIGTERM,
    and at the end. `tensorboard` adds event files for TensorBoard.

    Raises:
      UserError: data missing, sizes that do not fit, a folder of another experiment, a full disk.
      Interrupted: after a signal.
    """
    data = sets.open_set(experiment.dataset, experiment.data.embedded)
    run = RunFolder(folder)
    board = TensorBoard(folder) if tensorboard else None
    run.open(experiment, record.environment(parallel.describe_devices()))
    if run.finished:
        reporter.note(f"{experiment.id}: already finished in {folder}")
        return run.read("summary.json")
    built = program.build(experiment, data)
    with contextlib.ExitStack() as stack:
        checkpoints = stack.enter_context(contextlib.closing(Checkpoints(folder / "checkpoints")))
        sinks = [stack.enter_context(contextlib.closing(board)).write] if board else []
        return _Training(experiment, built, run, checkpoints, reporter, checkpoint_every, sinks).go()


class _Training:
    """The state of one call of `train`."""

    def __init__(
        self,
        experiment: Experiment,
        built: Program,
        run: RunFolder,
        checkpoints: Checkpoints,
        reporter: Reporter,
        checkpoint_every: float,
        sinks: Sequence[Callable[[Json], None]],
    ) -> None:
        self.experiment, self.program, self.run = experiment, built, run
        self.checkpoints, self.reporter, self.checkpoint_every = checkpoints, reporter, checkpoint_every
        self.sinks = sinks
        self.epochs = -(-built.total_steps // built.steps_per_epoch)
        self.state = built.init()
        self.best = Best(
            score=jnp.full_like(self.state.step, -jnp.inf, jnp.float32),
            epoch=jnp.zeros_like(self.state.step),
            # Copies: the state's own buffers are donated to the first step.
            params=jax.tree.map(jnp.copy, self.state.params),
            variables=jax.tree.map(jnp.copy, self.state.variables),
        )
        self.step = 0
        self.sums: dict[str, np.ndarray] = {}
        """Measures of the epoch under way: name -> [2, S] (total, weight)."""
        self.seconds = {"train": 0.0, "eval": 0.0, "compile": 0.0}
        self._keep_best = jax.jit(_keep_best)
        self._saved_at = time.perf_counter()
        self._reported_failures: set[int] = set()

    def go(self) -> Json:
        """Runs to the end of training."""
        self._resume()
        title = (
            f"{self.experiment.id} on {self.experiment.dataset}"
            f"{' (embedded stand-in)' if self.experiment.data.source == 'embedded' else ''}: "
            f"{self.program.parameters:,} parameters, {self.experiment.seeds} seeds, {self.epochs} epochs of "
            f"{self.program.steps_per_epoch} steps, {parallel.device_line()}"
        )
        with self.reporter.run(title, self.program.total_steps, self.step), _signals() as received:
            while self.step < self.program.total_steps:
                self._epoch(received)
            return self._finish()

    # ------------------------------------------------------------------------------------------------------------------

    def _resume(self) -> None:
        snapshot, problems = self.checkpoints.restore(self._snapshot())
        for problem in problems:
            self.reporter.note(problem)
        if snapshot is not None:
            self.state, self.best = snapshot.latest, Best(*snapshot.best)
            self.step = int(snapshot.progress["step"])
            self.sums = {name: np.asarray(pair) for name, pair in snapshot.progress["sums"].items()}
            self.seconds = dict(snapshot.progress["seconds"])
            self.reporter.note(f"resuming {self.experiment.id} at step {self.step}")
        self.run.forget_after(self.step)

    def _snapshot(self) -> Snapshot:
        progress = {
            "step": self.step,
            "sums": {name: pair.tolist() for name, pair in self.sums.items()},
            "seconds": self.seconds,
        }
        return Snapshot(self.state, tuple(self.best), progress)

    def _save(self) -> None:
        self.checkpoints.save(self.step, self._snapshot())
        self._saved_at = time.perf_counter()

    def _epoch(self, received: list[int]) -> None:
        """Trains to the end of the epoch under way, evaluates, records."""
        epoch, done = divmod(self.step, self.program.steps_per_epoch)
        stop = min(self.program.steps_per_epoch, done + self.program.total_steps - self.step)
        plan = self.program.plan(self.state.key, epoch)
        chunk = parallel.steps_per_call(self.program.steps_per_epoch)
        start, first, compiled = time.perf_counter(), self.step, self.program.compile_seconds()
        waiting: tuple[int, Metrics] | None = None
        for at in range(done, stop, chunk):
            piece = jax.tree.map(lambda x: x[:, at : min(at + chunk, stop)], plan)  # noqa: B023
            self.state, metrics = self.program.run(self.state, piece)
            # The metrics of the call before are read while the device is busy with this one.
            self._gather(waiting, epoch, start, first, compiled)
            waiting = self.step, metrics
            self.step = epoch * self.program.steps_per_epoch + min(at + chunk, stop)
            if received:
                break
        self._gather(waiting, epoch, start, first, compiled)
        jax.block_until_ready(self.state)
        self._account("train", start, compiled)
        if received and self.step < epoch * self.program.steps_per_epoch + stop:
            self._stop(received[0])
        self._end_epoch(epoch, self._images_per_second(first, start, compiled))
        if received and self.step < self.program.total_steps:
            self._stop(received[0])
        if time.perf_counter() - self._saved_at >= self.checkpoint_every:
            self._save()

    def _gather(self, waiting: tuple[int, Metrics] | None, epoch: int, start: float, first: int, compiled: float) -> None:
        """Adds one call's metrics [S, K] to the epoch's sums and records the run's first steps."""
        if waiting is None:
            return
        before, metrics = waiting[0], jax.device_get(waiting[1])
        for name, mean in metrics.items():
            pair = np.stack([mean.total, mean.weight]).astype(np.float64).sum(-1)
            self.sums[name] = self.sums.get(name, 0.0) + pair
        losses = metrics["loss"].total / metrics["loss"].weight
        lines = [
            {"step": before + k + 1, "loss": losses[:, k].tolist()}
            for k in range(losses.shape[1])
            if before + k < _FIRST_STEPS
        ]
        self.run.append(lines)
        means = {name: record.spread(total / weight)["mean"] for name, (total, weight) in self.sums.items()}
        self.reporter.step(
            before + losses.shape[1],
            epoch + 1,
            self.epochs,
            means["loss"],
            means.get("accuracy"),
            self._images_per_second(first, start, compiled),
        )

    def _images_per_second(self, first: int, start: float, compiled: float) -> float:
        elapsed = time.perf_counter() - start - (self.program.compile_seconds() - compiled)
        examples = (self.step - first) * self.program.batch_size * self.experiment.seeds
        return examples / max(elapsed, 1e-9)

    def _account(self, what: str, start: float, compiled: float) -> None:
        """Books the time since `start` under `what`, less the part spent compiling."""
        compiling = self.program.compile_seconds() - compiled
        self.seconds["compile"] += compiling
        self.seconds[what] += time.perf_counter() - start - compiling

    def _end_epoch(self, epoch: int, rate: float) -> None:
        start, compiled = time.perf_counter(), self.program.compile_seconds()
        metrics, _ = self.program.evaluate("validation", self.state.params, self.state.variables, False)
        monitored = metrics[self.program.task.monitor].value
        score = monitored if self.program.task.higher_is_better else -monitored
        self.best = self._keep_best(self.best, self.state, score, epoch + 1)
        validation = jax.device_get({name: mean.value for name, mean in metrics.items()})
        self._account("eval", start, compiled)
        line = {
            "epoch": epoch + 1,
            "step": self.step,
            "train": {name: (total / weight).tolist() for name, (total, weight) in self.sums.items()},
            "validation": {name: value.tolist() for name, value in validation.items()},
            "seconds": dict(self.seconds),
        }
        self.run.append([line])
        for sink in self.sinks:
            sink(line)
        self.sums = {}
        left = (self.epochs - epoch - 1) * (self.seconds["train"] + self.seconds["eval"]) / (epoch + 1)
        self.reporter.epoch(line, self.epochs, rate, left)
        self._report_failures()

    def _report_failures(self) -> None:
        failed_at = np.asarray(self.state.failed_at)
        for seed in np.flatnonzero(failed_at >= 0):
            if seed not in self._reported_failures:
                self._reported_failures.add(int(seed))
                others = "the other seeds go on" if (failed_at < 0).any() else "no seed is left"
                self.reporter.note(
                    f"{self.experiment.id}: seed {seed} stopped at step {failed_at[seed] + 1}: the loss is not finite; "
                    f"{others}. A lower optim.lr often helps"
                )
        if (failed_at >= 0).all():
            raise UserError(
                f"{self.experiment.id}: every seed's loss became infinite or NaN (first at step {failed_at.min() + 1}); "
                f"what was measured is in {self.run.path}; try a lower optim.lr (now {self.experiment.optim.lr})"
            )

    def _stop(self, number: int) -> None:
        self._save()
        raise Interrupted(
            number,
            f"{self.experiment.id}: stopped at step {self.step} of {self.program.total_steps} and saved in {self.run.path}; "
            "run the same command again to go on",
        )

    def _finish(self) -> Json:
        """Evaluates the chosen weights on every split and writes the summary."""
        self._save()
        start, compiled = time.perf_counter(), self.program.compile_seconds()
        chosen: Best | TrainState = self.best if self.experiment.select == "best" else self.state
        final: Json = {}
        details: Json = {}
        for split in self.program.splits:
            metrics, extra = self.program.evaluate(split, chosen.params, chosen.variables, True)
            ok = np.asarray(self.state.failed_at) < 0
            final[split] = {
                name: record.spread(np.where(ok, np.asarray(mean.value, np.float64), np.nan).tolist())
                for name, mean in metrics.items()
            }
            details[split] = {name: np.asarray(array)[ok].sum(0).tolist() for name, array in extra.items()}
        self._account("eval", start, compiled)
        trained = self.program.total_steps * self.program.batch_size * self.experiment.seeds
        first = [line for line in self.run.metrics() if line["step"] == 1 and "epoch" not in line]
        summary = {
            "id": self.experiment.id,
            "dataset": self.experiment.dataset,
            "class_names": self.program.class_names,
            "embedded": self.experiment.data.source == "embedded",
            "seeds": self.experiment.seeds,
            "epochs": self.epochs,
            "steps": self.program.total_steps,
            "parameters": self.program.parameters,
            "final": final,
            "details": {split: found for split, found in details.items() if split in ("test", "validation")},
            "initial_loss": record.spread([math.nan if v is None else v for v in first[0]["loss"]]) if first else None,
            "best_epoch": np.asarray(self.best.epoch).tolist(),
            "failed_at": np.asarray(self.state.failed_at).tolist(),
            "seconds": {**self.seconds, "total": sum(self.seconds.values())},
            "images_per_second": trained / self.seconds["train"],
            "peak_memory_bytes": parallel.peak_memory(),
            "layout": self.program.layout,
            "reported": dict(self.experiment.reported),
        }
        self.run.finish(summary)
        return self.run.read("summary.json")


def _keep_best(best: Best, state: TrainState, score: jax.Array, epoch: int) -> Best:
    better = score > best.score
    new = Best(score, jnp.full_like(best.epoch, epoch), state.params, state.variables)
    return jax.tree.map(lambda n, o: jnp.where(better.reshape((-1,) + (1,) * (o.ndim - 1)), n, o), new, best)


@contextlib.contextmanager
def _signals() -> Iterator[list[int]]:
    """Collects SIGINT and SIGTERM instead of dying of them; a second one is let through."""
    received: list[int] = []

    def note(number: int, frame: Any) -> None:
        received.append(number)
        signal.signal(number, before[signal.Signals(number)])

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
