"""Which runs are missing, and how long they take: the work of `jaxnets reproduce`.

Runs are those of `jaxnets run ID --seed R --seeds N --out OUT/seed-R`, so that each can be repeated by hand. Seeds that are
added later have a root seed R of their own; what is there is never trained again.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from jaxnets.config import Experiment, validate, with_fields
from jaxnets.data import catalog
from jaxnets.errors import UserError
from jaxnets.runs.folder import RunFolder, find_runs
from jaxnets.runs.reproduction import evidence
from jaxnets.runs.reproduction.evidence import Record
from jaxnets.runs.reproduction.pace import Paces, steps


@dataclass(frozen=True)
class Wish:
    """An experiment as it is to be trained here."""

    documented: Experiment
    experiment: Experiment
    changes: Mapping[str, Any]
    """Fields that differ from the documentation, by dotted path."""

    @property
    def problem(self) -> str:
        """Why it cannot be trained here; empty if it can."""
        name = self.experiment.dataset
        if catalog.is_own(name) or catalog.get(name).synthetic or catalog.is_ready(name):
            return ""
        return f"data set {name} is not prepared: {catalog.instructions(name)}"


class Job(NamedTuple):
    """A run that is missing, or not finished."""

    wish: Wish
    seed: int
    seeds: int
    out: Path
    """The --out of its command."""
    seconds: float
    """What is left to train, estimated."""
    measured: bool
    """Whether the estimate rests on a measurement made here, not on the record of an earlier run."""

    @property
    def folder(self) -> RunFolder:
        """Where it is, or will be."""
        return RunFolder(self.out / self.wish.documented.id)

    @property
    def arguments(self) -> list[str]:
        """Of its command, after "jaxnets"."""
        changes = {**self.wish.changes, "seeds": self.seeds, "seed": self.seed, "out": self.out}
        options = [part for path, value in changes.items() for part in (f"--{path.replace('_', '-')}", str(value))]
        return ["run", self.wish.documented.id, *options]


def wish(documented: Experiment, stand_ins: Mapping[str, str], changes: Mapping[str, Any]) -> Wish:
    """An experiment with changes of its fields; on its data set's stand-in if only that is prepared.

    Changes of fields that it does not have are refused with a UserError, as are values that do not fit.
    """
    source = documented.data.source
    stand_in = stand_ins.get(source, source)
    if source != stand_in and not catalog.is_ready(source) and catalog.is_ready(stand_in):
        changes = {"data.source": stand_in, **changes}
    return Wish(documented, validate(with_fields(documented, changes)), changes)


def jobs(wishes: Iterable[tuple[Wish, int]], gathered: Sequence[Record], out: Path, paces: Paces) -> list[Job]:
    """The missing and unfinished runs, cheapest first.

    Args:
      wishes: experiments and how many replicas of each are wanted. Those that differ in their names alone are one.
      gathered: what there is.
      out: where the runs of this reproduction are.
      paces: for the estimates.
    """
    unfinished = _unfinished(out)
    known: dict[str, tuple[Wish, int]] = {}
    for wanted, seeds in wishes:
        key = repr(evidence.settings(wanted.experiment))
        known[key] = (known.get(key, (wanted, 0))[0], max(seeds, known.get(key, (wanted, 0))[1]))
    planned: list[Job] = []
    for wanted, seeds in known.values():
        settings = evidence.settings(wanted.experiment)
        same = [record for record in gathered if not evidence.departures(record.settings, settings)]
        there = {replica for record in same for replica in record.replicas}
        for path, begun in unfinished.items():
            is_ours = path == out / f"seed-{begun.seed}" / wanted.documented.id
            if is_ours and not evidence.departures(evidence.settings(begun), settings):
                there |= {(begun.seed, i) for i in range(begun.seeds)}
                planned.append(_job(wanted, begun.seed, begun.seeds, out, paces))
        if len(there) < seeds:
            taken = {seed for seed, _ in there}
            roots = (r for r in range(len(taken) + 1000) if r not in taken)
            root = next(r for r in roots if not (out / f"seed-{r}" / wanted.documented.id / "config.json").exists())
            planned.append(_job(wanted, root, seeds - len(there), out, paces))
    return sorted(planned, key=lambda job: job.seconds)


def _unfinished(out: Path) -> dict[Path, Experiment]:
    """The runs below a folder that were begun, by their folders; without sweeps."""
    found = {}
    for run in find_runs(out):
        try:
            if not run.finished and not (experiment := run.experiment()).grid:
                found[run.path] = experiment
        except UserError:  # Damaged, or of a config file that is not loaded: not a run of ours.
            continue
    return found


def _job(wanted: Wish, seed: int, seeds: int, out: Path, paces: Paces) -> Job:
    job = Job(wanted, seed, seeds, out / f"seed-{seed}", 0.0, False)
    lines, pace = job.folder.metrics(), paces.of(wanted.experiment)
    done = lines[-1]["step"] if lines else 0
    left = 0 if job.folder.diverged else steps(wanted.experiment) - done
    seconds = seeds * left * wanted.experiment.data.batch_size * pace.example + pace.start
    return job._replace(seconds=seconds, measured=pace.measured)
