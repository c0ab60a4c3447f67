"""`jaxnets plan`."""

import dataclasses
import sys
from typing import Annotated, Any

import tyro

from jaxnets.analysis.report import tables
from jaxnets.cli.parse import parse_experiments
from jaxnets.config import Experiment, validate, with_field
from jaxnets.data import catalog
from jaxnets.errors import UserError

_HEADER = (
    "experiment",
    "split",
    "batch",
    "GB",
    "fits",
    "GFLOP",
    "MB",
    "kernels",
    "launches",
    "ms a step",
    "hours",
    "reported",
)
_NOTES = """
GB: memory of one device. GFLOP, MB, kernels: of a step, on one device. launches: kernels of an epoch of training.
ms a step, hours: estimated, not measured, all epochs without evaluation. The first figure has everything at once and at full
rates: {tflops:.4g} TFLOP/s in float32, {half:.4g} in bfloat16, {bandwidth:.4g} GB/s of memory, {link:.4g} between devices.
The second has one after the other, and {launch:.2g} µs for every kernel."""


@dataclasses.dataclass(frozen=True)
class PlanOptions:
    """Says what training would take on a device, from programs that are compiled for it and not run."""

    experiment: Annotated[Experiment, tyro.conf.arg(name="")]
    on: str = "cpu"
    """The device, and how many: h100, a100, rtx4090, a6000, v5e, v6e, or this machine's cpu; v5e:4 is four of them."""
    batch_size: str = ""
    """Batch sizes to compare, for example 128,512,2048. Default: the experiment's."""
    measure: tyro.conf.FlagCreatePairsOff[bool] = False
    """Also time a few steps, where the device is this machine's cpu and nothing else runs."""


def plan(args: list[str]) -> int:
    """Compiles the training of experiments for a device, and prints a table of what it takes."""
    what = "Says what training would take on a device"
    plans = parse_experiments(PlanOptions, "plan", args, "cifar10/lenet/super --on h100", what)
    options, chosen = plans[0], [each.experiment for each in plans]
    sizes = _batch_sizes(options.batch_size)
    if sizes:
        chosen = [validate(with_field(each, "data.batch_size", size)) for each in chosen for size in sizes]
    return _print_plan(chosen, options)


def _batch_sizes(text: str) -> list[int]:
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not all(part.isascii() and part.isdigit() and int(part) for part in parts):
        raise UserError(f"--batch-size {text}: give whole numbers from 1 with commas between them, as in 128,512,2048")
    return [int(part) for part in parts]


def _print_plan(experiments: list[Experiment], options: PlanOptions) -> int:
    from jaxnets.training import accelerators, process

    on, count = accelerators.parse(options.on)
    if options.measure and on != accelerators.CPU:
        raise UserError(f"--measure times steps on this machine's cpu, and --on is {on}")
    process.without_accelerators()
    accelerators.devices(on, count)
    header = [name for name in _HEADER if name != "reported"] + ["measured"] * options.measure
    if any("gpu_seconds" in each.reported for each in experiments):
        header.append("reported")
    body, advice = [], []
    for experiment in experiments:
        print(f"compiling {experiment.id} for {options.on}", file=sys.stderr, flush=True)
        row, line = _row(experiment, on, count, options.measure)
        body.append([row.get(name, "") for name in header])
        advice += [line] if line else []
    device = accelerators.get(on)
    print(tables.text(header, body))
    numbers = dict(bandwidth=device.bandwidth / 1e9, link=device.link / 1e9, launch=1e6 * device.kernel_seconds)
    print(_NOTES.format(tflops=device.tflops["float32"], half=device.tflops["bfloat16"], **numbers))
    if device.gpu:
        print("JAX takes three quarters of a card's memory at first; XLA_PYTHON_CLIENT_MEM_FRACTION=0.95 lets it have more.")
    if "reported" in header:
        print("reported: hours on the report's GPU, an A6000, in PyTorch, with its evaluation and loading of data.")
    print("".join(f"\n{line}" for line in advice), end="\n" * bool(advice))
    return 0


def _row(experiment: Experiment, on: str, count: int, measure: bool) -> tuple[dict[str, str], str]:
    """(cells of the table by column, advice where memory is short)."""
    from jaxnets.training import estimate
    from jaxnets.training.memory import OutOfMemory

    cells: dict[str, Any] = {"experiment": experiment.id, "batch": f"{experiment.data.batch_size:,}"}
    if "gpu_seconds" in experiment.reported:
        cells["reported"] = f"{experiment.reported['gpu_seconds'] / 3600:.2f}"
    try:
        found = estimate.estimate(experiment, catalog.spec_of(experiment.data), on, count)
    except OutOfMemory as error:
        cells |= {"fits": "no", "GB": f"{error.memory.total / 1e9:.1f}" if error.memory.total else "too many"}
        return cells, error.explain(experiment)
    hours = found.steps_per_epoch * found.epochs / 3600
    cells |= {
        "split": found.split if count > 1 else "–",
        "GB": f"{found.needed.total / 1e9:.2f}",
        "fits": "yes" if found.fits else "no",
        "GFLOP": f"{found.flops / 1e9:,.2f}",
        "MB": f"{found.bytes / 1e6:,.0f}",
        "kernels": f"{found.kernels:,.0f}",
        "launches": f"{found.launches_per_epoch:,}",
        "ms a step": f"{1e3 * found.fastest:.3f}–{1e3 * found.slowest:.3f}",
        "hours": f"{hours * found.fastest:.3f}–{hours * found.slowest:.3f}",
    }
    if measure:
        from jaxnets.runs.reproduction import pace

        seconds = pace.measure(experiment).example / pace.EVALUATION * experiment.data.batch_size * experiment.seeds
        cells["measured"] = f"{1e3 * seconds:.3f}"
    return cells, "" if found.fits else OutOfMemory(found.needed, found.limit).explain(experiment)
