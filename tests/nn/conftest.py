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

from jaxnets.nn import kernels

CALL = kernels.call


@functools.cache
def register(requested):
    """Loads a copy of the library, which chooses its instruction set as it is loaded, and registers it under other names.

    Returns the set that it has chosen.
    """
    with tempfile.TemporaryDirectory() as folder, mock.patch.dict(os.environ, JAXNETS_CPU_KERNELS=requested):
        library = ctypes.CDLL(shutil.copy(kernels.LIBRARY, Path(folder) / "copy.so"))
        chosen = kernels.chosen_by(library)
    for name in kernels.NAMES:
        jax.ffi.register_ffi_target(f"{name}_{requested}", jax.ffi.pycapsule(getattr(library, name)), platform="cpu")
    return chosen


@pytest.fixture(params=[*kernels.INSTRUCTION_SETS, "xla"])
def instruction_set(request, monkeypatch):
    """Makes layers use the kernels of one instruction set, or XLA alone."""
    if request.param == "xla":
        monkeypatch.setattr(kernels, "backend", lambda: "xla")
    elif kernels.backend() != "native":
        pytest.skip("the CPU kernels were not compiled: no C++ compiler")
    elif register(request.param) != request.param:
        pytest.skip(f"this processor has no {request.param}")
    else:
        called = mock.Mock(side_effect=lambda name, *rest: CALL(f"{name}_{request.param}", *rest))
        monkeypatch.setattr(kernels, "call", called)
        yield request.param
        assert called.called, "no program was made for this instruction set: one that was made for another ran"
        return
    yield request.param
