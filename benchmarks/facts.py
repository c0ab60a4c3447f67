"""The circumstances of a measurement: device, hardware, versions and commit."""

import contextlib
import importlib.metadata
import sys
from typing import Any

from benchmarks import contention
from jaxnets.errors import UserError
from jaxnets.runs import environment
from jaxnets.runs.records import hardware
from jaxnets.training import parallel

DEVICES = ("cpu", "gpu")


def choose_device(name: str | None) -> None:
    """Makes JAX use the CPU or GPUs, one of DEVICES; None leaves the choice to JAX.

    Must be called before JAX first uses a device. Raises UserError for a kind of device that is not there.
    """
    import jax

    if name is None:
        return
    jax.config.update("jax_platforms", {"cpu": "cpu", "gpu": "cuda"}[name])
    try:
        jax.default_backend()
    except (RuntimeError, AssertionError):  # Without a device of the only platform allowed, jax fails an assertion.
        raise UserError(f"JAX finds no {name} here: leave --device out, or install jax for it") from None


def torch_device() -> tuple[str | None, str | None]:
    """(PyTorch's device, None), where the device is "cpu" or "cuda", or (None, why PyTorch cannot run)."""
    try:
        import torch
    except ImportError:
        return None, "torch is not installed"
    if parallel.describe_devices()["platform"] == "cpu":
        return "cpu", None
    return ("cuda", None) if torch.cuda.is_available() else (None, "torch finds no GPU")


def _threads() -> dict[str, int]:
    """By framework. XLA's pool has a thread for each core that the process may use."""
    threads = {"jax": parallel.available_cores()}
    if "torch" in sys.modules:
        threads["torch"] = sys.modules["torch"].get_num_threads()
    return threads


def facts() -> dict[str, Any]:
    """Device, hardware, versions and commit, as fields of a row."""
    machine = environment.describe(parallel.describe_devices())
    devices, versions = machine["devices"], machine["versions"]
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        versions["torch"] = importlib.metadata.version("torch")
    on_cpu = devices["platform"] == "cpu"
    return {
        "device": "cpu" if on_cpu else f"{devices['platform']} {devices['kind']}",
        "devices": devices["count"],
        "hardware": hardware(machine),
        "cpu_features": machine["processor_features"],
        "cores": contention.affinity(),
        "threads": _threads(),
        "versions": versions,
        "commit": machine["commit"],
    }
