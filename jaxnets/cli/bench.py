"""`jaxnets bench`: hands over to the benchmarks, which stand beside the package in its source tree."""

import os
import subprocess
import sys
from pathlib import Path

from jaxnets.errors import UserError

ROOT = Path(__file__).parents[2]


def bench(args: list[str]) -> int:
    """Times training against PyTorch. Raises UserError where only the package is installed."""
    if not (ROOT / "benchmarks" / "__main__.py").is_file():
        raise UserError("bench needs jaxnets' source tree: install it from there, with pip install --editable .")
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    return subprocess.run([sys.executable, "-m", "benchmarks", *args], env={**os.environ, "PYTHONPATH": path}).returncode
