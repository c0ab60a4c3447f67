"""Training an experiment from its start, or from where it stopped, to its summary."""

import contextlib
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxnets.config import Experiment, with_fields
from jaxnets.config.fields import user_path
from jaxnets.config.model import HUB, NO_WEIGHTS
from jaxnets.data import catalog
from jaxnets.data.store import Dataset
from jaxnets.errors import Diverged, UserError
from jaxnets.runs import environment, files, fingerprint, shipped, summary, teacher, weights
from jaxnets.runs.clock import Clock
from jaxnets.runs.folder import RunFolder
from jaxnets.runs.progress import Reporter
from jaxnets.runs.session import Position, Session
from jaxnets.runs.statistics import mean_std
from jaxnets.runs.tensorboard import TensorBoard
from jaxnets.tasks.metrics import Metrics, values
from jaxnets.training import distributed, parallel, process, signals
from jaxnets.training import engine as engines
from jaxnets.training.best import BestWeights, first_best, keep_best
from jaxnets.training.checkpoint import Checkpoints
from jaxnets.training.loop import train_epoch
from jaxnets.training.memory import OutOfMemory
from jaxnets.training.signals import Interrupted

Json = dict[str, Any]

_FIRST_STEPS = 400
"""Steps whose loss is recorded one by one, to show the first descent."""


def train(
    experiment: Experiment,
    folder: Path,
    reporter: Reporter,
    checkpoint_every: float = 60.0,
    tensorboard: bool = False,
) -> Json:
    """Trains all seeds of an experiment in `folder` and returns the summary.

    If `folder` holds an unfinished run of this experiment, training resumes from it, bit for bit on the same machine. A
    finished run is not retrained; its summary is returned, or Diverged raised again. Checkpoints are written every
    `checkpoint_every` seconds, when a signal or unread output stops training, and at the end. `tensorboard` adds event files
    for TensorBoard. Where several processes work together (see jaxnets.training.distributed), all call this; `folder` is
    that of process 0, whatever the others name.

    Raises:
      UserError: data missing or changed since the run began, sizes that do not fit, a folder of another run, a full disk,
        processes that differ.
      Diverged: the loss or weights of every seed are no longer finite.
      Interrupted: after a signal, or when the output cannot be written.
    """
    experiment = _with_absolute_paths(experiment)
    dataset = distributed.together(lambda: catalog.open_data(experiment.data, reporter.preparation))
    if left_out := dataset.meta.get("left_out"):
        reporter.note(f"{experiment.dataset}: left out {'; '.join(left_out)}")
    data = fingerprint.of(dataset) | teacher.fingerprint(experiment)
    with contextlib.ExitStack() as stack:
        stack.enter_context(process.standard_settings())
        stack.enter_context(files.writing(folder))
        made_with = environment.describe(parallel.describe_devices())
        distributed.require_same(lambda: fingerprint.of_process(experiment, made_with, data))
        folder = stack.enter_context(distributed.own_folder(folder))
        run = stack.enter_context(contextlib.closing(RunFolder(folder)))
        distributed.together(lambda: _open(run, experiment, {**made_with, "data": data}, dataset))
        if finished := distributed.from_writer(run.summary() if run.finished else None):
            reporter.note(f"{experiment.id}: already finished in {folder}")
            if lost := distributed.from_writer(run.damaged()):
                reporter.note(f"{folder}: {' and '.join(lost)} missing or damaged; to train it again, choose another --out")
            return finished
        if distributed.from_writer(run.diverged):
            raise Diverged(
                f"{experiment.id}: every seed diverged when {folder} was trained; try a lower optim.lr (now "
                f"{experiment.optim.lr}) and another --out"
            )
        # Epochs that are recorded again after a resume hide what a killed process wrote of them.
        board = stack.enter_context(contextlib.closing(TensorBoard(folder))) if tensorboard else None
        engine = distributed.together(lambda: engines.build(experiment, teacher.with_soft_labels(experiment, dataset)))
        engine.task.check_packages()
        checkpoints = stack.enter_context(contextlib.closing(Checkpoints(folder / "checkpoints")))
        received = stack.enter_context(signals.defer_signals())
        noticed = lambda: next(iter(received), int(reporter.unheard and signal.SIGPIPE))
        session = Session(experiment, dataset, data, engine, run, checkpoints, reporter, checkpoint_every, board, noticed)
        try:
            return _train_to_the_end(session)
        except OutOfMemory as error:
            raise UserError(error.explain(experiment)) from error


def _with_absolute_paths(experiment: Experiment) -> Experiment:
    """The experiment with its own data, weights and teacher as absolute paths, so that they mean the same everywhere."""
    experiment = catalog.with_absolute_source(experiment)
    changes = {}
    if (given := getattr(experiment.model, "weights", NO_WEIGHTS)) not in (NO_WEIGHTS, HUB):
        changes["model.weights"] = str(user_path(given).absolute())
    if experiment.loss.teacher and (run := shipped.locate(user_path(experiment.loss.teacher))).parent != shipped.FOLDER:
        changes["loss.teacher"] = str(run.absolute())
    return with_fields(experiment, changes)


def _open(run: RunFolder, experiment: Experiment, made_with: Json, dataset: Dataset) -> None:
    run.open(experiment, made_with)
    _require_same_data(run, experiment, run.environment().get("data"), made_with["data"], dataset)


def _require_same_data(
    run: RunFolder, experiment: Experiment, recorded: Any, found: Mapping[str, str], dataset: Dataset
) -> None:
    if different := fingerprint.changes(recorded, found, dataset):
        raise UserError(
            f"{experiment.dataset} changed since the run in {run.path} began: {', '.join(different)}; choose another --out"
        )


def _train_to_the_end(session: Session) -> Json:
    experiment, engine = session.experiment, session.engine
    position = _restore(session)
    title = (
        f"{experiment.id} on {experiment.dataset}{' (synthetic)' if experiment.data.source == 'synthetic' else ''}: "
        f"{engine.num_parameters:,} parameters, {experiment.seeds} seeds, {session.epochs} epochs of "
        f"{engine.steps_per_epoch} steps, {parallel.device_line(engine.layout)}"
    )
    with session.reporter.run(title, engine.total_steps, position.step):
        while position.step < engine.total_steps:
            _run_epoch(session, position)
        result = _finish(session, position)
    if number := session.stop():
        raise Interrupted(number, f"{experiment.id}: finished, {session.run.path} is complete")
    return result


def _restore(session: Session) -> Position:
    """The position of the newest readable checkpoint, or the start."""
    state = session.engine.init()
    position = Position(state, first_best(state), Clock(lambda: session.engine.costs.compile_seconds))
    snapshot, problems = session.checkpoints.restore(position.snapshot())
    recorded = None
    if snapshot is not None:
        # The record in the folder may be lost.
        recorded_data = snapshot.progress.get("data")
        _require_same_data(session.run, session.experiment, recorded_data, session.data, session.dataset)
        position.state, position.best = snapshot.latest, BestWeights(*snapshot.best)
        position.step = int(snapshot.progress["step"])
        position.sums = {name: np.asarray(pair) for name, pair in snapshot.progress["sums"].items()}
        position.clock.seconds |= snapshot.progress["seconds"]
        recorded = snapshot.progress.get("recorded")
        session.reporter.note(f"resuming {session.experiment.id} at step {position.step}")
    for problem in [*problems, *session.run.forget_after(position.step, recorded)]:
        session.reporter.note(problem)
    return position


def _run_epoch(session: Session, position: Position) -> None:
    """Trains to the end of the current epoch, evaluates, records; saves when it is time to."""
    engine, clock = session.engine, position.clock
    epoch, start = divmod(position.step, engine.steps_per_epoch)
    stop = min(engine.steps_per_epoch, start + engine.total_steps - position.step)
    first_step, seconds_before, rate = position.step, clock.seconds["train"], 0.0
    for progress in train_epoch(
        engine, position.state, epoch, start=start, stop=stop, pause=lambda: session.is_save_due(position)
    ):
        position.state, position.step = progress.state, epoch * engine.steps_per_epoch + progress.step
        for before, metrics in progress.metrics:
            _record_steps(session, position, epoch, epoch * engine.steps_per_epoch + before, metrics, rate)
        if progress.step == stop:
            jax.block_until_ready(position.state)
        clock.lap("train")
        examples = (position.step - first_step) * engine.task.examples_per_step * session.experiment.seeds
        rate = examples / max(clock.seconds["train"] - seconds_before, 1e-9)
        if progress.is_complete and progress.step < stop:
            session.save(position)
            _raise_if_interrupted(session, position)
    _end_epoch(session, position, epoch, rate)
    if position.step < engine.total_steps:
        if session.is_save_due(position):
            session.save(position)
        _raise_if_interrupted(session, position)


def _raise_if_interrupted(session: Session, position: Position) -> None:
    """Raises Interrupted if something asks to stop; the caller has saved."""
    if number := session.stop():
        weights.save(session.run.path, _selected(session, position), session.dataset)
        session.run.seal()
        raise Interrupted(
            number,
            f"{session.experiment.id}: {'its output cannot be written; ' if number == signal.SIGPIPE else ''}"
            f"stopped at step {position.step} of {session.engine.total_steps} and saved in "
            f"{session.run.path}; run the same command again to resume",
        )


def _record_steps(
    session: Session, position: Position, epoch: int, steps_before: int, metrics: Metrics, rate: float
) -> None:
    """Adds the metrics [S, K] of K steps to the epoch's sums and records the run's first steps."""
    for name, mean in metrics.items():
        pair = np.stack([mean.total, mean.weight]).astype(np.float64).sum(-1)
        position.sums[name] = position.sums.get(name, 0.0) + pair
    losses = metrics["loss"].total / metrics["loss"].weight
    steps = range(steps_before + 1, steps_before + losses.shape[1] + 1)
    session.run.append(
        [{"step": step, "loss": losses[:, k].tolist()} for k, step in enumerate(steps) if step <= _FIRST_STEPS]
    )
    loss = session.experiment.loss
    is_cross_entropy = loss.name == "cross_entropy" and not loss.teacher
    if steps_before == 0 and is_cross_entropy and (classes := session.engine.task.class_names):
        session.reporter.first_loss(float(losses[:, 0].mean()), len(classes))
    means = {name: mean_std(by_seed.tolist())["mean"] for name, by_seed in _epoch_metrics(session, position).items()}
    session.reporter.step(steps[-1], epoch + 1, session.epochs, means, rate)


def _epoch_metrics(session: Session, position: Position) -> dict[str, np.ndarray]:
    """Training metrics of the current epoch so far, [S] each."""
    return values(position.sums, session.engine.task.objective.derived)


def _end_epoch(session: Session, position: Position, epoch: int, rate: float) -> None:
    objective = session.engine.task.objective
    metrics, _ = session.engine.evaluate("validation", position.state.variables, False)
    score = metrics[objective.monitor].value * (1 if objective.higher_is_better else -1)
    position.best = keep_best(position.best, position.state, score, epoch + 1)
    validation, failed_at = parallel.fetch((values(metrics, objective.derived), position.state.failed_at))
    position.clock.lap("eval")
    alive = lambda by_seed: np.where(failed_at < 0, by_seed, np.nan).tolist()
    seconds = position.clock.seconds
    line = {
        "epoch": epoch + 1,
        "step": position.step,
        "train": {name: alive(by_seed) for name, by_seed in _epoch_metrics(session, position).items()},
        "validation": {name: alive(by_seed) for name, by_seed in validation.items()},
        "seconds": dict(seconds),
        **summary.refused(position.state),
    }
    session.run.append([line])
    if session.board:
        session.board.write(line)
    position.sums = {}
    left = (session.engine.total_steps / position.step - 1) * (seconds["train"] + seconds["eval"])
    session.reporter.epoch(line, session.epochs, rate, left)
    _report_failures(session, position, failed_at)


def _report_failures(session: Session, position: Position, failed_at: np.ndarray) -> None:
    id_ = session.experiment.id
    for seed in np.flatnonzero(failed_at >= 0):
        if seed not in position.reported_failures:
            position.reported_failures.add(int(seed))
            others = "the other seeds continue" if (failed_at < 0).any() else "no seed is left"
            session.reporter.note(
                f"{id_}: seed {seed} stopped at step {failed_at[seed] + 1}: its loss or weights are no longer finite; "
                f"{others}. A lower optim.lr often helps"
            )
    if (failed_at >= 0).all():
        session.run.mark_diverged()
        raise Diverged(
            f"{id_}: every seed's loss or weights became infinite or NaN (first at step {failed_at.min() + 1}); what was "
            f"measured is in {session.run.path}; try a lower optim.lr (now {session.experiment.optim.lr})"
        )


def _selected(session: Session, position: Position) -> dict[str, Any]:
    """The weights that the experiment selects: the best so far by validation, or the latest."""
    return position.best.variables if session.experiment.select == "best" else position.state.variables


def _finish(session: Session, position: Position) -> Json:
    """Evaluates the selected weights on every split and writes the summary."""
    session.save(position)
    engine, state = session.engine, position.state
    variables = _selected(session, position)
    weights.save(session.run.path, variables, session.dataset)
    evaluated = summary.evaluate(engine, variables, state)
    generated = summary.generate_samples(engine, variables, state)
    session.run.write_images(summary.visualize(engine, variables, state))
    position.clock.lap("eval")
    session.run.finish(
        summary.summarize(
            session.experiment,
            engine,
            session.dataset,
            state=state,
            best_epoch=position.best.epoch,
            evaluated=evaluated,
            generated=generated,
            first_losses=session.run.first_losses(),
            seconds=position.clock.seconds,
        )
    )
    session.checkpoints.clear_unreadable()
    result = distributed.from_writer(session.run.summary())
    if any(refused := result.get("refused", ())):
        counts = ", ".join(f"{count:,}" for count in refused)
        session.reporter.note(f"{result['id']}: of {result['steps']:,} steps SPSA refused, by seed: {counts}")
    return result
