"""Devices: which there are, and how work is laid out over them. No other module names devices, meshes or shardings.

Two layouts over a mesh of one axis:

    seeds   each device trains its share of the replicas; nothing is communicated
    data    each device takes its share of every batch; gradients are summed

`data_parallel` comes in two modes. By default the program is written for the whole batch and the compiler splits it.
`per_device=True` keeps pmap's contract: the program sees one device's share and sums over the named axis itself.
"""

import contextlib
import os
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import lax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from jaxnets.nn import cpu

AXIS = "devices"
REPLICATED = PartitionSpec()
SPLIT = PartitionSpec(AXIS)


def make_mesh(devices: Sequence[jax.Device] | None = None) -> Mesh:
    """A one-axis mesh over `devices`, by default all."""
    devices = jax.devices() if devices is None else devices
    # Linen's layers need axes that the compiler may shard as it sees fit.
    return Mesh(np.asarray(devices), (AXIS,), axis_types=(AxisType.Auto,))


def data_parallel(
    step: Callable, mesh: Mesh, *, specs: tuple[Any, ...] = (REPLICATED, SPLIT), per_device: bool = False
) -> Callable:
    """Compiles `step(state, batch) -> (state, metrics)` with the batch split over the mesh and the state replicated.

    Args:
      step: written for the whole batch; with `per_device`, for one device's share (make it with `axis_name=AXIS`).
      mesh: from `make_mesh`.
      specs: for each argument a PartitionSpec, or a tree of them that is a prefix of the argument.
      per_device: pmap's contract instead of automatic partitioning.

    The first argument is donated, results are replicated. Both modes compute what `jax.pmap` of the per-device step
    computes.
    """
    if per_device:
        mapped = jax.shard_map(step, mesh=mesh, in_specs=specs, out_specs=REPLICATED, check_vma=False)
        return jax.jit(mapped, donate_argnums=0)
    return jax.jit(
        step,
        in_shardings=_shardings(mesh, specs),
        out_shardings=_shardings(mesh, REPLICATED),
        donate_argnums=0,
    )


def over_seeds(function: Callable) -> Callable:
    """Maps a function over the leading seed axis of its arguments; the last argument is shared by all seeds.

    On accelerators by vmap: all seeds in one program. On a CPU one after the other inside one program: there a batched
    matrix product of small matrices is slower than the products in turn, and caches hold one replica better than many.
    """

    def mapped(*args: Any) -> Any:
        *own, shared = args
        if jax.default_backend() == "cpu":
            return lax.map(lambda items: function(*items, shared), tuple(own))
        return jax.vmap(function, in_axes=(0,) * len(own) + (None,))(*args)

    return mapped


def seed_parallel(function: Callable, mesh: Mesh, donate: bool = False) -> Callable:
    """Compiles `over_seeds(function)` with the seeds split over the mesh; nothing is communicated."""

    def spread(*args: Any) -> Any:
        specs = (SPLIT,) * (len(args) - 1) + (REPLICATED,)
        return jax.shard_map(over_seeds(function), mesh=mesh, in_specs=specs, out_specs=SPLIT, check_vma=False)(*args)

    return jax.jit(spread, donate_argnums=0 if donate else ())


def batch_parallel(run: Callable, mesh: Mesh) -> Callable:
    """Compiles `over_seeds(run)` for `run(state, plan, arrays)`.

    Each batch of the plan [S, K, batch, …] is split over the mesh.
    """
    batches = NamedSharding(mesh, PartitionSpec(None, None, AXIS))

    def split(state: Any, plan: Any, arrays: Any) -> Any:
        spread = lambda leaf: lax.with_sharding_constraint(leaf, batches) if leaf.ndim > 2 else leaf
        return over_seeds(run)(state, jax.tree.map(spread, plan), arrays)

    return replicated(split, mesh, donate=True)


def replicated(function: Callable, mesh: Mesh, donate: bool = False) -> Callable:
    """Compiles a function whose results are whole on every device of the mesh."""
    return jax.jit(function, out_shardings=NamedSharding(mesh, REPLICATED), donate_argnums=0 if donate else ())


def split_cpu(seeds: int) -> None:
    """Makes one CPU device for every seed or few, so that seeds train side by side, each on a core of its own.

    Small nets leave cores waiting for each other when they share one batch. Must come before the first use of a device;
    it changes nothing where there is an accelerator.
    """
    cores = available_cores()
    # As many seeds at once as there are cores, by the fewest devices that share the seeds out evenly.
    even = [devices for devices in range(1, 3 * cores + 1) if seeds % devices == 0]
    best = max(even, key=lambda devices: (min(devices, cores), -devices))
    with contextlib.suppress(RuntimeError):  # Devices are in use already: then they stay as they are.
        jax.config.update("jax_num_cpu_devices", best)


def memory_limit() -> int:
    """Bytes that one device may use; 0 where it does not tell. CPU devices share the machine's memory."""
    if jax.default_backend() == "cpu":
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // jax.device_count()
    return (jax.devices()[0].memory_stats() or {}).get("bytes_limit", 0)


def available_cores() -> int:
    """Processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Layout(NamedTuple):
    """How one run lies on the devices."""

    split: str
    """What is split over the mesh: "seeds" or "data"."""
    mesh: Mesh


def choose_layout(seeds: int, batch_size: int) -> Layout:
    """Splits seeds over all devices if they divide evenly, else the batch if that does, else uses one device.

    Devices of one CPU share its cores, so splitting a batch over them gains nothing.
    """
    devices = jax.device_count()
    if seeds % devices == 0:
        return Layout("seeds", make_mesh())
    if batch_size % devices == 0 and jax.default_backend() != "cpu":
        return Layout("data", make_mesh())
    return Layout("seeds", make_mesh(jax.devices()[:1]))


def steps_per_call(steps: int) -> int:
    """How many steps one compiled call takes, for an epoch of `steps`.

    On accelerators a whole epoch: launching costs more than the work of a small net. On CPUs few enough for progress and
    interrupts to feel immediate, a divisor of the epoch if one is near; and 1 where convolutions are XLA's, which run
    several times slower inside a loop.
    """
    if jax.default_backend() != "cpu":
        return steps
    if cpu.backend() == "xla":
        return 1
    wanted = 32
    divisors = [k for k in range(wanted // 2, wanted + 1) if steps % k == 0]
    return max(divisors, default=min(wanted, steps))


def replicate(tree: Any, mesh: Mesh) -> Any:
    """Puts host arrays whole on every device of the mesh."""
    return jax.device_put(tree, NamedSharding(mesh, REPLICATED))


def device_line() -> str:
    """The devices in a few words, and what convolves on them if they are CPUs."""
    found = describe_devices()
    if found["platform"] != "cpu":
        return f"{found['count']} × {found['kind']}"
    kernels = {"native": "native kernels", "xla": "no native kernels (slower): they need a C++ compiler at install time"}
    return f"cpu, {found['cores']} cores, {kernels[found['kernels']]}"


def describe_devices() -> dict[str, Any]:
    """What the run stands on, for its record."""
    device = jax.devices()[0]
    described = {"platform": device.platform, "kind": device.device_kind, "count": jax.device_count()}
    if device.platform == "cpu":
        described |= {"cores": available_cores(), "kernels": cpu.backend()}
    return described


def _shardings(mesh: Mesh, specs: Any) -> Any:
    is_spec = lambda spec: isinstance(spec, PartitionSpec)
    return jax.tree.map(lambda spec: NamedSharding(mesh, spec), specs, is_leaf=is_spec)
