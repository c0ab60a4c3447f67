"""Devices: which there are, and how work is laid out over them. No other module names devices, meshes or shardings.

Two layouts over a mesh of one axis:

    seeds   each device trains its share of the replicas; nothing is communicated
    batch   each device takes its share of every batch; gradients are summed

`jit_over_seeds` is how every function of a run is mapped over seeds and laid out, and `compiled_ahead` how it is compiled.
`data_parallel` compiles a training step of a program of your own. It comes in two modes: by default the step is written for
the whole batch and the compiler splits it; `per_device=True` keeps pmap's contract, where the step sees one device's share
and sums over the named axis itself.
"""

import collections
import contextlib
import functools
import os
import time
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from jaxnets.errors import UserError
from jaxnets.nn import kernels
from jaxnets.training import memory
from jaxnets.training.memory import Costs

AXIS = "devices"
REPLICATED = PartitionSpec()
SPLIT = PartitionSpec(AXIS)


class Layout(NamedTuple):
    """How one run is laid out over devices."""

    split: Literal["seeds", "batch"]
    """What is split over the mesh."""
    mesh: Mesh
    lowering_platform: str = ""
    """What programs are lowered for, if it is not what the mesh is made of: "cuda" or "tpu", in a process without one."""

    @property
    def platform(self) -> str:
        """What programs are built for: "cpu", "gpu" or "cuda", "tpu", … Nothing else decides their form."""
        return self.lowering_platform or self.mesh.devices.flat[0].platform


def make_mesh(devices: Sequence[jax.Device] | None = None) -> Mesh:
    """A one-axis mesh over `devices`, by default all."""
    devices = jax.devices() if devices is None else devices
    # Linen's layers need axes that the compiler may shard as it sees fit.
    return Mesh(np.asarray(devices), (AXIS,), axis_types=(AxisType.Auto,))


def choose_layout(seeds: int, batch_size: int, devices: Sequence[jax.Device] | None = None) -> Layout:
    """Splits seeds over `devices` (by default all, of all processes) if they divide evenly, else the batch if that does.

    Otherwise one device does it all; UserError if other processes would be idle. Devices of one CPU share its cores:
    splitting a batch over them gains nothing, and of them as many are used as share the seeds evenly.
    """
    devices = jax.devices() if devices is None else devices
    processes = len({device.process_index for device in devices})
    if processes == 1 and devices[0].platform == "cpu":
        devices = devices[: max(number for number in range(1, len(devices) + 1) if seeds % number == 0)]
    if seeds % len(devices) == 0:
        return Layout("seeds", make_mesh(devices))
    if batch_size % len(devices) == 0:
        return Layout("batch", make_mesh(devices))
    if processes > 1:
        raise UserError(
            f"neither {seeds} seeds nor batches of {batch_size} divide by the {len(devices)} devices of {processes} "
            "processes; change --seeds or --data.batch-size, or start fewer processes"
        )
    return Layout("seeds", make_mesh(devices[:1]))


def jit_over_seeds(function: Callable, layout: Layout, *, donate: bool = False, batch_arg: int | None = None) -> Any:
    """A function of one replica as a jitted function of all replicas of a run.

    The leading axis of every argument but the last, and of every result, is the seed. The last argument is shared.

    - On a CPU the replicas of a device run one after the other inside the program (`lax.map`): there, batched products of
      small matrices are slower than the products in turn, and caches hold one replica better than many. Elsewhere `vmap`.
    - With the layout "seeds" each device maps over its share of the replicas (`shard_map`). With "batch" all devices work on
      every replica, and the compiler splits what depends on the batch.

    Args:
      function: (per-seed arguments…, shared argument) -> a tree.
      layout: from `choose_layout`.
      donate: whether the buffers of the first argument are reused for the results.
      batch_arg: which argument holds the indices of batches [S, K, batch, …]; these are split under the layout "batch".
    """

    def over_seeds(*args: Any) -> Any:
        *per_seed, shared = args
        if layout.platform == "cpu":
            return lax.map(lambda items: function(*items, shared), tuple(per_seed))
        return jax.vmap(function, in_axes=(0,) * len(per_seed) + (None,))(*args)

    def over_devices(*args: Any) -> Any:
        if layout.split == "batch":
            if batch_arg is not None:
                batches = NamedSharding(layout.mesh, PartitionSpec(None, None, AXIS))
                split = lambda leaf: lax.with_sharding_constraint(leaf, batches) if leaf.ndim > 2 else leaf
                args = tuple(jax.tree.map(split, arg) if i == batch_arg else arg for i, arg in enumerate(args))
            return over_seeds(*args)
        specs = (SPLIT,) * (len(args) - 1) + (REPLICATED,)
        return jax.shard_map(over_seeds, mesh=layout.mesh, in_specs=specs, out_specs=SPLIT, check_vma=False)(*args)

    out_shardings = NamedSharding(layout.mesh, REPLICATED) if layout.split == "batch" else None
    return jax.jit(over_devices, out_shardings=out_shardings, donate_argnums=0 if donate else ())


def compile_over_seeds(function: Callable, layout: Layout, *, costs: Costs | None = None, **options: Any) -> Callable:
    """`jit_over_seeds`, compiled at the first call for each shape.

    Seconds of compilation and bytes of memory are added up in `costs`. A program that needs more memory than the device has
    raises OutOfMemory before it runs.
    """
    jitted = jit_over_seeds(function, layout, **options)
    return compiled_ahead(jitted, layout, Costs() if costs is None else costs, options.get("donate", False))


def shapes_of(tree: Any, layout: Layout, *, shared: bool = False) -> Any:
    """Shapes, types and places of arguments of a `jit_over_seeds` function, from arrays or shapes; `shared`: of its last."""
    place = _place(layout, shared)
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=place), tree)


def _place(layout: Layout, shared: bool) -> NamedSharding:
    return NamedSharding(layout.mesh, REPLICATED if shared or layout.split == "batch" else SPLIT)


def compiled_ahead(function: Any, layout: Layout, costs: Costs, training: bool) -> Callable:
    """A jitted function that is compiled explicitly, so that its time and memory are known before it runs."""
    limit = memory_limit([device for device in layout.mesh.devices.flat if device.process_index == jax.process_index()])
    executables: dict[Any, Callable] = {}

    def call(*args: Any) -> Any:
        leaves, structure = jax.tree.flatten(args)
        signature = structure, tuple((leaf.shape, leaf.dtype, leaf.sharding) for leaf in leaves)
        if signature not in executables:
            if not costs.compile_seconds:
                memory.check_addresses()
            start = time.perf_counter()
            with memory.watched(training):
                executable = function.lower(*args).compile()
            costs.compile_seconds += time.perf_counter() - start
            needed = memory.needed(executable)
            if limit and needed.total > limit:
                raise memory.OutOfMemory(needed, limit, training)
            costs.peak_bytes = max(costs.peak_bytes, needed.total)
            executables[signature] = executable
        with memory.watched(training):
            return executables[signature](*args)

    return call


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


def split_cpu(*seeds: int) -> None:
    """Configures JAX with as many CPU devices as let runs of so many seeds each train their seeds in parallel.

    That is one per core, or as many as divide a run's seeds evenly. Small nets leave cores waiting for each other when they
    share one batch. Must come before the first use of a device; it changes nothing where there is an accelerator. A process
    that works with others has one: more can wait for each other in vain in collective operations of XLA's CPU runtime
    (jax 0.10).
    """
    cores = available_cores()
    # As many seeds at once as there are cores, by the fewest devices that share the seeds of a run out evenly.
    even = [[devices for devices in range(1, 3 * cores + 1) if run % devices == 0] for run in seeds]
    best = max(max(devices, key=lambda number: (min(number, cores), -number)) for devices in even)
    best = 1 if jax.distributed.is_initialized() else best
    with contextlib.suppress(RuntimeError):  # Devices are in use already: then they stay as they are.
        jax.config.update("jax_num_cpu_devices", best)


def steps_per_call(steps: int, platform: str) -> int:
    """How many steps one compiled call takes, for an epoch of `steps`.

    On accelerators a whole epoch: launching costs more than the work of a small net. On CPUs few enough for progress and
    interrupts to feel immediate, a divisor of the epoch if one is near; and 1 where convolutions are XLA's, which run
    several times slower inside a loop.
    """
    if platform != "cpu":
        return steps
    if kernels.backend() == "xla":
        return 1
    target = 32
    divisors = [k for k in range(target // 2, target + 1) if steps % k == 0]
    return max(divisors, default=min(target, steps))


def is_even() -> bool:
    """Whether all processes have the same number of devices."""
    return len(set(collections.Counter(device.process_index for device in jax.devices()).values())) == 1


def memory_limit(devices: Sequence[jax.Device]) -> int:
    """Bytes that each of `devices` may use; 0 where it does not tell. CPU devices share what this process may use."""
    if devices[0].platform == "cpu":
        return memory.host_limit() // len(devices)
    return (devices[0].memory_stats() or {}).get("bytes_limit", 0)


def affinity() -> list[int]:
    """The numbers of the processor cores that this process may use."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [*range(os.cpu_count() or 1)]


def available_cores() -> int:
    """Processor cores this process may use."""
    return len(affinity())


def put(tree: Any, layout: Layout, *, shared: bool = False) -> Any:
    """Arrays of the host as arguments of a `jit_over_seeds` function, with a leading seed axis or `shared`.

    With several processes each has the whole arrays, and puts what belongs to its devices there.
    """
    return jax.tree.map(functools.partial(_put, sharding=_place(layout, shared)), tree)


def put_like(tree: Any, like: Any) -> Any:
    """The same, with every leaf placed as that of `like`."""
    return jax.tree.map(lambda leaf, placed: _put(leaf, placed.sharding), tree, like)


def _put(leaf: Any, sharding: Any) -> jax.Array:
    if sharding.is_fully_addressable:
        return jax.device_put(leaf, sharding)
    # device_put would first compare the whole arrays of all processes.
    return jax.make_array_from_callback(leaf.shape, sharding, np.asarray(leaf).__getitem__)


def fetch(tree: Any) -> Any:
    """Arrays of a program as NumPy arrays: whole ones on every process. With several, all must call this at once."""
    if jax.process_count() > 1:
        tree = _replicated(tree)
    return jax.device_get(tree)


@jax.jit
def _replicated(tree: Any) -> Any:
    everywhere = NamedSharding(make_mesh(), REPLICATED)
    return jax.tree.map(lambda leaf: lax.with_sharding_constraint(leaf, everywhere), tree)


def fetch_replica(tree: Any, seed: int) -> Any:
    """The part of one seed of a tree with a leading seed axis, as arrays of this process alone. All must call it at once."""
    if jax.process_count() > 1:
        tree = jax.tree.map(jnp.asarray, fetch(tree))
    return jax.tree.map(lambda leaf: leaf[seed], tree)


def device_line(layout: Layout) -> str:
    """The devices of a run in a few words, how many more there are, and which kernels run on them if they are CPUs."""
    devices = describe_devices()
    processes = f", {jax.process_count()} processes" if jax.process_count() > 1 else ""
    if devices["platform"] != "cpu":
        idle = devices["count"] - layout.mesh.size
        among = f" ({idle} more idle: neither seeds nor batches divide by {devices['count']})" if idle else ""
        return f"{layout.mesh.size} × {devices['kind']}{among}{processes}"
    notes = {"native": "native kernels", "xla": "no native kernels (slower): they need a C++ compiler at install time"}
    return f"cpu, {devices['cores']} cores, {notes[devices['kernels']]}{processes}"


def describe_devices() -> dict[str, Any]:
    """Platform, kind and number of devices, for a run's record."""
    device = jax.devices()[0]
    described = {"platform": device.platform, "kind": device.device_kind, "count": jax.device_count()}
    if jax.process_count() > 1:
        described["processes"] = jax.process_count()
    if device.platform == "cpu":
        described |= {"cores": available_cores(), "kernels": kernels.backend(), "instruction_set": kernels.instruction_set()}
    return described


def _shardings(mesh: Mesh, specs: Any) -> Any:
    is_spec = lambda spec: isinstance(spec, PartitionSpec)
    return jax.tree.map(lambda spec: NamedSharding(mesh, spec), specs, is_leaf=is_spec)
