"""The command line: `jaxnets COMMAND …`. Each command parses its arguments, makes one call, and prints the result."""

import contextlib
import dataclasses
import io
import itertools
import json
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from rich.console import Console
from rich.table import Table

from jaxnets import __version__, catalogue
from jaxnets.config import Experiment, to_json, validate
from jaxnets.data import sets, store
from jaxnets.errors import UserError

USAGE = """\
usage: jaxnets COMMAND [ARGUMENTS]

Classic small-network experiments, re-run in JAX with error bars over seeds.

  list                    the experiments: id, data set, source, reported figure
  show ID                 one experiment: configuration, parameter count, reported figures, state of its data
  data status             the data sets and whether they are ready
  data prepare NAME       downloads a data set, or reads it from --manual-dir, and stores it for training
  run ID…                 trains; any field of the configuration can be set, for example --optim.lr 3e-4
  report DIR…             makes a page with plots and tables from finished runs

`jaxnets COMMAND --help` tells more about each. An ID may be a family (cifar10/lenet) or a config file of your own
(mine.py). Exit status: 0 done, 1 some experiments failed, 2 bad input, 130 or 143 interrupted.
"""


@dataclasses.dataclass(frozen=True)
class ListOptions:
    """Lists the experiments."""

    json: bool = False
    """One JSON array instead of a table."""


@dataclasses.dataclass(frozen=True)
class ShowOptions:
    """Shows one experiment."""

    id: tyro.conf.Positional[str]
    json: bool = False
    """JSON instead of text."""


@dataclasses.dataclass(frozen=True)
class DataOptions:
    """Lists data sets, or prepares one."""

    action: tyro.conf.Positional[Literal["status", "prepare"]]
    name: tyro.conf.Positional[str | None] = None
    """The set to prepare."""
    manual_dir: Path | None = None
    """A folder of files fetched by hand, under the names their publishers gave them."""


@dataclasses.dataclass(frozen=True)
class RunOptions:
    """Trains experiments."""

    experiment: Annotated[Experiment, tyro.conf.arg(name="")]
    out: Path = Path("runs")
    """Each experiment gets the folder OUT/ID. A run that was stopped there is gone on with."""
    checkpoint_every: float = 60.0
    """Seconds between checkpoints, at least."""
    tensorboard: tyro.conf.FlagCreatePairsOff[bool] = False
    """Also write event files for TensorBoard into the run folder."""


@dataclasses.dataclass(frozen=True)
class ReportOptions:
    """Makes a report from all finished runs at or below some folders."""

    folders: tyro.conf.Positional[tuple[Path, ...]]
    out: Path | None = None
    """Where to write it; by default into the first folder."""
    jsonl: Path | None = None
    """Also write the raw figures, a line a run, to this file."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns the exit status."""
    args = list(sys.argv[1:] if argv is None else argv)
    commands: dict[str, Callable[[list[str]], int]] = {
        "list": _list,
        "show": _show,
        "data": _data,
        "run": _run,
        "report": _report,
    }
    if not args or args[0] in ("-h", "--help"):
        print(USAGE, end="")
        return 0 if args else 2
    if args[0] == "--version":
        print(f"jaxnets {__version__}")
        return 0
    try:
        if args[0] not in commands:
            raise UserError(f"unknown command {args[0]!r}: choose from {', '.join(commands)}")
        return commands[args[0]](args[1:])
    except UserError as error:
        print(f"jaxnets: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("jaxnets: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 0


def _parse(kind: Any, command: str, args: list[str], default: Any = None, description: str | None = None) -> Any:
    """tyro, with its errors as one line."""
    config = (tyro.conf.AvoidSubcommands,)
    errors = io.StringIO()
    try:
        with contextlib.redirect_stderr(errors):
            return tyro.cli(
                kind, prog=f"jaxnets {command}", args=args, default=default, description=description, config=config
            )
    except SystemExit as stop:
        if stop.code in (0, None):
            raise
        raise UserError(_one_line(errors.getvalue())) from None


def _one_line(box: str) -> str:
    """The gist of tyro's framed error text: its first paragraph, and the option it suggests."""
    # Frames are drawn with box characters, or with rows of hyphens where the terminal has no others.
    lines = [re.sub(r"[╭╮╰╯│─]|^\s*-{4,}\s*$", "", line).strip() for line in box.strip().splitlines()]
    after_title = itertools.dropwhile(lambda line: not line, lines[1:])
    paragraph = " ".join(itertools.takewhile(bool, after_title)) or "bad arguments"
    suggestion = re.search(r"Perhaps you meant:\s+(--[\w.-]+)", " ".join(lines))
    hint = f"; did you mean {suggestion.group(1)}?" if suggestion else "; see --help"
    return paragraph.rstrip(".") + hint


def _list(args: list[str]) -> int:
    options = _parse(ListOptions, "list", args)
    experiments = catalogue.all_experiments().values()
    if options.json:
        keys = ("id", "summary", "dataset", "source", "reported")
        print(json.dumps([{key: to_json(getattr(e, key)) for key in keys} for e in experiments], indent=1))
        return 0
    lines = [(e.id, e.dataset, e.source, _headline(e), e.summary) for e in experiments]
    lines.insert(0, ("ID", "DATA", "SOURCE", "REPORTED", "WHAT"))
    widths = [max(len(line[i]) for line in lines) for i in range(4)]
    for line in lines:
        print("  ".join([text.ljust(width) for text, width in zip(line, widths, strict=False)] + [line[4]]))
    return 0


def _headline(experiment: Experiment) -> str:
    value = experiment.reported.get("test_accuracy", experiment.reported.get("validation_accuracy"))
    return "–" if value is None else f"{value:.2f} %"


def _show(args: list[str]) -> int:
    options = _parse(ShowOptions, "show", args)
    [*experiments] = catalogue.select([options.id])
    from jaxnets import problems, program  # These import jax, which `list` can do without.

    shown = []
    for experiment in experiments:
        data_set = sets.get(experiment.dataset)
        ready = store.is_prepared(experiment.dataset)
        asked = problems.build(experiment, sets.outline(experiment.dataset))
        shown.append(
            {
                **to_json(experiment),
                "parameters": program.count_parameters(experiment, asked),
                "data_ready": ready or data_set.made_here,
                "data_howto": None if ready else sets.howto(experiment.dataset),
            }
        )
    if options.json:
        print(json.dumps(shown[0] if len(shown) == 1 else shown, indent=1))
        return 0
    for item in shown:
        print(f"{item['id']}: {item['summary']}  ({item['source']})")
        print(f"  parameters     {item['parameters']:,}")
        print("  reported       " + (", ".join(f"{k} {v:g}" for k, v in item["reported"].items()) or "nothing"))
        state = "ready" if item["data_ready"] else f"not ready: {item['data_howto']}"
        print(f"  data           {item['data']['source']}: {state}")
        for path, value in _flatten({k: item[k] for k in item if k not in _SHOWN_ELSEWHERE}):
            print(f"  {path:<28} {value}")
        print()
    return 0


_SHOWN_ELSEWHERE = ("type", "id", "summary", "source", "reported", "parameters", "data_ready", "data_howto")


def _flatten(tree: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    return [
        item
        for key, value in tree.items()
        for item in (_flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else [(prefix + key, value)])
    ]


def _data(args: list[str]) -> int:
    options = _parse(DataOptions, "data", args)
    if options.action == "prepare":
        if options.name is None:
            raise UserError(f"data prepare needs the name of a set: {', '.join(sets.SETS)}")
        folder = sets.get(options.name).prepare(options.manual_dir)
        data = store.load(options.name)
        sizes = ", ".join(f"{data.examples(split):,} {split}" for split in data.splits)
        print(f"{options.name}: {sizes} examples, ready in {folder}")
        return 0
    console = Console()
    table = Table(box=None, pad_edge=False)
    for title in ("set", "ready", "what"):
        table.add_column(title)
    for name, data_set in sets.SETS.items():
        ready = store.is_prepared(name)
        about = data_set.about if ready else f"{data_set.about}. To have it: {sets.howto(name)}"
        table.add_row(name, "yes" if ready else "no", about)
    console.print(table)
    console.print(f"prepared sets are kept in {store.root()}", highlight=False, soft_wrap=True)
    return 0


def _run(args: list[str]) -> int:
    names = [arg for arg in args[: next((i for i, arg in enumerate(args) if arg.startswith("-")), len(args))]]
    rest = args[len(names) :]
    if not names and not {"-h", "--help"} & set(rest):
        raise UserError("run needs the id of an experiment first, for example: jaxnets run cifar10/lenet/super --epochs 5")
    experiments = catalogue.select(names or ["cifar10/lenet/super"])
    description = f"Trains experiments: jaxnets run ID… [OPTIONS]. The defaults below are those of {experiments[0].id}."
    runs = [_parse(RunOptions, f"run {' '.join(names) or 'ID…'}", rest, RunOptions(e), description) for e in experiments]
    runs = [dataclasses.replace(run, experiment=validate(run.experiment)) for run in runs]
    if runs[0].checkpoint_every < 0:
        raise UserError(f"checkpoint_every must be 0 or more seconds, got {runs[0].checkpoint_every}")
    return _train_all(runs)


def _train_all(runs: list[RunOptions]) -> int:
    from jaxnets.interrupts import Interrupted
    from jaxnets.parallel import split_cpu, use_compilation_cache
    from jaxnets.progress import Reporter
    from jaxnets.report import tables
    from jaxnets.train import train

    use_compilation_cache()
    split_cpu(runs[0].experiment.seeds)
    reporter = Reporter(Console())
    summaries, failures = [], []
    try:
        for run in runs:
            folder = run.out / run.experiment.id
            try:
                summaries.append(train(run.experiment, folder, reporter, run.checkpoint_every, run.tensorboard))
            except UserError as error:
                # The other experiments are not lost for one that cannot run.
                if len(runs) == 1:
                    raise
                failures.append(run.experiment.id)
                print(f"jaxnets: error: {error}", file=sys.stderr)
    except Interrupted as stop:
        print(f"jaxnets: {stop}", file=sys.stderr)
        return 128 + stop.signal
    finally:
        if summaries:
            print("\nreported | ours, mean ± standard deviation over seeds")
            print(tables.text(*tables.cells([tables.row(summary) for summary in summaries], brief=True)))
    print(f"\nruns are in {runs[0].out}; a page with plots: jaxnets report {runs[0].out}")
    return 1 if failures else 0


def _report(args: list[str]) -> int:
    options = _parse(ReportOptions, "report", args)
    if not options.folders:
        raise UserError("report needs at least one folder of runs, for example: jaxnets report runs")
    from jaxnets.report import page, results

    runs = page.finished_runs(options.folders)
    if options.jsonl:
        print(f"{results.write(options.jsonl, runs)} runs written to {options.jsonl}")
    print(f"report: {page.write_report(options.folders, options.out or options.folders[0])}")
    return 0
