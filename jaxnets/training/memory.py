"""The device memory that compiled programs need, and advice where it is too much."""

import contextlib
import os
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax

from jaxnets.config import Experiment
from jaxnets.errors import UserError

_COMPILING = 600_000_000
"""Bytes of addresses that the compiler's threads map for their stacks and heaps, of which they use a small part."""


class Memory(NamedTuple):
    """Bytes of one compiled program on one device; zeros where the compiler does not say."""

    total: int = 0
    """Arguments, results and scratch."""
    scratch: int = 0
    """What grows with the batch."""


class Costs:
    """What compiling and holding the programs of a run has cost so far."""

    def __init__(self) -> None:
        self.compile_seconds = 0.0
        self.peak_bytes = 0
        """Memory of the largest program: arguments, results and scratch, on one device."""


_UNKNOWN = Memory()


def needed(executable: Any) -> Memory:
    """The memory of a compiled function."""
    sizes = executable.memory_analysis()
    if sizes is None:
        return Memory()
    used = sizes.argument_size_in_bytes + sizes.output_size_in_bytes + sizes.temp_size_in_bytes
    return Memory(used - sizes.alias_size_in_bytes, sizes.temp_size_in_bytes)


def host_limit(root: Path = Path("/")) -> int:
    """Bytes that this process may use: the machine's, or fewer by a limit of its container (cgroup) or its own (ulimit).

    `root` is where the system's files are.
    """
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        mount = root / "sys/fs/cgroup" / ("memory" if controllers else "")
        own = mount / path.strip("/")
        for folder in (own, *(parent for parent in own.parents if parent.is_relative_to(mount))):
            limits += [
                int(text) for name in ("memory.max", "memory.limit_in_bytes") if (text := _read(folder / name)).isdigit()
            ]
    if (addresses := _addresses_left(root)) is not None:
        limits.append(max(1, addresses - _COMPILING))
    return min(limits)


def check_addresses() -> None:
    """Raises UserError where a limit of the process (ulimit -v) leaves the compiler no room: it would end the process."""
    left = _addresses_left(Path("/"))
    if left is not None and left < _COMPILING:
        raise UserError(
            f"this process can map only {left / 1e6:,.0f} MB more, and compiling takes {_COMPILING / 1e6:,.0f} MB: raise "
            "its limit (ulimit -v), or limit memory by a container, where only what is used counts"
        )


def _addresses_left(root: Path) -> int | None:
    addresses, _ = resource.getrlimit(resource.RLIMIT_AS)
    if addresses == resource.RLIM_INFINITY:
        return None
    return addresses - int((_read(root / "proc/self/statm") or "0").split()[0]) * os.sysconf("SC_PAGE_SIZE")


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8").strip()
    except OSError:
        return ""


class OutOfMemory(Exception):  # noqa: N818
    """A program needs more memory than a device has."""

    def __init__(self, memory: Memory = _UNKNOWN, limit: int = 0, training: bool = True) -> None:
        super().__init__(f"{memory.total} bytes needed, {limit} available")
        self.memory, self.limit, self.training = memory, limit, training

    def explain(self, experiment: Experiment) -> str:
        """One line for the user, with a size that would fit."""
        gigabytes = lambda count: f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.0f} MB"
        what = f"{experiment.id}: out of memory"
        if self.memory.total:
            what += f" ({gigabytes(self.memory.total)} needed, {gigabytes(self.limit)} available)"
        if not self.training:
            return f"{what} beside training; lower --eval-batch-size or --seeds"
        batch_size = experiment.data.batch_size
        part = batch_size // experiment.grad_accumulation_steps
        room = self.limit - (self.memory.total - self.memory.scratch)
        fitting = int(part * room / self.memory.scratch) if self.memory.scratch else part // 2
        if fitting < 1:
            return (
                f"{what}: weights and data alone are too large; try fewer {'settings or ' if experiment.grid else ''}seeds"
            )
        if 4 * fitting < part:
            fitting = max(1, fitting // 2)  # What does not shrink with the batch, such as gradients, counts for more there.
        size = 2 ** (min(fitting, max(1, part - 1)).bit_length() - 1)
        advice = f"--data.batch-size {size}"
        if experiment.grad_accumulation_steps > 1:
            advice += " --grad-accumulation-steps 1"
        advice += " should fit"
        if not experiment.data.independent:
            return f"{what}: {advice}"
        more = next(n for n in range(1, batch_size + 1) if batch_size % n == 0 and batch_size // n <= size)
        return f"{what}: {advice}, or --grad-accumulation-steps {more} with the same batch of {batch_size}"


@contextlib.contextmanager
def watched(training: bool = True) -> Iterator[None]:
    """Turns the runtime's own out-of-memory error into OutOfMemory."""
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        raise OutOfMemory(training=training) from error
