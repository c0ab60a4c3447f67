"""The variants of study/spsa at equal evaluations of the loss, and at equal seconds, each with the best of three gains.

python -m benchmarks.spsa_study --out FOLDER [--json FILE] [VARIANT …]

LeNet on CIFAR-10 in batches of 32. `jaxnets sweep` tries three gains for 4,000 evaluations, three seeds each, and trains the
one of the lowest validation loss again from fresh seeds. Then `jaxnets run` gives every variant, with that gain, as many
steps as take the seconds of gradient descent's 4,000, by the pace of a quarter of the steps just before; that part wants a
machine which does nothing else. A gradient counts as one evaluation. A is a tenth of the steps. What FOLDER has of it is not
trained again. 5,000 examples of each split are evaluated.
"""

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import tyro

from benchmarks import harness
from jaxnets import cli, registry
from jaxnets.analysis.report import plots, tables
from jaxnets.cli.parse import parse
from jaxnets.config import field_at
from jaxnets.errors import UserError
from jaxnets.runs import records
from jaxnets.runs.folder import RunFolder
from jaxnets.runs.statistics import mean_std
from jaxnets.training.signals import Interrupted

EVALUATIONS, SEEDS, BATCH, PARAMETERS = 4000, 3, 32, 62_006
REFERENCE = "gd"
"""The variant whose seconds the others get."""
BUDGETS = ("evaluations", "seconds")


class Gain(NamedTuple):
    """The field that decides how long steps are, and the values to try."""

    field: str
    values: tuple[float, ...]


ONE, MANY = Gain("optim.spsa.a", (0.03, 0.1, 0.3)), Gain("optim.spsa.a", (0.1, 0.3, 1.0))
VARIANTS: dict[str, Gain] = {
    REFERENCE: Gain("optim.lr", (0.05, 0.1, 0.2)),
    "spsa_1": ONE,
    "one_sided": ONE,
    "averaged": ONE,
    "blocking": ONE,
    "calibrated": Gain("optim.spsa.calibrate", (1e-4, 3e-4, 1e-3)),
    "2spsa": Gain("optim.spsa.calibrate", (3e-5, 1e-4, 3e-4)),
    "head": Gain("optim.spsa.a", (0.3, 1.0, 3.0)),
    "spsa_16": MANY,
    "spsa_adam": Gain("optim.lr", (3e-4, 1e-3, 3e-3)),
    "orthogonal": MANY,
    "low_rank": MANY,
    # One coordinate in 3,875 moves, as far as all together do elsewhere.
    "coordinates": Gain("optim.spsa.a", (0.01, 0.1, 0.5)),
    "spsa_256": Gain("optim.spsa.a", (0.2, 0.5, 1.0)),
}
OPTIONS = {"spsa_256": ["--optim.spsa.at-once", "64"]}
"""Further arguments of a variant: 512 evaluations of nine replicas together would need gigabytes."""


def arguments(variant: str, steps: int, others: Sequence[str]) -> list[str]:
    """Those of `jaxnets run` and `jaxnets sweep` for that many steps."""
    length = ["--steps", str(steps), "--seeds", str(SEEDS), "--data.batch-size", str(BATCH), "--eval-examples", "5000"]
    gains = [] if variant == REFERENCE else ["--optim.spsa.big-a", str(steps // 10)]
    return [f"study/spsa/{variant}", *length, *gains, *OPTIONS.get(variant, ()), *others]


def searched(variant: str, folder: Path, others: Sequence[str], evaluations: int) -> RunFolder | None:
    """The run of the best gain at equal evaluations; None where no gain came to a finite loss."""
    gain = VARIANTS[variant]
    optim = registry.all_experiments()[f"study/spsa/{variant}"].optim
    steps = max(1, evaluations // optim.evaluations_per_step(PARAMETERS))
    over = f"{gain.field}={','.join(f'{value:g}' for value in gain.values)}"
    where = ["--out", str(folder), "--over", over, "--metric", "validation_loss"]
    _call("sweep", arguments(variant, steps, [*where, *others]))
    return _finished(folder / "sweep" / "study" / "spsa" / variant, "best-*")


def again(variant: str, best: RunFolder, steps: int, folder: Path, others: Sequence[str]) -> RunFolder | None:
    """A run by the same gain for that many steps."""
    field = VARIANTS[variant].field
    value = ["--" + field.replace("_", "-"), f"{field_at(best.experiment(), field):g}", "--out", str(folder)]
    _call("run", arguments(variant, steps, [*value, *others]))
    return _finished(folder / "study" / "spsa", variant)


def timed(variant: str, best: RunFolder, seconds: float, folder: Path, others: Sequence[str]) -> RunFolder | None:
    """A run by the same gain that takes about as many seconds of training."""
    steps = best.summary()["steps"]
    pilot = again(variant, best, max(steps // 4, min(steps, 5)), folder / "pace", others)
    if pilot is None:
        return None
    pace = pilot.summary()["seconds"]["train"] / pilot.summary()["steps"]
    return again(variant, best, max(1, round(seconds / pace)), folder, others)


def _call(command: str, args: Sequence[str]) -> None:
    if (status := cli.main([command, *args])) > 128:
        raise Interrupted(status - 128, f"{args[0]} was interrupted")


def _finished(folder: Path, name: str) -> RunFolder | None:
    return next((run for path in sorted(folder.glob(name)) if (run := RunFolder(path)).finished), None)


def row(variant: str, budget: str, run: RunFolder) -> dict[str, Any]:
    """What is published of a run. Seconds are those of training one seed, without compilation and evaluation."""
    [full] = records.rows([run])
    experiment, gain = run.experiment(), VARIANTS[variant]
    values = lambda split, metric: full["final"][split][metric]["values"]
    return {
        "kind": "spsa study",
        "budget": budget,
        "variant": variant,
        "field": gain.field,
        "tried": gain.values,
        "value": field_at(experiment, gain.field),
        "train_loss": values("train", "loss"),
        "validation_accuracy": values("validation", "accuracy"),
        "n": full["n"],
        "batch": experiment.data.batch_size,
        "steps": full["steps"],
        "evaluations": full["steps"] * experiment.optim.evaluations_per_step(PARAMETERS),
        "seconds": full["seconds"]["train"] / full["n"],
        **{name: full[name] for name in ("hardware", "versions", "commit")},
    }


def measure(
    variants: Sequence[str], folder: Path, others: Sequence[str] = (), evaluations: int = EVALUATIONS
) -> Iterator[dict[str, Any]]:
    """A row for each variant and budget, as soon as it is there. `others` are further arguments of both commands."""
    found = {}
    for variant in dict.fromkeys([REFERENCE, *variants]):
        if run := searched(variant, folder / "evaluations", others, evaluations):
            found[variant] = run
            yield row(variant, "evaluations", run)
    best = found.pop(REFERENCE, None)
    reference = best and again(REFERENCE, best, best.summary()["steps"], folder / "seconds", others)
    if reference is None:
        raise UserError(f"study/spsa/{REFERENCE} did not end, so there are no seconds for the others")
    yield row(REFERENCE, "seconds", reference)
    seconds = reference.summary()["seconds"]["train"]
    for variant, best in found.items():
        if run := timed(variant, best, seconds, folder / "seconds", others):
            yield row(variant, "seconds", run)


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """A table for each budget, a line for each variant."""
    parts = []
    for budget in BUDGETS:
        header = [
            f"equal {budget}",
            "gain, of those tried",
            "n",
            "steps",
            "evaluations",
            "seconds",
            "train loss",
            "validation %",
        ]
        body = []
        for r in (r for r in rows if r["budget"] == budget):
            tried = ", ".join(f"{value:g}" for value in r["tried"])
            loss, accuracy = (mean_std(plots.numbers(r[metric])) for metric in ("train_loss", "validation_accuracy"))
            name = r["field"].rpartition(".")[2]
            ends = [tables.format_mean_std(loss, digits=3), tables.format_mean_std(accuracy, 100, 1)]
            lengths = [f"{r['steps']:,}", f"{r['evaluations']:,}", f"{r['seconds']:,.1f}"]
            body.append([r["variant"], f"{name} {r['value']:g} of {tried}", str(loss["n"]), *lengths, *ends])
        if body:
            parts.append(tables.markdown(header, body).rstrip())
    return "\n\n".join(parts)


@dataclasses.dataclass(frozen=True)
class StudyOptions:
    """Compares the variants of study/spsa at equal evaluations and at equal seconds."""

    variants: tyro.conf.Positional[tuple[str, ...]] = ()
    """What to train besides gradient descent. Default: all variants."""
    out: Path = Path("runs") / "spsa_study"
    """Folder of the runs; an interrupted comparison in it is resumed."""
    json: Annotated[Path | None, tyro.conf.arg(name="json")] = None
    """Write the rows to this JSON Lines file, anew after each run."""


def main(args: Sequence[str]) -> int:
    """Trains, writes the rows and prints the tables. Returns the exit status."""
    options = parse(StudyOptions, "bench spsa_study", list(args))
    if unknown := [name for name in options.variants if name not in VARIANTS]:
        raise UserError(f"unknown variant {unknown[0]!r}: choose from {', '.join(VARIANTS)}")
    rows: list[dict[str, Any]] = []
    try:
        for new in measure(options.variants or tuple(VARIANTS), options.out):
            rows.append(new)
            if options.json:
                options.json.write_text("".join(json.dumps(r) + "\n" for r in rows), "utf-8")
    except Interrupted as stop:
        return 128 + stop.signal
    print(table(rows))
    return 0


if __name__ == "__main__":
    harness.start(main)
