"""Accelerators by name: what their makers state of them, and how to compile for one that this machine does not have.

JAX's compilers for CUDA devices and TPUs come with its plugins and run without a device: `devices` describes one to them.
The memory, bandwidth and shape of NVIDIA's cards are those that XLA keeps for this (xla/backends/gpu/target_config/specs in
github.com/openxla/xla; for the RTX 4090 NVIDIA's Ada whitepaper). Rates are the makers', without sparsity; products in
float32 are TF32's, JAX's default there, and those of bfloat16 are summed in float32. They were compared with

    h100     SXM5: glennklockwood.com/garden/processors/h100, which quotes NVIDIA's whitepaper; the network, a ConnectX-7 of
             400 Gb/s for each card, with the DGX H100 user guide
    a100     SXM4 of 80 GB: glennklockwood.com/garden/processors/A100, which quotes NVIDIA's data sheet
    rtx4090  waredb.com/processor/nvidia-geforce-rtx-4090
    a6000    llmperf.net/categories/gpu/Nvidia-A6000-GPUs, which quotes Microway's comparison of Ampere cards; TF32 at half
             the rate of bfloat16, as of the A40, which has the same chip
    v5e      docs.cloud.google.com/tpu/docs/v5e
    v6e      docs.cloud.google.com/tpu/docs/v6e

Not compared: PCIe 4.0 as the link of the workstation cards, and the networks of all but the H100 and the v5e.
"""

import contextlib
import importlib.util
import os
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from jaxnets.errors import UserError
from jaxnets.nn import kernels
from jaxnets.training import memory, parallel


class Gpu(NamedTuple):
    """What XLA's compiler asks of an NVIDIA card, beside what all have in common."""

    title: str
    capability: tuple[int, int]
    """Compute capability."""
    cores: int
    """Streaming multiprocessors."""
    lanes: int
    """Of float32, in each."""
    threads: int
    """At most in each at once."""
    shared_memory: int
    """Bytes in each."""
    cache: int
    """Bytes of level 2."""
    gigahertz: float


class Accelerator(NamedTuple):
    """One kind of device."""

    memory: int
    """Bytes."""
    bandwidth: float
    """Bytes a second."""
    tflops: dict[str, float]
    """10¹² operations a second in matrix products, by type."""
    link: float
    """Bytes a second to other devices, in one direction."""
    kernel_seconds: float
    """What a kernel takes at least, an assumption: the time to launch it."""
    gpu: Gpu | None = None
    """None: not an NVIDIA card."""
    joined: int = 8
    """How many devices such links join: a host's cards, a pod's chips."""
    network: float = 12.5e9
    """Bytes a second of each device to those further away, in one direction."""


KNOWN: dict[str, Accelerator] = {
    "h100": Accelerator(
        84_942_979_072,
        3.352e12,
        {"float32": 494.7, "bfloat16": 989.4},
        450e9,
        5e-6,
        Gpu("NVIDIA H100 80GB HBM3", (9, 0), 132, 128, 2048, 233_472, 52_428_800, 1.98),
        network=50e9,
    ),
    "a100": Accelerator(
        85_100_068_864,
        2.039e12,
        {"float32": 156.0, "bfloat16": 312.0},
        300e9,
        5e-6,
        Gpu("NVIDIA A100-SXM4-80GB", (8, 0), 108, 64, 2048, 167_936, 41_943_040, 1.41),
        network=25e9,
    ),
    "rtx4090": Accelerator(
        25_757_220_864,
        1.008e12,
        {"float32": 82.6, "bfloat16": 165.2},
        32e9,
        5e-6,
        Gpu("NVIDIA GeForce RTX 4090", (8, 9), 128, 128, 1536, 102_400, 75_497_472, 2.52),
    ),
    "a6000": Accelerator(
        51_041_271_808,
        0.768e12,
        {"float32": 77.4, "bfloat16": 154.8},
        32e9,
        5e-6,
        Gpu("NVIDIA RTX A6000", (8, 6), 84, 128, 1536, 102_400, 6_291_456, 1.8),
    ),
    # A TPU's compiler keeps a quarter to three quarters of a GiB for itself.
    "v5e": Accelerator(int(15.75 * 2**30), 0.819e12, {"float32": 197.0, "bfloat16": 197.0}, 200e9, 1e-6, None, 256, 3.125e9),
    "v6e": Accelerator(int(31.25 * 2**30), 1.638e12, {"float32": 918.0, "bfloat16": 918.0}, 400e9, 1e-6, None, 256, 3.125e9),
}
"""By the name of the option --on. TPUs take float32 in products as bfloat16 by default."""
CPU = "cpu"
"""The name of this machine's own processor, as one device."""

_SLICES = {1: "1x1", 4: "2x2", 8: "2x4", 16: "4x4", 32: "4x8", 64: "8x8", 128: "8x16", 256: "16x16"}
"""TPUs come in these numbers, in a grid."""
_LIBTPU = {
    **dict.fromkeys(("TF_CPP_MIN_LOG_LEVEL", "TPU_MIN_LOG_LEVEL", "TPU_STDERR_LOG_LEVEL"), "3"),
    "TPU_SKIP_MDS_QUERY": "1",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
}
"""Says little, looks for no cloud, and lets several processes compile at once, as none holds a chip."""


def parse(text: str) -> tuple[str, int]:
    """(name, number of devices) of "h100" or "v5e:4". Raises UserError, which names the known ones.

    >>> parse("h100"), parse("v5e:4")
    (('h100', 1), ('v5e', 4))
    """
    name, _, number = text.partition(":")
    if text == CPU:
        return CPU, 1
    if name not in KNOWN:
        raise UserError(f"unknown device {name!r}: choose from {', '.join((*KNOWN, CPU))}")
    if number and not (number.isascii() and number.isdigit() and 0 < int(number) <= 1024):
        raise UserError(f"--on {text}: the number of devices must be from 1 to 1,024, as in {name}:4")
    count = int(number or 1)
    if not KNOWN[name].gpu and count not in _SLICES:
        raise UserError(f"--on {text}: TPUs come in {', '.join(map(str, _SLICES))} chips")
    return name, count


def get(name: str) -> Accelerator:
    """What is stated of a device. Of this machine's processor: its memory, and assumptions for each of its cores."""
    if name != CPU:
        return KNOWN[name]
    cores = parallel.available_cores()
    # Two units that multiply and add at 3 GHz, as many numbers as the registers hold.
    rate = 2 * 2 * 0.003 * {"avx512": 16, "base": 4}.get(kernels.instruction_set() or "", 8) * cores
    # A quarter of a memory channel or so, and the call of a function.
    return Accelerator(memory.host_limit(), 10e9 * cores, {"float32": rate, "bfloat16": rate}, 10e9, 1e-6)


def missing(name: str) -> str:
    """Which plugin of JAX is missing to compile for a device; empty where there is one."""
    plugins = ("jax_cuda12_plugin", "jax_cuda13_plugin") if KNOWN[name].gpu else ("libtpu",)
    return "" if any(map(importlib.util.find_spec, plugins)) else plugins[0]


def devices(name: str, count: int = 1) -> Sequence[Any]:
    """`count` devices to compile for, in the form of jax.devices(). They cannot run anything.

    Raises UserError where JAX's plugin for them is not installed.
    """
    if name == CPU:
        return list(parallel.make_mesh().devices.flat)[:1]
    if plugin := missing(name):
        raise UserError(
            f"to compile for {name} needs the package {plugin}: pip install 'jaxnets[plan]', in an environment of its own"
        )
    for variable, value in _LIBTPU.items():
        os.environ.setdefault(variable, value)
    from jax.experimental import topologies

    gpu = KNOWN[name].gpu
    with _silence():
        if gpu:
            described = topologies.get_topology_desc(
                platform="cuda", topology_name="", target_config=_target(KNOWN[name], gpu), topology=f"1x1x{count}"
            )
        else:
            host = {"chips_per_host_bounds": [1, 1, 1]} if count == 1 else {}
            described = topologies.get_topology_desc(f"{name}:{_SLICES[count]}", platform="tpu", **host)
    return list(described.devices)


def _target(device: Accelerator, gpu: Gpu) -> str:
    """The description of a card in XLA's text format (stream_executor.GpuTargetConfigProto)."""
    facts = {
        "threads_per_block_limit": 1024,
        "threads_per_warp": 32,
        "shared_memory_per_block": 49_152,
        "shared_memory_per_core": gpu.shared_memory,
        "shared_memory_per_block_optin": gpu.shared_memory - 1024,
        "threads_per_core_limit": gpu.threads,
        "core_count": gpu.cores,
        "fpus_per_core": gpu.lanes,
        "block_dim_limit_x": 2**31 - 1,
        "block_dim_limit_y": 65_535,
        "block_dim_limit_z": 65_535,
        "memory_bandwidth": int(device.bandwidth),
        "l2_cache_size": gpu.cache,
        "clock_rate_ghz": gpu.gigahertz,
        "device_memory_size": device.memory,
        "registers_per_core_limit": 65_536,
        "registers_per_block_limit": 65_536,
    }
    major, minor = gpu.capability
    lines = [f"{name}: {value}" for name, value in facts.items()]
    lines.append(f"cuda_compute_capability {{ major: {major} minor: {minor} }}")
    # The versions of cuDNN and CUDA that the compiler may count on; without the latter it writes no library calls.
    return (
        f'gpu_device_info {{ {" ".join(lines)} }} platform_name: "CUDA" dnn_version_info {{ major: 9 minor: 8 }} '
        f'runtime_version {{ major: 12 minor: 8 }} device_description_str: "{gpu.title}"'
    )


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Keeps what the plugins' C++ prints off the terminal while they are loaded: that there is no such device here."""
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nothing:  # noqa: PTH123  # A descriptor is needed.
            os.dup2(nothing.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
