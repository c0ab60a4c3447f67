"""Whether anything else used the machine while something was timed.

The spread of a timing does not tell: a program that is slowed down in every round has a small spread. So the kernel is asked
who ran, and a known product of matrices shows, before and after, how far the machine is from its own best.
"""

import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import psutil

from jaxnets.training.parallel import affinity

MOST_OTHERS, MOST_STOLEN = 0.05, 0.05
"""Shares of our cores' time that other processes may use, and that a hypervisor may give to other machines."""
SLOW = 1.5
"""Times over the best, in the median, at which a product of matrices counts as slowed down."""
_SIZE, _REPEATS = 512, 60


class Usage(NamedTuple):
    """Use of the cores of this process over some time."""

    wall: float
    """Seconds."""
    own: float
    """CPU seconds of this process and of the processes that it started."""
    busy: float
    """CPU seconds of all processes on these cores, with what a hypervisor took."""
    stolen: float
    """Seconds that a hypervisor took."""
    preempted: int
    """How often the scheduler took a core from this process."""

    @property
    def others(self) -> float:
        """How many cores others used on the average.

        >>> Usage(wall=2.0, own=2.5, busy=4.0, stolen=0.1, preempted=7).others
        0.75
        """
        return max(0.0, self.busy - self.own) / self.wall


def counters() -> Usage:
    """The counters now, since the process or the machine started; `between` makes a usage of two."""
    process = psutil.Process()
    own = sum(map(_cpu_seconds, [process, *process.children(recursive=True)]))
    per_core = psutil.cpu_times(percpu=True)
    cores = [per_core[number]._asdict() for number in affinity() if number < len(per_core)]
    # Of Linux; time of guests is within that of users.
    busy = sum(core.get(kind, 0.0) for core in cores for kind in ("user", "nice", "system", "irq", "softirq", "steal"))
    stolen = sum(core.get("steal", 0.0) for core in cores)
    return Usage(time.perf_counter(), own, busy, stolen, process.num_ctx_switches().involuntary)


def between(start: Usage, end: Usage) -> Usage:
    """What was used from one `counters` to the next."""
    return Usage(*(after - before for before, after in zip(start, end, strict=True)))


def total(usages: Iterable[Usage]) -> Usage:
    """The sum of usages of different times."""
    return Usage(*map(sum, zip(*usages, strict=True)))


def disturbance(usage: Usage, cores: int) -> str | None:
    """What disturbed a measurement that used so many cores in this way; None if nothing did.

    >>> disturbance(Usage(wall=2.0, own=2.5, busy=4.0, stolen=0.0, preempted=7), cores=2)
    'other processes used 0.75 cores'
    >>> disturbance(Usage(wall=2.0, own=3.9, busy=4.0, stolen=0.0, preempted=7), cores=2)
    """
    if usage.stolen > MOST_STOLEN * cores * usage.wall:
        return f"the hypervisor took {usage.stolen / usage.wall:.2f} cores"
    if usage.others > MOST_OTHERS * cores:
        return f"other processes used {usage.others:.2f} cores"
    return None


class Probe(NamedTuple):
    """Seconds that a product of two float32 matrices of 512 x 512 takes."""

    best: float
    median: float


def probe() -> dict[str, Probe]:
    """Times the product in JAX and, where it is installed and on CPUs, in PyTorch."""
    matrix = np.random.default_rng(0).standard_normal((_SIZE, _SIZE), dtype=np.float32)
    ours = jnp.asarray(matrix)
    multiply = jax.jit(jnp.matmul)
    probes = {"jax": _time(lambda: multiply(ours, ours).block_until_ready())}
    try:
        import torch
    except ImportError:
        return probes
    theirs = torch.from_numpy(matrix)
    return probes | {"torch": _time(lambda: theirs @ theirs)}


def slowdown(before: Mapping[str, Probe], after: Mapping[str, Probe]) -> dict[str, float]:
    """How many times its own best the product took in the median, by framework; the worse of before and after.

    >>> slowdown({"jax": Probe(1.0, 1.25)}, {"jax": Probe(1.5, 3.0)})
    {'jax': 3.0}
    """
    best = {name: min(before[name].best, after[name].best) for name in before}
    return {name: round(max(before[name].median, after[name].median) / best[name], 3) for name in before}


def _time(multiply: Callable[[], object]) -> Probe:
    multiply()
    seconds = []
    for _ in range(_REPEATS):
        start = time.perf_counter()
        multiply()
        seconds.append(time.perf_counter() - start)
    return Probe(min(seconds), statistics.median(seconds))


def _cpu_seconds(process: psutil.Process) -> float:
    """With those of the children that have ended; a running child has a counter of its own."""
    try:
        times = process.cpu_times()
    except psutil.Error:  # It ended just now.
        return 0.0
    return sum(times[:4])
