"""`jaxnets sweep`."""

import dataclasses
from pathlib import Path
from typing import Annotated

import tyro

from jaxnets import registry
from jaxnets.cli.parse import Limits, optional, parse, part, take_args
from jaxnets.config import Experiment, validate, with_fields
from jaxnets.errors import UserError


@dataclasses.dataclass(frozen=True)
class SweepOptions:
    """Searches for hyperparameters."""

    experiment: Annotated[Experiment, tyro.conf.arg(name="")]
    over: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """A field and its values, optim.lr=1e-3,1e-2, or with --random a range, optim.lr=1e-4..1e-1."""
    random: Annotated[int | None, optional("INT"), Limits(1, 100_000)] = None
    """Draw this many random settings instead of trying all combinations."""
    rungs: Annotated[int, Limits(1, 10)] = 1
    """Successive halving: with 3, all settings train for a ninth of the time, the best third for a third, a ninth fully."""
    ablate: tyro.conf.FlagCreatePairsOff[bool] = False
    """Change one field at a time, all others as they are: with --over loss.label_smoothing=0 --over optim.ema=0 each is
    taken away once. The table has every difference from the experiment as it is, with its interval."""
    metric: Annotated[str | None, optional("STR")] = None
    """The metric to choose by: validation_accuracy, validation_loss, train_loss, … By default the one that selects the best
    epoch."""
    out: Path = Path("runs")
    """The sweep is written to the folder OUT/sweep/ID. An interrupted sweep in that folder is resumed."""
    part: Annotated[str, optional("K/N")] = "1/1"
    """Train the K-th of N parts of the programs, for arrays of jobs with one OUT. The last to end finds the best."""
    checkpoint_every: Annotated[float, Limits(0)] = 60.0
    """Minimum number of seconds between checkpoints."""


def sweep(args: list[str]) -> int:
    """Trains all settings, then the best one again with new seeds. Prints a table, best first, and writes it with a plot.

    Returns the exit status: 0, or 128 + the signal's number after one that stops it.
    """
    if not args or (args[0].startswith("-") and not {"-h", "--help"} & set(args)):
        raise UserError(
            "sweep needs the id of an experiment first, for example: jaxnets sweep cifar10/gray_cnn/plain --over …"
        )
    name, rest = (args[0], args[1:]) if not args[0].startswith("-") else ("cifar10/gray_cnn/plain", args)
    [first, *more] = registry.select([name])
    if more:
        raise UserError(f"{name} is a family; sweep one of its experiments, for example {first.id}")
    rest, changes = take_args(rest)
    description = (
        f"Searches for hyperparameters: jaxnets sweep ID --over FIELD=VALUES… The defaults are those of {first.id}."
    )
    options = parse(SweepOptions, f"sweep {name}", rest, SweepOptions(first), description)
    if not options.over:
        raise UserError("sweep needs --over, for example --over optim.lr=1e-3,1e-2")
    return _search(dataclasses.replace(options, experiment=validate(with_fields(options.experiment, changes))))


def _search(options: SweepOptions) -> int:
    import sys

    from rich.console import Console

    from jaxnets.analysis.report import sweep_table
    from jaxnets.data import catalog
    from jaxnets.runs import sweep
    from jaxnets.runs.progress import Reporter
    from jaxnets.runs.train import train
    from jaxnets.tasks import task as tasks
    from jaxnets.training import engine, process
    from jaxnets.training.parallel import split_cpu
    from jaxnets.training.signals import Interrupted

    experiment = options.experiment
    reporter = Reporter(Console())
    axes = [sweep.parse_axis(experiment, text) for text in options.over]
    if options.ablate and (options.random or options.rungs > 1):
        raise UserError("--ablate changes one field at a time: drop --random and --rungs")
    settings = sweep.one_at_a_time(experiment, axes) if options.ablate else sweep.settings(experiment, axes, options.random)
    groups, own = sweep.groups(experiment, settings), part(options.part)
    is_shared = own != part("1/1")
    if options.rungs > 1 and is_shared:
        raise UserError(
            f"--rungs {options.rungs} --part {options.part}: which settings climb depends on all others; drop one"
        )
    task = tasks.build(experiment, catalog.open_data(experiment.data, reporter.preparation))
    metric_names = engine.metric_names(experiment, task)
    metric = sweep.parse_metric(f"validation_{metric_names[0]}" if options.metric is None else options.metric, metric_names)
    on_rungs = f", on {options.rungs} rungs" if options.rungs > 1 else ""
    print(f"{len(settings)} settings × {experiment.seeds} seeds in {len(groups)} programs{on_rungs}")
    process.prepare()
    split_cpu(experiment.seeds, *(group.experiment.seeds for group in groups))
    folder = options.out / "sweep" / experiment.id
    train_in = lambda experiment, folder: train(experiment, folder, reporter, options.checkpoint_every)
    try:
        if is_shared and (left := sweep.run_part(groups[own], groups, folder, train_in)):
            print(f"{left} of {len(groups)} programs are left to other parts; the last to end finds the best setting")
            return 0
        if options.ablate:
            results = sweep.run(experiment, settings, metric, folder, train_in)
            print(sweep_table.ablation(results, settings[0], metric))
            print(f"table: {sweep_table.write_ablation(results, settings[0], metric, folder)}")
            return 0
        results = sweep.climb(experiment, settings, options.rungs, metric, folder, train_in)
        print(sweep_table.text(results, metric))
        confirmed = sweep.confirm(experiment, results[0].setting, folder, train_in)
    except Interrupted as stop:
        print(f"jaxnets: {stop}", file=sys.stderr)
        return 128 + stop.signal
    print(sweep_table.final_words(results, metric, confirmed))
    print(f"table and plot: {sweep_table.write(results, metric, confirmed, folder)}")
    return 0
