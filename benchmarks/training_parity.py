"""Trains small versions of the experiments here and in PyTorch, and compares what both come to.

python -m benchmarks.training_parity [FAMILY …] [--seeds N] [--json FILE]

Equal losses and gradients of one step say nothing of initialization, order, augmentation, dropout, schedules and evaluation.
Here both sides train from their own random numbers, a few seeds in turn. Means over seeds are compared by Welch's test, and
for equivalence within a margin by two one-sided tests. What is in FILE already is not trained again.
"""

import dataclasses
import datetime
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import tyro

from benchmarks import harness
from benchmarks.harness import OURS
from jaxnets import registry
from jaxnets.cli.parse import parse
from jaxnets.config import Experiment, from_json, to_json, with_fields
from jaxnets.data import catalog
from jaxnets.data.store import Dataset
from jaxnets.errors import UserError, extra
from jaxnets.runs import records, statistics
from jaxnets.runs.reproduction import evidence

Row = dict[str, Any]
THEIRS = "torch"
SIDES = (OURS, THEIRS)
SEEDS, AT_ONCE = 8, 4
"""Seeds of each side, and how many of one side train before it is the other's turn."""
LEVEL = 0.05
"""At which p-values decide."""
MARGINS = {"accuracy": 1.0, "psnr": 0.2, "loss": 0.02}
"""Differences of means below these are none: points of accuracy in %, dB, nats a letter."""


class Family(NamedTuple):
    """An experiment at a length that both sides train in minutes."""

    id: str
    """The experiment's."""
    epochs: int
    examples: int | None = None
    """How many training examples, or letters of a text, evenly spread or its first ones; None: all."""
    changes: Mapping[str, Any] = {}
    """Other fields that differ from the registered experiment: dotted path -> value."""
    measure: str = "accuracy"
    """Of the test split, by which the sides are compared; one of MARGINS."""


_EMNIST = {"data.source": "emnist36"}
_FEW_WORDS = {"model.hidden": 32, "data.max_length": 80}
_FASTER = {"optim.lr": 1e-3}
"""At the rate of table 1, 1e-4, there is little to compare after so few steps."""
FAMILIES = {
    "lenet_super": Family("cifar10/lenet/super", 4, 10_000),
    "lenet_bn_dropout": Family("cifar10/lenet/bn_dropout", 4, 10_000),
    "lenet": Family("cifar10/lenet/plain", 4, 10_000, _FASTER),
    "lenet_bn": Family("cifar10/lenet/bn", 4, 10_000, _FASTER),
    "rows_rnn": Family("mnist_rows/rnn_128_rmsprop", 2, 10_000),
    "rows_lstm": Family("mnist_rows/lstm_128", 2, 10_000),
    "rows_gru": Family("mnist_rows/gru_128", 2, 10_000),
    "nist36_mlp": Family("nist36/mlp", 10, changes=_EMNIST),
    "nist36_autoencoder": Family("nist36/autoencoder", 20, None, _EMNIST, "psnr"),
    "char_rnn": Family("names/char_rnn", 2, 20_000),
    "names_gru": Family("names/best", 2),
    "char_lm": Family("text/char_lm", 2, 100_000, {"model.hidden": 128}, "loss"),
    "translate_gru": Family("translate/gru", 3, 4000, {"model.hidden": 128}),
    "imdb_lstm": Family("imdb/lstm", 3, 5000, _FEW_WORDS),
    "small_cnn": Family("cifar10/small_cnn", 4, 4000),
    "gray_cnn": Family("cifar10/gray_cnn/plain", 4, 4000),
    "lenet_best": Family("cifar10/lenet/best", 4, 10_000),
    "lenet_l2": Family("cifar10/lenet/l2", 4, 10_000, _FASTER),
    "lenet_dropout": Family("cifar10/lenet/dropout", 4, 10_000, _FASTER),
    "lenet_super_badinit": Family("cifar10/lenet/super_badinit", 4, 10_000),
    "nist36_mlp_framework": Family("nist36/mlp_framework", 10, changes=_EMNIST),
    "nist36_autoencoder_best": Family("nist36/autoencoder_best", 5, 3600, _EMNIST, "psnr"),
    "translate_lstm": Family("translate/lstm", 3, 4000, {"model.hidden": 128}),
    "imdb_best": Family("imdb/best", 2, 5000, _FEW_WORDS),
}


def experiment_of(family: Family) -> Experiment:
    """What both sides train. The last weights are measured."""
    experiment = registry.all_experiments()[family.id]
    return with_fields(experiment, {"epochs": family.epochs, "select": "last", "seeds": AT_ONCE, **family.changes})


def dataset_of(family: Family, experiment: Experiment) -> Dataset:
    """The family's data, with as many training examples as it takes. Raises UserError for a set that is not prepared."""
    dataset = catalog.open_dataset(experiment.dataset)
    if family.examples is None:
        return dataset
    count, wanted = dataset.examples("train"), family.examples
    chosen = np.arange(wanted) * count // wanted if experiment.data.independent else np.arange(wanted)
    train = {field: np.asarray(array)[chosen] for field, array in dataset.splits["train"].items()}
    return dataset._replace(splits={**dataset.splits, "train": train})


def ours(family: Family, seeds: Sequence[int]) -> Row:
    """Trains `seeds` at once: "train_loss" [seeds][epochs] and measures of the test split [seeds], by name."""
    from jaxnets.training import engine
    from jaxnets.training.loop import train_epoch

    experiment = replace(experiment_of(family), seeds=len(seeds), seed=seeds[0])
    built = engine.build(experiment, dataset_of(family, experiment))
    state, losses = built.init(), []
    for epoch in range(experiment.epochs):
        total, weight = 0.0, 0.0
        for progress in train_epoch(built, state, epoch):
            state = progress.state
            for _, metrics in progress.metrics:
                total, weight = total + metrics["loss"].total.sum(-1), weight + metrics["loss"].weight.sum(-1)
        losses.append(total / weight)
    measured, _ = built.evaluate("test", state.variables, False)
    return {
        "train_loss": np.transpose(losses).tolist(),
        **{name: np.asarray(mean.value).tolist() for name, mean in measured.items()},
    }


def theirs(family: Family, seeds: Sequence[int]) -> Row:
    """The same by PyTorch, one seed after the other in one thread."""
    from benchmarks.torch import learning

    experiment = experiment_of(family)
    dataset = dataset_of(family, experiment)
    trained = [learning.train(experiment, dataset, seed) for seed in seeds]
    return {name: [one[name] for one in trained] for name in trained[0]}


def config_of(family: Family) -> Any:
    """The family's settings as JSON, for its rows."""
    return {**to_json(experiment_of(family)), "examples": family.examples}


def rows_of(name: str, rows: Sequence[Row]) -> dict[str, list[Row]]:
    """The rows of a family by side, those alone that were trained as the family is now."""
    plain = lambda config: (evidence.settings(from_json(Experiment, config)), config["examples"])
    now = plain(config_of(FAMILIES[name]))
    same = [row for row in rows if row["family"] == name and plain(row["config"]) == now]
    return {side: [row for row in same if row["side"] == side] for side in SIDES}


def missing(name: str, rows: Sequence[Row], seeds: int) -> Iterator[tuple[str, list[int]]]:
    """(side, seeds) of the trainings that are not among the rows, the sides in turn."""
    done = {side: {seed for row in of_side for seed in row["seeds"]} for side, of_side in rows_of(name, rows).items()}
    for first in range(0, seeds, AT_ONCE):
        for side in SIDES:
            if left := [seed for seed in range(first, min(first + AT_ONCE, seeds)) if seed not in done[side]]:
                yield side, left


def compare(name: str, rows: Sequence[Row]) -> Row | None:
    """The comparison of a family's sides, or None before both have two seeds."""
    family, by_side = FAMILIES[name], rows_of(name, rows)
    factor = 100 if family.measure == "accuracy" else 1
    gathered = [
        {
            "measured": [factor * value for row in by_side[side] for value in row[family.measure]],
            "train_loss": [seed[-1] for row in by_side[side] for seed in row["train_loss"]],
        }
        for side in SIDES
    ]
    left, right = (side["measured"] for side in gathered)
    if min(len(left), len(right)) < 2:
        return None
    losses = [side["train_loss"] for side in gathered]
    p_equivalent = statistics.p_equivalent(left, right, MARGINS[family.measure])
    p_different = statistics.p_different(left, right)
    return {
        "family": name,
        "measure": f"test {family.measure}",
        "margin": MARGINS[family.measure],
        "n": [len(left), len(right)],
        "measured": [statistics.mean_std(side) for side in (left, right)],
        "difference": statistics.difference_interval(left, right, level=1 - 2 * LEVEL),
        "p_different": p_different,
        "p_equivalent": p_equivalent,
        "train_loss": [statistics.mean_std(side) for side in losses],
        "p_train_loss": statistics.p_different(*losses),
        "verdict": "equivalent" if p_equivalent <= LEVEL else "different" if p_different <= LEVEL else "undecided",
    }


def table(compared: Sequence[Row]) -> str:
    """Comparisons as a Markdown table."""
    lines = [
        "| family | measure | n | ours | PyTorch | difference, 90 % interval | p, equal | p, apart by the margin | verdict "
        "| last training loss, ours | PyTorch | p, equal |",
        "| :-- | :-- | --: | --: | --: | --: | --: | --: | :-- | --: | --: | --: |",
    ]
    for c in compared:
        digits = {1.0: 2, 0.2: 3}.get(c["margin"], 4)
        show = lambda x, digits: f"{x['mean']:.{digits}f} ± {x['std']:.{digits}f}"
        measured, losses = ([show(x, d) for x in c[field]] for field, d in (("measured", digits), ("train_loss", 4)))
        low, high = (f"{bound:+.{digits}f}" for bound in c["difference"])
        unit = {"test accuracy": ", %", "test psnr": ", dB"}.get(c["measure"], "")
        lines.append(
            f"| {c['family']} | {c['measure']}{unit} | {' + '.join(map(str, c['n']))} | {measured[0]} | {measured[1]} "
            f"| {low} to {high} | {c['p_different']:.2f} | {c['p_equivalent']:.4f} (±{c['margin']:g}) | {c['verdict']} "
            f"| {losses[0]} | {losses[1]} | {c['p_train_loss']:.2f} |"
        )
    return "\n".join(lines)


@dataclasses.dataclass(frozen=True)
class ParityOptions:
    """Trains here and in PyTorch, and compares the results."""

    families: tyro.conf.Positional[tuple[str, ...]] = ()
    """What to train. Default: all families."""
    seeds: int = SEEDS
    """Trainings of each side, at least 2."""
    json: Annotated[Path, tyro.conf.arg(name="json")] = Path("runs/training-parity.jsonl")
    """JSON Lines file of the trainings so far, to which new ones are added."""


def main(args: Sequence[str]) -> int:
    """Trains what is missing and prints the comparisons. Returns the exit status."""
    options = parse(ParityOptions, "bench training_parity", list(args))
    if unknown := [name for name in options.families if name not in FAMILIES]:
        raise UserError(f"unknown family {unknown[0]!r}: choose from {', '.join(FAMILIES)}")
    if options.seeds < 2:
        raise UserError(f"--seeds must be at least 2, got {options.seeds}")
    with extra("bench"):
        import torch  # noqa: F401
    from benchmarks.facts import facts
    from jaxnets.training import parallel, process

    process.prepare()
    parallel.split_cpu(AT_ONCE)
    compared = []
    for name in options.families or FAMILIES:
        family, rows = FAMILIES[name], _read(options.json)
        for side, seeds in missing(name, rows, options.seeds):
            start = time.perf_counter()
            results = (ours if side == OURS else theirs)(family, seeds)
            row = {
                "kind": "training parity",
                "date": datetime.date.today().isoformat(),
                "family": name,
                "side": side,
                "seeds": seeds,
                "n": len(seeds),
                **results,
                "seconds": round(time.perf_counter() - start, 1),
                "config": config_of(family),
                **facts(),
            }
            harness.append(options.json, row)
            print(f"{name}: {side} {seeds[0]} to {seeds[-1]}, {row['seconds']:.0f} s", flush=True)
        if comparison := compare(name, _read(options.json)):
            compared.append(comparison)
    print(table(compared))
    return 0


def _read(path: Path) -> list[Row]:
    return [row for row in records.read(path) if row["kind"] == "training parity"] if path.exists() else []


if __name__ == "__main__":
    harness.start(main)
