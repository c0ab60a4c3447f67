"""What a run was made with: versions, devices, processor, commit, settings."""

import contextlib
import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax

Json = dict[str, Any]

_SETTINGS = ("jax_default_matmul_precision", "jax_default_prng_impl", "jax_threefry_partitionable")
"""What can be set outside and changes figures; jaxnets.training.process fixes the rest."""
_FEATURES = ("avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile", "amx_bf16")
"""Instruction sets on which speed depends, as Linux names them."""


def describe(devices: Mapping[str, Any]) -> Json:
    """Versions and hardware; `devices` is parallel.describe_devices()."""
    packages = ("jaxnets", "jax", "jaxlib", "flax", "optax", "numpy")
    return {
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in packages}},
        "devices": dict(devices),
        "processor": _processor(),
        "processor_features": _processor_features(),
        "commit": _commit(),
        "settings": {
            **{name: jax.config.values.get(name) for name in _SETTINGS},
            "XLA_FLAGS": os.environ.get("XLA_FLAGS", ""),
        },
    }


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _processor() -> str:
    return _processor_fact("model name") or platform.processor() or platform.machine()


def _processor_features() -> list[str]:
    """Those of _FEATURES that the processor has; none where the system does not tell."""
    flags = _processor_fact("flags").split()
    return [feature for feature in _FEATURES if feature in flags]


def _processor_fact(name: str) -> str:
    """What Linux tells of the first core, or ""."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.partition(":")[0].strip() == name:
                return line.partition(":")[2].strip()
    return ""


def _commit() -> str | None:
    """The commit of jaxnets' source tree, with "+" if there are changes on top; None where it is not under git itself."""
    git = ["git", "-C", str(Path(__file__).parent)]
    run = lambda *args: subprocess.run([*git, *args], capture_output=True, text=True, check=True).stdout.strip()
    try:
        run("ls-files", "--error-unmatch", Path(__file__).name)
        return run("rev-parse", "--short=12", "HEAD") + ("+" if run("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.CalledProcessError):
        return None
