"""A new head for a trained net, found by SPSA and by gradient descent: the accuracy by evaluations of the loss.

python -m benchmarks.spsa_head [--json FILE] [--out PLOT.png]

The LeNet that comes with jaxnets keeps all layers but its last, whose 850 parameters begin at 0 and are trained on CIFAR-10.
What the kept layers make of the images is computed once. Batches of 256; each seed has its own batches and directions. A
gradient counts as one evaluation. Of each method's three rates the table and the plot have the one that is best on the
validation split. A file that is there is only plotted. No times are taken.
"""

import dataclasses
import functools
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import tyro
from flax import linen as nn
from matplotlib.figure import Figure

from benchmarks import harness
from jaxnets.analysis.report import plots
from jaxnets.cli.parse import parse
from jaxnets.data import catalog
from jaxnets.data.store import Dataset
from jaxnets.optim.directions import orthogonal
from jaxnets.optim.gains import scale_by_calibrated_gain
from jaxnets.optim.spsa import spsa_gradient
from jaxnets.runs.load import TrainedNet, load
from jaxnets.tasks import task as tasks

NET, SEEDS, BATCH, C = "lenet", 5, 256, 0.1
MARKS = (100, 300, 1000, 3000, 10_000)
"""Evaluations after which the head is judged. The gains are those for the last."""
Arrays = Mapping[str, jax.Array]


def _spsa(number: int, **options: Any) -> Callable[[float], Any]:
    def rule(first_step: float) -> Any:
        steps = MARKS[-1] // (2 * number)
        gain = scale_by_calibrated_gain(first_step, big_a=0.1 * steps, steps=max(25 // number, 1))
        return optax.chain(spsa_gradient(c=C, num_perturbations=number, **options), gain)

    return rule


METHODS: dict[str, tuple[int, tuple[float, ...], Callable[[float], Any]]] = {
    "gradient descent": (1, (0.01, 0.03, 0.1), optax.sgd),
    "SPSA": (2, (0.003, 0.01, 0.03), _spsa(1)),
    "SPSA of 16": (32, (0.01, 0.03, 0.1), _spsa(16)),
    "SPSA of 16 orthogonal": (32, (0.01, 0.03, 0.1), _spsa(16, directions=orthogonal)),
}
"""(evaluations of a step, rates or sizes of the first move, the rule)"""


def features(net: TrainedNet, dataset: Dataset, split: str) -> Arrays:
    """What the head sees of each example [N, 84], and its label [N]."""
    task = tasks.build(net.experiment, dataset)
    loader, arrays = task.eval_loader(split), dict(task.arrays[split])

    @jax.jit
    def of_batch(arrays: Any, item: Any) -> Any:
        seen: list[Any] = []

        def keep(call: Any, args: Any, kwargs: Any, context: Any) -> Any:
            if context.module.name == "head":
                seen.append(args[0])
            return call(*args, **kwargs)

        batch = loader.make_batch(arrays, item, None)
        with nn.intercept_methods(keep):
            net.model.apply(net.variables, batch["image"], train=False)
        return seen[0], batch["label"], batch["mask"]

    indices = loader.epoch_indices(None, 0)
    parts = [of_batch(arrays, jax.tree.map(lambda x: x[i], indices)) for i in range(loader.steps)]  # noqa: B023
    x, label, mask = (np.concatenate(part) for part in zip(*parts, strict=True))
    return {"x": jnp.asarray(x[mask > 0]), "label": jnp.asarray(label[mask > 0])}


def loss(head: Any, x: jax.Array, label: jax.Array) -> jax.Array:
    """Cross-entropy of a head {"kernel": [84, 10], "bias": [10]}."""
    logits = x @ head["kernel"] + head["bias"].reshape(1, -1)
    return optax.softmax_cross_entropy_with_integer_labels(logits, label).mean()


def accuracy(head: Any, split: Arrays) -> jax.Array:
    """The share of a split that a head gets right."""
    logits = split["x"] @ head["kernel"] + head["bias"].reshape(1, -1)
    return jnp.mean(logits.argmax(-1) == split["label"])


def descend(tx: Any, steps: Sequence[int], splits: Mapping[str, Arrays], key: jax.Array) -> dict[str, jax.Array]:
    """Accuracies on the validation and test splits after each of the given numbers of steps, in ascending order."""
    train = splits["train"]
    head = {"kernel": jnp.zeros((train["x"].shape[1], 10)), "bias": jnp.zeros(10)}
    carry, tx = (head, tx.init(head)), optax.with_extra_args_support(tx)

    def step(carry: Any, k: jax.Array) -> tuple[Any, None]:
        head, state = carry
        batch_key, own = jax.random.split(jax.random.fold_in(key, k))
        chosen = jax.random.randint(batch_key, (BATCH,), 0, len(train["label"]))
        value_fn = lambda head: loss(head, train["x"][chosen], train["label"][chosen])
        updates, state = tx.update(jax.grad(value_fn)(head), state, head, value_fn=value_fn, key=own)
        return (optax.apply_updates(head, updates), state), None

    found: dict[str, list[jax.Array]] = {"validation": [], "test": []}
    for first, last in zip((0, *steps), steps, strict=False):
        carry, _ = jax.lax.scan(step, carry, first + jnp.arange(last - first))
        for name, values in found.items():
            values.append(accuracy(carry[0], splits[name]))
    return {name: jnp.stack(values) for name, values in found.items()}


def measure(splits: Mapping[str, Arrays], seeds: int = SEEDS, marks: Sequence[int] = MARKS) -> list[dict[str, Any]]:
    """A row for each method and rate."""
    keys, rows = jax.random.split(jax.random.key(0), seeds), []
    for method, (evaluations, rates, rule) in METHODS.items():
        steps = [max(mark // evaluations, 1) for mark in marks]
        for rate in rates:
            descents = jax.vmap(functools.partial(descend, rule(rate), steps), (None, 0))
            values = {f"{split}_accuracy": by_mark.T.tolist() for split, by_mark in jax.jit(descents)(splits, keys).items()}
            row = {"kind": "spsa head", "method": method, "rate": rate, "evaluations": list(marks), "n": seeds}
            rows.append({**row, **values})
            print(row, file=sys.stderr, flush=True)
    return rows


def best(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Of each method the row whose rate ends best on the validation split."""
    end = lambda row: np.mean(row["validation_accuracy"][-1])
    methods = dict.fromkeys(row["method"] for row in rows)
    return [max((row for row in rows if row["method"] == method), key=end) for method in methods]


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Test accuracy, mean and standard deviation over seeds, by evaluations."""
    marks = rows[0]["evaluations"]
    lines = [f"| test % after | {' | '.join(f'{mark:,}' for mark in marks)} |", "| :-- |" + " --: |" * len(marks)]
    for row in best(rows):
        cells = [f"{100 * np.mean(v):.1f} ± {100 * np.std(v, ddof=1):.1f}" for v in row["test_accuracy"]]
        lines.append(f"| {row['method']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def draw(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Test accuracy against evaluations, means over seeds with a band of one standard deviation."""
    figure, axes = plots.new_axes(plots.WIDE, "evaluations of the loss, a gradient counts as one", "test accuracy, %")
    for i, row in enumerate(best(rows)):
        plots.band(axes, row["evaluations"], 100 * np.asarray(row["test_accuracy"]), row["method"], i)
    axes.set_xscale("log")
    axes.legend(frameon=False, fontsize=8)
    return figure


def _splits() -> dict[str, Any]:
    net = load(Path(NET))
    dataset = catalog.open_data(net.experiment.data)
    return {split: features(net, dataset, split) for split in ("train", "validation", "test")}


@dataclasses.dataclass(frozen=True)
class HeadOptions:
    """Trains a new head for a trained net."""

    json: Annotated[Path | None, tyro.conf.arg(name="json")] = None
    """Write the rows to this JSON Lines file, or show those that it has."""
    out: Path | None = None
    """A PNG file for the plot."""


def main(args: Sequence[str]) -> int:
    """Measures, prints the table, and plots. Returns the exit status."""
    options = parse(HeadOptions, "bench spsa_head", list(args))
    rows = harness.measured_once(options.json, lambda: measure(_splits()))
    print(table(rows))
    if options.out:
        plots.save(draw(rows), options.out, dpi=80)
    return 0


if __name__ == "__main__":
    harness.start(main)
