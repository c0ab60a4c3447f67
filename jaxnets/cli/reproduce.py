"""`jaxnets reproduce`."""

import dataclasses
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from jaxnets.cli.parse import Limits, optional, parse, part, shown_as
from jaxnets.errors import UserError

if TYPE_CHECKING:
    from jaxnets.runs.reproduction.document import Document
    from jaxnets.runs.reproduction.plan import Job

_LOOK_AGAIN = "claims still undecided: with --hours H, seeds are added until there is a verdict or no time"


@dataclasses.dataclass(frozen=True)
class DataOptions:
    """The data of a reproduction."""

    source: Annotated[str | None, optional("STR")] = None
    """synthetic: train on stand-ins, which need no download; the page says so everywhere."""


@dataclasses.dataclass(frozen=True)
class ReproduceOptions:
    """Trains what a document's tables, figures and claims need, as far as it is missing, and makes a page of it."""

    document: tyro.conf.Positional[Annotated[str, shown_as("DOCUMENT")]]
    """S0 to S4, or a .toml file of your own."""
    data: DataOptions = dataclasses.field(default_factory=DataOptions)
    only: Annotated[str, optional("ID,ID…")] = ""
    """Train for these tables, figures and claims alone: table1,figure9,claim3. The page has all of them."""
    seeds: Annotated[int | None, optional("INT"), Limits(1, 10_000)] = None
    """Replicas of each experiment. By default as many as the document plans: 8 of cheap nets."""
    hours: Annotated[float | None, optional("FLOAT"), Limits(0)] = None
    """Start no run that would take longer than this; add seeds for undecided claims as long as time is left. 0: only the
    page."""
    part: Annotated[str, optional("K/N")] = "1/1"
    """Train the K-th of N parts, for arrays of jobs with one OUT."""
    epochs: Annotated[int | None, optional("INT"), Limits(1)] = None
    """A shortened reproduction: epochs of every experiment."""
    steps: Annotated[int | None, optional("INT"), Limits(1)] = None
    """A shortened reproduction: steps of every experiment."""
    eval_examples: Annotated[int | None, optional("INT"), Limits(1)] = None
    """A shortened reproduction: evaluate on at most this many examples of a split."""
    out: Path = Path("runs/reproduce")
    """Runs go to OUT/seed-R/ID, the page is OUT/DOCUMENT/index.html. What is there counts and is resumed."""

    def changes(self) -> dict[str, Any]:
        """The fields of experiments that these options change."""
        given = {"data.source": self.data.source, **{n: getattr(self, n) for n in ("epochs", "steps", "eval_examples")}}
        return {path: value for path, value in given.items() if value is not None}


def reproduce(args: list[str]) -> int:
    """Says what will be trained and how long it takes, trains it, and writes the page.

    Returns the exit status: 0, 1 if some runs failed, 128 + the signal's number after SIGINT or SIGTERM.
    """
    options = parse(ReproduceOptions, "reproduce", args)
    from jaxnets.analysis.document import page
    from jaxnets.runs.reproduction import claims, document, evidence

    loaded = document.load(options.document)
    parts = loaded.select([id_ for id_ in options.only.split(",") if id_])
    if options.data.source not in (None, "synthetic"):
        raise UserError(f"data.source {options.data.source}: a reproduction takes the documents' data, or synthetic")
    synthetic = options.data.source == "synthetic"
    deadline = None if options.hours is None else time.monotonic() + 3600 * options.hours
    # A share of all, not of what is left: that depends on what this process sees finished.
    own = list(document.experiments(parts))[part(options.part)]
    status, wanted = 0, own
    for look in range(claims.LOOKS if options.hours and not synthetic else 1):
        status = max(status, _train(_plan(options, loaded, wanted, 2**look, deadline), deadline))
        if status > 1:
            break
        gathered = evidence.gather(evidence.committed(), [options.out])
        known = {id_: evidence.of(e, gathered) for id_, e in document.experiments(loaded.claims).items()}
        open_ = [entry.claim for entry in claims.ledger(loaded, known) if entry.decision == "undecided"]
        wanted = [id_ for id_ in document.experiments([claim for claim in open_ if claim in parts]) if id_ in own]
        if not wanted:
            break
    else:
        if not synthetic and options.hours is None and wanted:
            print(_LOOK_AGAIN)
    print(f"page: {page.write(loaded, options.out, synthetic=synthetic)}")
    return status


def _plan(
    options: ReproduceOptions, loaded: "Document", ids: Sequence[str], times: int, deadline: float | None
) -> list["Job"]:
    """The jobs of these experiments that fit the time; prints them, and what cannot be done and why."""
    from jaxnets.runs.reproduction import document, evidence, plan
    from jaxnets.runs.reproduction.pace import Paces
    from jaxnets.training import process

    if options.hours == 0:
        return []
    process.prepare()
    gathered = evidence.gather(evidence.committed(), [options.out])
    paces = Paces(gathered, report=lambda text: print(text, flush=True))
    wishes = [plan.wish(document.experiment(i), loaded.stand_ins, options.changes()) for i in ids]
    for problem in dict.fromkeys(wish.problem for wish in wishes if wish.problem):
        print(f"cannot train {', '.join(wish.documented.id for wish in wishes if wish.problem == problem)}: {problem}")
    possible = [wish for wish in wishes if not wish.problem]
    seeds = [times * (options.seeds or loaded.planned_seeds(wish.documented)) for wish in possible]
    jobs = plan.jobs(zip(possible, seeds, strict=True), gathered, options.out, paces)
    ends, fitting = 0.0, []
    for job in jobs:
        ends += job.seconds
        late = deadline is not None and time.monotonic() + ends > deadline
        how = "measured" if job.measured else "from records"
        note = f"  not in {options.hours:g} h" if late else ""
        print(f"{_duration(job.seconds):>10}  {job.wish.documented.id} × {job.seeds} ({how}){note}")
        fitting += [] if late else [job]
    total = sum(job.seconds for job in fitting)
    print(f"runs to train on this machine: {len(fitting)}, about {_duration(total)}; left out: {len(jobs) - len(fitting)}")
    return fitting


def _train(jobs: Sequence["Job"], deadline: float | None) -> int:
    """Trains jobs one after the other, each in a process of its own, with as many devices as suit its seeds."""
    status = 0
    for job in jobs:
        name = f"{job.wish.documented.id}, seed {job.seed}"
        if deadline is not None and time.monotonic() + job.seconds > deadline:
            print(f"no time left for {name}")
        elif job.folder.busy:
            print(f"{name}: another process is training it")
        elif not job.folder.finished:
            print(f"$ jaxnets {' '.join(job.arguments)}", flush=True)
            ended = _run([sys.executable, "-m", "jaxnets", *job.arguments])
            if ended > 2:
                return ended
            status = max(status, int(ended > 0 and not job.folder.busy))
    return status


def _run(command: Sequence[str]) -> int:
    """Runs a command to its end and returns its exit status. Signals are passed on; a run saves before it ends."""
    process = subprocess.Popen(command)
    # Ctrl-C reaches the whole group of processes; SIGTERM may be sent to this one alone.
    before = {
        signal.SIGINT: signal.signal(signal.SIGINT, lambda *_: None),
        signal.SIGTERM: signal.signal(signal.SIGTERM, lambda *_: process.terminate()),
    }
    try:
        return process.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
