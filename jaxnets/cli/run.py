"""`jaxnets run`."""

import dataclasses
import sys
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from jaxnets.cli.parse import Limits, optional, parse_experiments
from jaxnets.config import Experiment
from jaxnets.errors import UserError, one_line


@dataclasses.dataclass(frozen=True)
class RunOptions:
    """Trains experiments."""

    experiment: Annotated[Experiment, tyro.conf.arg(name="")]
    out: Path = Path("runs")
    """Each experiment is written to the folder OUT/ID. An interrupted run in that folder is resumed."""
    checkpoint_every: Annotated[float, Limits(0)] = 60.0
    """Minimum number of seconds between checkpoints."""
    tensorboard: tyro.conf.FlagCreatePairsOff[bool] = False
    """Also write TensorBoard event files into the run folder."""
    distributed: Annotated[str, optional("HOST:PORT")] = ""
    """Train together with other processes: where process 0 is, or auto in a job of SLURM, Open MPI or Kubernetes, or on TPU
    pods. See docs/many-machines.md."""
    process: Annotated[str, optional("I/N")] = ""
    """Which of the processes this is, with --distributed HOST:PORT: 0/2 and 1/2 are two. Process 0 writes the run."""


def run(args: list[str]) -> int:
    """Trains experiments one after the other, and prints their progress and a table of results.

    Returns the exit status: 0, 1 if some experiments failed, 128 + the signal's number after one that stops it.
    """
    what = "Trains experiments, each with several seeds at once"
    runs = parse_experiments(RunOptions, "run", args, "cifar10/lenet/super --epochs 5", what)
    if not runs[0].distributed:
        if runs[0].process:
            raise UserError(f"--process {runs[0].process} needs --distributed HOST:PORT")
        return _train_all(runs)
    from jaxnets import cli
    from jaxnets.training import distributed

    with distributed.join(runs[0].distributed, runs[0].process, cli.explain):
        distributed.require_same(lambda: {"experiments": " ".join(run.experiment.id for run in runs)})
        status = _train_all(runs)
    return status


def _train_all(runs: list[RunOptions]) -> int:
    from jaxnets.analysis.report import tables
    from jaxnets.runs.progress import Reporter
    from jaxnets.runs.train import train
    from jaxnets.training import distributed, process
    from jaxnets.training.parallel import split_cpu
    from jaxnets.training.signals import Interrupted

    process.prepare()
    split_cpu(*(run.experiment.seeds for run in runs))
    reporter = Reporter(Console(quiet=not distributed.is_writer()))
    say = lambda text: distributed.is_writer() and print(f"jaxnets: {text}", file=sys.stderr)
    summaries, failures = [], []
    try:
        for run in runs:
            folder = run.out / run.experiment.id
            try:
                summaries.append(train(run.experiment, folder, reporter, run.checkpoint_every, run.tensorboard))
            except UserError as error:
                # One experiment that cannot run does not stop the others.
                if len(runs) == 1 or not distributed.can_go_on(error):
                    raise
                failures.append(run.experiment.id)
                say(f"error: {one_line(str(error))}")
    except Interrupted as stop:
        say(str(stop))
        return 128 + stop.signal
    finally:
        if summaries:
            header, body = tables.cells([row for summary in summaries for row in tables.rows(summary)], brief=True)
            print(f"\n{tables.legend(body)}")
            print(tables.text(header, body))
    print(f"\nruns are in {runs[0].out}; for a page with plots: jaxnets report {runs[0].out}")
    return 1 if failures else 0
