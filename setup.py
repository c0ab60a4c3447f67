"""Builds the CPU kernels. Everything else is in pyproject.toml.

The extension is optional: without a C++ compiler the package installs without it and XLA's convolution is used.
"""

import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import CompileError

KERNELS = Path("jaxnets/nn/kernels")


class BuildKernels(build_ext):
    """Finds XLA's headers at the last moment: jaxlib is there when building, not when metadata is read."""

    def build_extension(self, ext: Extension) -> None:
        try:
            import jax
        except ImportError as error:  # Building without isolation and without jax.
            raise CompileError(f"the CPU kernels need jax's headers: {error}") from error
        ext.include_dirs.append(jax.ffi.include_dir())
        super().build_extension(ext)

    def get_export_symbols(self, ext: Extension) -> list[str]:
        return []  # A plain shared library: it has no Python module initializer.


setup(
    ext_modules=[
        Extension(
            "jaxnets.nn.kernels._library",
            sorted(map(str, KERNELS.glob("*.cc"))),
            depends=sorted(map(str, KERNELS.glob("*.h"))),
            # No -march: instruction sets are chosen at run time.
            extra_compile_args=["-std=c++17", "-O3", "-g0", "-Wno-psabi"],
            language="c++",
            optional=True,
        )
    ]
    if sys.platform != "win32"
    else [],
    cmdclass={"build_ext": BuildKernels},
)
