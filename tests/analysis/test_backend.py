"""Plots are drawn without touching matplotlib's backend, which belongs to the calling program."""

import os
import subprocess
import sys

import pytest

PROGRAM = """
import importlib, pkgutil, sys
from pathlib import Path

import matplotlib

backend = lambda: matplotlib.get_backend(auto_select=False)
before = backend()
import jaxnets.analysis

for module in pkgutil.walk_packages(jaxnets.analysis.__path__, "jaxnets.analysis."):
    importlib.import_module(module.name)
assert "jaxnets.analysis.report.page" in sys.modules
assert "matplotlib.pyplot" not in sys.modules, "pyplot keeps the figures it makes, and selects a backend"

from jaxnets.analysis.report import plots

metrics = [{"epoch": 1, "step": 1, "train": {"loss": [1.0]}, "validation": {"loss": [2.0]}}]
plots.save(plots.curves(metrics, "loss", {}), Path(sys.argv[1]), dpi=50)
assert backend() == before, (before, backend())
print(before)
"""


@pytest.mark.parametrize("backend", ["svg", None])
def test_a_fresh_process_keeps_its_backend(tmp_path, backend):
    environment = {name: value for name, value in os.environ.items() if name != "MPLBACKEND"}
    if backend:
        environment["MPLBACKEND"] = backend
    picture = tmp_path / "loss.png"
    done = subprocess.run([sys.executable, "-c", PROGRAM, picture], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{backend}\n"
    assert picture.read_bytes().startswith(b"\x89PNG")
