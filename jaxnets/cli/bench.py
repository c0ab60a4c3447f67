"""`jaxnets bench`: starts the benchmarks, which are part of the source tree but not of the installed package."""

import os
import subprocess
import sys
from pathlib import Path

from jaxnets.errors import UserError

ROOT = Path(__file__).parents[2]


def bench(args: list[str]) -> int:
    """Runs `python -m benchmarks` and returns its exit status. Raises UserError if there is no source tree."""
    if not (ROOT / "benchmarks" / "__main__.py").is_file():
        raise UserError("bench needs jaxnets' source tree: install it from there, with pip install --editable .")
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    return subprocess.run([sys.executable, "-m", "benchmarks", *args], env={**os.environ, "PYTHONPATH": path}).returncode
