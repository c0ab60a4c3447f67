"""What training an experiment would take on a device that need not be there: memory, work, and bounds of its time.

Everything follows from the program that the device's compiler makes for a whole epoch: nothing is run.
"""

import contextlib
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax

from jaxnets.config import Experiment
from jaxnets.errors import UserError
from jaxnets.tasks import task as tasks
from jaxnets.training import accelerators, ahead, engine, hlo, memory, parallel
from jaxnets.training.accelerators import Accelerator
from jaxnets.training.arithmetic import jaxpr_flops
from jaxnets.training.memory import Memory, OutOfMemory


class Estimate(NamedTuple):
    """Of training on one of the devices, which all do the same."""

    needed: Memory
    """Of the training program, with the validation split and the best weights beside it."""
    limit: int
    split: str
    """What is split over the devices: "seeds" or "batch"."""
    steps_per_epoch: int
    epochs: float
    flops: float
    """Operations of matrix products and convolutions a step."""
    bytes: float
    """Memory traffic a step, if nothing stays in a cache between two kernels."""
    kernels: float
    """Kernels a step."""
    collective_bytes: float
    """Exchanged with other devices a step."""
    collectives: float
    """Times a step that they wait for one another."""
    fastest: float
    """Seconds a step at full rates, with all kinds of work at once: a roofline."""
    slowest: float
    """Seconds a step if each kind of work, and every launch, waits for the others. Bad kernels may take longer yet."""

    @property
    def fits(self) -> bool:
        """Whether there is memory enough."""
        return self.needed.total <= self.limit

    @property
    def launches_per_epoch(self) -> int:
        """Kernels of an epoch of training."""
        return round(self.kernels * self.steps_per_epoch)


def estimate(experiment: Experiment, dataset: Any, on: str, count: int = 1) -> Estimate:
    """Compiles the training program of an experiment for `count` devices of a kind, and counts.

    Args:
      experiment: what to train.
      dataset: on what; of its arrays only the shapes are used.
      on: a name of jaxnets.training.accelerators.
      count: how many of them.

    Raises:
      UserError: no compiler for this device here, sizes that do not fit each other or the devices.
      OutOfMemory: the compiler itself refused, and does not say how much memory the program needs.
    """
    device = accelerators.get(on)
    devices = accelerators.devices(on, count)
    task = tasks.build(experiment, dataset)
    layout = parallel.choose_layout(experiment.seeds, task.examples_per_step, devices)
    if layout.mesh.size < count:
        raise UserError(
            f"{experiment.id}: neither {experiment.seeds} seeds nor batches of {task.examples_per_step} can be shared by "
            f"{count} devices evenly; choose another number of devices, --seeds or --data.batch-size"
        )
    made = engine.programs(experiment, task, layout)
    steps = parallel.steps_per_call(task.train_loader.steps, layout.platform)
    arguments = ahead.train_arguments(made, experiment.seeds, steps)
    traced = made.train.trace(*arguments)
    with memory.watched(), _uncached():
        try:
            compiled = traced.lower().compile()
        except jax.errors.JaxRuntimeError as error:
            _raise_with_sizes(error)
            raise
    needed = memory.needed(compiled)
    beside = _bytes(ahead.arrays(made, "validation")) + _bytes(arguments[0].variables) // _shares(layout)
    # Under shard_map a jaxpr has the shapes of one device; otherwise those of all.
    flops = jaxpr_flops(traced.jaxpr.jaxpr) / (layout.mesh.size if layout.split == "batch" else 1)
    per_step = hlo.ProgramCosts(*(cost / steps for cost in hlo.program_costs(compiled.as_text())))
    dtype = getattr(experiment.model, "dtype", "float32")
    fastest, slowest = _seconds(device, flops / steps, per_step, dtype)
    return Estimate(
        needed=Memory(needed.total + beside, needed.scratch),
        limit=device.memory,
        split=layout.split,
        steps_per_epoch=task.train_loader.steps,
        epochs=made.total_steps / task.train_loader.steps,
        flops=flops / steps,
        bytes=per_step.bytes,
        kernels=per_step.kernels,
        collective_bytes=per_step.collective_bytes,
        collectives=per_step.collectives,
        fastest=fastest,
        slowest=slowest,
    )


@contextlib.contextmanager
def _uncached() -> Iterator[None]:
    """Keeps programs out of JAX's cache on disk, from which those for devices that are not here cannot be read again."""
    name = "jax_persistent_cache_min_compile_time_secs"
    kept = jax.config.values[name]
    jax.config.update(name, 1e9)
    try:
        yield
    finally:
        jax.config.update(name, kept)


def _shares(layout: parallel.Layout) -> int:
    """Into how many parts the state is split."""
    return layout.mesh.size if layout.split == "seeds" else 1


def _seconds(device: Accelerator, flops: float, costs: hlo.ProgramCosts, dtype: str) -> tuple[float, float]:
    """(at full rates and all at once, one after the other) for a step."""
    parts = (
        flops / (1e12 * device.tflops[dtype]),
        costs.bytes / device.bandwidth,
        costs.collective_bytes / device.link,
    )
    # A ring passes every byte on twice.
    return max(parts), sum(parts) + parts[2] + costs.kernels * device.kernel_seconds


def _bytes(tree: Any) -> int:
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def _raise_with_sizes(error: Exception) -> None:
    """Raises OutOfMemory with the sizes that a TPU's compiler names when it refuses a program; does nothing without."""
    found = re.search(r"Used ([\d.]+)([GM]) of ([\d.]+)G hbm", str(error))
    if found:
        unit = {"G": 2**30, "M": 2**20}[found[2]]
        raise OutOfMemory(Memory(int(float(found[1]) * unit)), int(float(found[3]) * 2**30)) from error
