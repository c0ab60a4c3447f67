"""The kernels by every instruction set of this processor, and XLA in their place."""

import ctypes
import functools
import os
import shutil
import tempfile
from pathlib import Path
from unittest import mock

import jax
import pytest

from jaxnets.nn import cpu

NAMES = (
    *(cpu.FORWARD, cpu.INPUT_GRAD, cpu.WEIGHT_GRAD, cpu.MAX_POOL, cpu.MAX_POOL_GRAD),
    *(cpu.RECURRENCE, cpu.RECURRENCE_GRAD, "jaxnets_channel_moments", "jaxnets_channel_sums"),
)
CALL = cpu.call


@functools.cache
def register(instruction_set):
    """Loads a copy of the library, which chooses its instruction set as it is loaded, and registers it under other names.

    Returns the set that it has chosen.
    """
    with tempfile.TemporaryDirectory() as folder, mock.patch.dict(os.environ, JAXNETS_CPU_KERNELS=instruction_set):
        library = ctypes.CDLL(shutil.copy(cpu.LIBRARY, Path(folder) / "copy.so"))
        chosen = cpu.chosen_by(library)
    for name in NAMES:
        jax.ffi.register_ffi_target(f"{name}_{instruction_set}", jax.ffi.pycapsule(getattr(library, name)), platform="cpu")
    return chosen


@pytest.fixture(params=[*cpu.INSTRUCTION_SETS, "xla"])
def kernels(request, monkeypatch):
    """Makes layers use the kernels of one instruction set, or XLA alone."""
    if request.param == "xla":
        monkeypatch.setattr(cpu, "backend", lambda: "xla")
    elif cpu.backend() != "native":
        pytest.skip("the CPU kernels were not compiled: no C++ compiler")
    elif register(request.param) != request.param:
        pytest.skip(f"this processor has no {request.param}")
    else:
        monkeypatch.setattr(cpu, "call", lambda name, *rest: CALL(f"{name}_{request.param}", *rest))
    return request.param
