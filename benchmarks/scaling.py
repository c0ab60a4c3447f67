"""Measures how the cost of a training step grows with batch size, seeds, sequence length and parameters.

python -m benchmarks.scaling [AXIS …] [--device cpu|gpu] [--json FILE] [--out DIR]

Each axis is measured at several sizes, in turn like all benchmarks, and plotted with power laws fitted to time and memory by
least squares on logarithms.
"""

import dataclasses
import datetime
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import tyro
from matplotlib.figure import Figure

from benchmarks import data, harness
from benchmarks.workloads import PreparedWorkload, Workload
from jaxnets.analysis.report import plots
from jaxnets.cli.parse import parse
from jaxnets.errors import UserError

Row = dict[str, Any]


class Axis(NamedTuple):
    """What grows, and at which sizes it is measured."""

    title: str
    sizes: tuple[int, ...]
    workload: Callable[[int], Workload]
    replicas: Callable[[int], int] = lambda size: 1
    position: Callable[[PreparedWorkload, int], int] = lambda workload, size: size
    """(prepared workload, size) -> position on the horizontal axis."""


def _parameters(workload: PreparedWorkload, size: int) -> int:
    from jaxnets.training import engine

    del size
    return engine.count_parameters(workload.experiment, workload.task)


_IMAGES = data.images(4096)
AXES = {
    "batch": Axis(
        "batch size, lenet_bn",
        (16, 32, 64, 128, 256, 512, 1024, 2048, 4096),
        lambda size: Workload("cifar10/lenet/bn", _IMAGES, {"data.batch_size": size}),
    ),
    "seeds": Axis(
        "seeds, lenet_bn",
        (1, 2, 4, 8, 16, 32, 64),
        lambda size: Workload("cifar10/lenet/bn", _IMAGES),
        replicas=lambda size: size,
    ),
    "length": Axis(
        "tokens of a sequence, char_lm",
        (16, 32, 64, 128, 256, 512),
        lambda size: Workload("text/char_lm", data.running_text(66), {"data.window": size}),
    ),
    "parameters": Axis(
        "parameters, gray_cnn at several widths",
        (8, 16, 32, 64, 128),
        lambda size: Workload(
            "cifar10/gray_cnn/plain", _IMAGES, {"model.width": size, "model.dense": 4 * size, "data.batch_size": 64}
        ),
        position=_parameters,
    ),
}


def slope(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """The exponent b of the best power law cost = a · size^b, by least squares on logarithms.

    Raises ValueError for fewer than two different sizes, and for sizes or costs that are not above 0.
    """
    if len(set(sizes)) < 2 or min(*sizes, *costs) <= 0:
        raise ValueError("a power law needs at least two sizes, and sizes and costs above 0")
    return float(np.polyfit(np.log(sizes), np.log(costs), 1)[0])


def measure(name: str, rounds: int) -> list[Row]:
    """A row for each size of an axis. Sizes that do not fit into memory are reported on the terminal and left out."""
    from benchmarks import train_step, workloads
    from benchmarks.facts import facts

    axis = AXES[name]
    prepared = {size: workloads.prepare(axis.workload(size)) for size in axis.sizes}
    candidates = {
        f"{name} {size}": train_step.candidate(workload, axis.replicas(size)) for size, workload in prepared.items()
    }
    timings = harness.interleave(candidates, rounds)
    environment = facts()
    return [
        {
            "kind": "scaling",
            "date": datetime.date.today().isoformat(),
            "axis": name,
            "title": axis.title,
            "workload": prepared[size].experiment.id,
            "measure": "train step",
            "size": axis.position(prepared[size], size),
            "milliseconds": round(1e3 * timing.median, 4),
            "spread": round(timing.spread, 4),
            "noisy": timing.spread > harness.NOISY,
            "peak_bytes": timing.peak_bytes,
            "n": len(timing.rounds),
            **environment,
        }
        for size in axis.sizes
        if (timing := timings.get(f"{name} {size}"))
    ]


def slopes(rows: Sequence[Row]) -> dict[str, float]:
    """The exponents of time and memory over the rows of one axis."""
    sizes = [row["size"] for row in rows]
    return {cost: slope(sizes, [row[cost] for row in rows]) for cost in ("milliseconds", "peak_bytes")}


def draw(rows: Sequence[Row], path: Path) -> None:
    """Plots time and memory against the size, with their power laws. Raises UserError if the file cannot be written."""
    figure = Figure((7.2, 2.8), layout="constrained")
    sizes = np.array([row["size"] for row in rows])
    titles = {"milliseconds": ("milliseconds a step", 1.0), "peak_bytes": ("memory, MB", 1e-6)}
    for axes, (cost, exponent) in zip(figure.subplots(1, 2), slopes(rows).items(), strict=True):
        label, unit = titles[cost]
        costs = unit * np.array([row[cost] for row in rows])
        level = np.exp(np.log(costs).mean() - exponent * np.log(sizes).mean())
        axes.loglog(sizes, costs, "o", color="tab:blue")
        axes.loglog(sizes, level * sizes**exponent, "--", color="tab:gray", label=f"~ size^{exponent:.2f}")
        axes.minorticks_off()
        ticks = sizes[::2]
        axes.set(xlabel=rows[0]["title"], ylabel=label, xticks=ticks, xticklabels=map(_short, ticks))
        axes.legend(frameon=False)
    plots.save(figure, path, dpi=80)


def _short(size: float) -> str:
    """A number as a label of an axis.

    >>> [_short(size) for size in (512, 4096, 34_378, 8_690_698)]
    ['512', '4,096', '34 k', '8.7 M']
    """
    return f"{size:,.0f}" if size < 10_000 else f"{size / 1e3:.0f} k" if size < 1e6 else f"{size / 1e6:.1f} M"


@dataclasses.dataclass(frozen=True)
class ScalingOptions:
    """Measures how the cost of a training step grows, and plots it."""

    axes: tyro.conf.Positional[tuple[str, ...]] = ()
    """What to let grow: batch, seeds, length, parameters. Default: all."""
    device: str | None = None
    """cpu or gpu. Default: JAX's choice."""
    json: Annotated[Path | None, tyro.conf.arg(name="json")] = None
    """Append a row for each size to this JSON Lines file."""
    out: Path = Path("runs/scaling")
    """Folder for the plots."""
    rounds: int = harness.ROUNDS
    """Number of turns of each size, at least 7."""


def main(args: Sequence[str]) -> int:
    """Measures, plots and prints the exponents. Returns the exit status."""
    options = parse(ScalingOptions, "bench scaling", list(args))
    if unknown := [name for name in options.axes if name not in AXES]:
        raise UserError(f"unknown axis {unknown[0]!r}: choose from {', '.join(AXES)}")
    harness.check_rounds(options.rounds)
    from benchmarks.facts import choose_device
    from jaxnets.training import process

    process.tune()
    choose_device(options.device)
    for name in options.axes or AXES:
        rows = measure(name, options.rounds)
        if options.json:
            for row in rows:
                harness.append(options.json, row)
        if len(rows) < 2:
            print(f"{name}: fewer than two sizes could be measured")
            continue
        path = options.out / f"{name}.png"
        draw(rows, path)
        print(f"{name}: {_line(rows, slopes(rows))}; {path}", flush=True)
    return 0


def _line(rows: Sequence[Row], exponents: Mapping[str, float]) -> str:
    noisy = [str(row["size"]) for row in rows if row["noisy"]]
    return (
        f"{rows[0]['size']:,} to {rows[-1]['size']:,}: time ~ size^{exponents['milliseconds']:.2f} "
        f"({rows[0]['milliseconds']:.2f} to {rows[-1]['milliseconds']:.2f} ms), memory ~ size^{exponents['peak_bytes']:.2f}"
        + (f"; noisy, not to be used: {', '.join(noisy)}" if noisy else "")
    )


if __name__ == "__main__":
    harness.start(main)
