"""Settings of the whole process, made before the first computation."""

import contextlib
import ctypes
import os
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax

# Of mallopt(3), in glibc.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX, _ARENA_MAX = -1, -2, -4, -8
_EXTRA_OPTIONS = "xla_backend_extra_options"


def _reuse_freed_memory() -> None:
    """Makes glibc keep all freed memory, in one heap; does nothing with another C library.

    A program on a CPU allocates its scratch memory in every step. By default a block above 32 MiB is mapped, returned to the
    system when it is freed, and its pages are cleared again in the next step: a third of the small CNN's time. The same
    happens to the heap of every thread but the first, whenever it is empty.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt:
        for name, value in ((_MMAP_MAX, 0), (_ARENA_MAX, 1), (_TRIM_THRESHOLD, -1), (_TOP_PAD, 2**26)):
            mallopt(name, value)


def _avoid_scalar_loops() -> None:
    """Makes XLA emit single element-wise operations on CPUs as it emits fused ones. XLA ignores options it does not know.

    Its newer emitter (jax 0.10) tiles such an operation along the last logical axis. For images, which the CPU kernels store
    batch-minor, that axis is not contiguous in memory, and the loop comes out scalar: tanh was a sixth of LeNet's step.
    """
    flags = os.environ.get("XLA_FLAGS", "")
    if _EXTRA_OPTIONS not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} --{_EXTRA_OPTIONS}=xla_cpu_disable_tiled_emitter".strip()


def tune() -> None:
    """Makes programs on CPUs faster; nothing changes on accelerators. Must come before the first use of a device."""
    _reuse_freed_memory()
    _avoid_scalar_loops()
    # Programs run in the thread that calls them: one thread less competes for the cores (up to a tenth of a step).
    jax.config.update("jax_cpu_enable_async_dispatch", False)


def use_compilation_cache() -> None:
    """Keeps compiled programs on disk from one process to the next: $JAX_COMPILATION_CACHE_DIR, or ~/.cache/jaxnets/jit.

    Where there is no home, or nothing can be written, there is no cache.
    """
    if jax.config.values["jax_compilation_cache_dir"] is None:
        try:
            folder = Path.home() / ".cache" / "jaxnets" / "jit"
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
        except (OSError, RuntimeError):
            return
        jax.config.update("jax_compilation_cache_dir", str(folder))
        _empty_when_damaged(folder)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)


def _empty_when_damaged(folder: Path) -> None:
    """Empties the cache when JAX warns of a damaged program in it, which it would never replace."""
    show = warnings.showwarning

    def show_or_empty(message: Warning | str, *args: Any, **kwargs: Any) -> None:
        if "Error reading persistent compilation cache entry" not in str(message):
            show(message, *args, **kwargs)
            return
        for program in folder.iterdir():
            program.unlink(missing_ok=True)

    warnings.showwarning = show_or_empty


@contextlib.contextmanager
def standard_settings() -> Iterator[None]:
    """JAX as our programs are written for it, in this thread: in 32 bits, compiled, with the usual promotion of types."""
    with jax.enable_x64(False), jax.disable_jit(False), jax.numpy_dtype_promotion("standard"):
        yield


def without_accelerators() -> None:
    """Keeps JAX from starting accelerators, for a process that only compiles for them. Before the first use of a device."""
    jax.config.update("jax_platforms", "cpu")
    use_compilation_cache()


def prepare() -> None:
    """Standard settings for a whole process of our own, which is also tuned and caches compiled programs."""
    for name, value in (("enable_x64", False), ("disable_jit", False), ("numpy_dtype_promotion", "standard")):
        jax.config.update(f"jax_{name}", value)
    tune()
    use_compilation_cache()
