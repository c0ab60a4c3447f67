"""Training an experiment from its start, or from where it stopped, to its summary."""

import contextlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxnets import interrupts, parallel, program, record, summary
from jaxnets.checkpoint import Checkpoints, Snapshot
from jaxnets.config import Experiment
from jaxnets.data import sets
from jaxnets.errors import Diverged, UserError
from jaxnets.interrupts import Interrupted
from jaxnets.memory import OutOfMemory
from jaxnets.metrics import Metrics, values
from jaxnets.program import Program
from jaxnets.progress import Reporter
from jaxnets.record import Json, RunFolder, TensorBoard
from jaxnets.state import TrainState

_FIRST_STEPS = 400
"""Steps whose loss is recorded one by one, for the look of the first descent."""


class Best(NamedTuple):
    """The weights that validated best so far, each seed's own."""

    score: jax.Array
    epoch: jax.Array
    params: Any
    variables: Any


def first_best(state: TrainState) -> Best:
    """The best weights before any epoch: those of the state, which no score is below."""
    return Best(
        score=jnp.full_like(state.step, -jnp.inf, jnp.float32),
        epoch=jnp.zeros_like(state.step),
        # Copies: the state's own buffers are donated to the first step.
        params=jax.tree.map(jnp.copy, state.params),
        variables=jax.tree.map(jnp.copy, state.variables),
    )


def train(
    experiment: Experiment,
    folder: Path,
    reporter: Reporter,
    checkpoint_every: float = 60.0,
    tensorboard: bool = False,
) -> Json:
    """Trains all seeds of an experiment in `folder` and returns the summary.

    A folder that holds an unfinished run of the same experiment is gone on with, on the same machine bit for bit as if it
    had not stopped; a finished one is only read. Checkpoints are written every `checkpoint_every` seconds, on SIGINT and
    SIGTERM, and at the end. `tensorboard` adds event files for TensorBoard.

    Raises:
      UserError: data missing, sizes that do not fit, a folder of another experiment, a full disk.
      Interrupted: after a signal.
    """
    data = sets.open_set(experiment.dataset, experiment.data.embedded)
    with contextlib.ExitStack() as stack:
        run = stack.enter_context(contextlib.closing(RunFolder(folder)))
        run.open(experiment, record.environment(parallel.describe_devices()))
        if run.finished:
            reporter.note(f"{experiment.id}: already finished in {folder}")
            return run.read("summary.json")
        sinks = [stack.enter_context(contextlib.closing(TensorBoard(folder))).write] if tensorboard else []
        built = program.build(experiment, data)
        checkpoints = stack.enter_context(contextlib.closing(Checkpoints(folder / "checkpoints")))
        received = stack.enter_context(interrupts.noted())
        try:
            return _Training(experiment, built, run, checkpoints, reporter, checkpoint_every, sinks, received).go()
        except OutOfMemory as error:
            raise UserError(error.explain(experiment)) from error


class _Clock:
    """Books the time between laps, and what of it was compilation."""

    def __init__(self, compile_seconds: Callable[[], float]) -> None:
        self.seconds = {"train": 0.0, "eval": 0.0, "compile": 0.0, "save": 0.0}
        self._compile_seconds = compile_seconds
        self._last, self._compiled = time.perf_counter(), compile_seconds()

    def lap(self, what: str) -> None:
        """Books the time since the lap before under `what`."""
        now, compiled = time.perf_counter(), self._compile_seconds()
        self.seconds["compile"] += compiled - self._compiled
        self.seconds[what] += now - self._last - (compiled - self._compiled)
        self._last, self._compiled = now, compiled


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
        received: list[int],
    ) -> None:
        self.experiment, self.program, self.run, self.received = experiment, built, run, received
        self.checkpoints, self.reporter, self.checkpoint_every = checkpoints, reporter, checkpoint_every
        self.sinks, self.task = sinks, built.problem.task
        self.epochs = -(-built.total_steps // built.steps_per_epoch)
        self.clock = _Clock(lambda: built.compiler.seconds)
        self.state = built.init()
        self.best = first_best(self.state)
        self.step = 0
        self.sums: dict[str, np.ndarray] = {}
        """Measures of the epoch under way: name -> [2, S] (total, weight)."""
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
        with self.reporter.run(title, self.program.total_steps, self.step):
            while self.step < self.program.total_steps:
                self._epoch()
            found = self._finish()
        if self.received:
            raise Interrupted(self.received[0], f"{self.experiment.id}: finished, {self.run.path} is complete")
        return found

    # ------------------------------------------------------------------------------------------------------------------

    def _resume(self) -> None:
        snapshot, problems = self.checkpoints.restore(self._snapshot())
        for problem in problems:
            self.reporter.note(problem)
        if snapshot is not None:
            self.state, self.best = snapshot.latest, Best(*snapshot.best)
            self.step = int(snapshot.progress["step"])
            self.sums = {name: np.asarray(pair) for name, pair in snapshot.progress["sums"].items()}
            self.clock.seconds |= snapshot.progress["seconds"]
            self.reporter.note(f"resuming {self.experiment.id} at step {self.step}")
        self.run.forget_after(self.step)

    def _snapshot(self) -> Snapshot:
        sums = {name: pair.tolist() for name, pair in self.sums.items()}
        progress = {"step": self.step, "sums": sums, "seconds": self.clock.seconds}
        return Snapshot(self.state, tuple(self.best), progress)

    def _save(self) -> None:
        self.checkpoints.save(self.step, self._snapshot())
        self._saved_at = time.perf_counter()
        self.clock.lap("save")

    def _epoch(self) -> None:
        """Trains to the end of the epoch under way, evaluates, records."""
        epoch, done = divmod(self.step, self.program.steps_per_epoch)
        stop = min(self.program.steps_per_epoch, done + self.program.total_steps - self.step)
        plan = self.program.plan(self.state.key, epoch)
        chunk = parallel.steps_per_call(self.program.steps_per_epoch)
        first, spent = self.step, self.clock.seconds["train"]
        waiting: tuple[int, Metrics] | None = None
        rate = 0.0

        def speed() -> float:
            """Examples per second since the epoch, or its rest, began."""
            examples = (self.step - first) * self.program.problem.examples * self.experiment.seeds
            return examples / max(self.clock.seconds["train"] - spent, 1e-9)

        for at in range(done, stop, chunk):
            piece = jax.tree.map(lambda x: x[:, at : min(at + chunk, stop)], plan)  # noqa: B023
            self.state, metrics = self.program.run(self.state, piece)
            # The metrics of the call before are read while the device is busy with this one.
            self._gather(waiting, epoch, rate)
            waiting = self.step, metrics
            self.step = epoch * self.program.steps_per_epoch + min(at + chunk, stop)
            self.clock.lap("train")
            rate = speed()
            due = time.perf_counter() - self._saved_at >= self.checkpoint_every
            if (self.received or due) and at + chunk < stop:
                self._gather(waiting, epoch, rate)
                waiting = None
                self.clock.lap("train")
                self._save()
                self._stop_if_asked()
        self._gather(waiting, epoch, rate)
        jax.block_until_ready(self.state)
        self.clock.lap("train")
        self._end_epoch(epoch, speed())
        if self.step < self.program.total_steps:
            if self.received or time.perf_counter() - self._saved_at >= self.checkpoint_every:
                self._save()
            self._stop_if_asked()

    def _stop_if_asked(self) -> None:
        """Raises Interrupted after a signal; the caller has saved."""
        if self.received:
            raise Interrupted(
                self.received[0],
                f"{self.experiment.id}: stopped at step {self.step} of {self.program.total_steps} and saved in "
                f"{self.run.path}; run the same command again to go on",
            )

    def _gather(self, waiting: tuple[int, Metrics] | None, epoch: int, rate: float) -> None:
        """Adds one call's metrics [S, K] to the epoch's sums and records the run's first steps."""
        if waiting is None:
            return
        before, metrics = waiting[0], jax.device_get(waiting[1])
        for name, mean in metrics.items():
            pair = np.stack([mean.total, mean.weight]).astype(np.float64).sum(-1)
            self.sums[name] = self.sums.get(name, 0.0) + pair
        losses = metrics["loss"].total / metrics["loss"].weight
        steps = range(before + 1, before + losses.shape[1] + 1)
        self.run.append([{"step": k, "loss": losses[:, k - before - 1].tolist()} for k in steps if k <= _FIRST_STEPS])
        if before == 0 and self.program.problem.labels:
            self._report_start(losses[:, 0])
        means = {name: record.spread(found)["mean"] for name, found in values(self.sums, self.task.derived).items()}
        self.reporter.step(before + losses.shape[1], epoch + 1, self.epochs, means, rate)

    def _report_start(self, losses: np.ndarray) -> None:
        """Says whether the first loss is that of guessing, the sign of a good start (report S4 §4.5)."""
        guessing = float(np.log(len(self.program.problem.labels)))
        first = float(losses.mean())
        verdict = "a good start" if abs(first - guessing) < 0.1 else "not that of guessing"
        self.reporter.note(f"first loss {first:.4f}, ln({len(self.program.problem.labels)}) = {guessing:.4f}: {verdict}")

    def _end_epoch(self, epoch: int, rate: float) -> None:
        task = self.task
        metrics, _ = self.program.evaluate("validation", self.state.params, self.state.variables, False)
        monitored = metrics[task.monitor].value
        self.best = self._keep_best(self.best, self.state, monitored if task.higher_is_better else -monitored, epoch + 1)
        validation, failed_at = jax.device_get((values(metrics, task.derived), self.state.failed_at))
        self.clock.lap("eval")
        alive = lambda values: np.where(failed_at < 0, values, np.nan).tolist()
        line = {
            "epoch": epoch + 1,
            "step": self.step,
            "train": {name: alive(found) for name, found in values(self.sums, task.derived).items()},
            "validation": {name: alive(value) for name, value in validation.items()},
            "seconds": dict(self.clock.seconds),
        }
        self.run.append([line])
        for sink in self.sinks:
            sink(line)
        self.sums = {}
        per_step = (self.clock.seconds["train"] + self.clock.seconds["eval"]) / self.step
        self.reporter.epoch(line, self.epochs, rate, left=(self.program.total_steps - self.step) * per_step)
        self._report_failures(failed_at)

    def _report_failures(self, failed_at: np.ndarray) -> None:
        for seed in np.flatnonzero(failed_at >= 0):
            if seed not in self._reported_failures:
                self._reported_failures.add(int(seed))
                others = "the other seeds go on" if (failed_at < 0).any() else "no seed is left"
                self.reporter.note(
                    f"{self.experiment.id}: seed {seed} stopped at step {failed_at[seed] + 1}: its loss or weights are no "
                    f"longer finite; {others}. A lower optim.lr often helps"
                )
        if (failed_at >= 0).all():
            raise Diverged(
                f"{self.experiment.id}: every seed's loss or weights became infinite or NaN (first at step "
                f"{failed_at.min() + 1}); what was measured is in {self.run.path}; try a lower optim.lr (now "
                f"{self.experiment.optim.lr})"
            )

    def _finish(self) -> Json:
        """Evaluates the chosen weights on every split and writes the summary."""
        self._save()
        chosen: Best | TrainState = self.best if self.experiment.select == "best" else self.state
        measured = summary.evaluate(self.program, chosen.params, chosen.variables, self.state)
        written = summary.write(self.program, chosen.params, chosen.variables, self.state)
        self.run.write_pictures(summary.portray(self.program, chosen.params, chosen.variables, self.state))
        self.clock.lap("eval")
        seconds, best_epoch = self.clock.seconds, self.best.epoch
        self.run.finish(
            summary.summarize(self.experiment, self.program, self.run, self.state, best_epoch, measured, written, seconds)
        )
        return self.run.read("summary.json")


def _keep_best(best: Best, state: TrainState, score: jax.Array, epoch: int) -> Best:
    better = score > best.score
    new = Best(score, jnp.full_like(best.epoch, epoch), state.params, state.variables)
    return jax.tree.map(lambda n, o: jnp.where(better.reshape((-1,) + (1,) * (o.ndim - 1)), n, o), new, best)
