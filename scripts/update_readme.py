"""Rewrites the tables of README.md from the files under benchmarks/results/.

    python scripts/update_readme.py

A table stands between `<!-- results: FILE -->` and `<!-- end -->`; FILE is a name under benchmarks/results/.
"""

import re
import sys
from pathlib import Path

from jaxnets.report import results

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks import harness  # noqa: E402


def table(path: Path) -> str:
    """Runs beside reported figures, or benchmarks beside PyTorch."""
    rows = results.read(path)
    if rows[0]["kind"] != "benchmark":
        return results.table(path)
    first = rows[0]
    versions = f"jax {first['versions']['jax']}, torch {first['versions']['torch']}"
    return (
        f"{harness.table(rows)}\n\n{first['hardware']}; {versions}; n = {first['n']} rounds; raw figures in `{path.name}`\n"
    )


def updated(text: str) -> str:
    """The text with every marked table made anew."""
    return re.sub(
        r"(<!-- results: (\S+) -->\n).*?(<!-- end -->)",
        lambda match: match[1] + table(ROOT / "benchmarks" / "results" / match[2]) + match[3],
        text,
        flags=re.DOTALL,
    )


if __name__ == "__main__":
    readme = ROOT / "README.md"
    readme.write_text(updated(readme.read_text()))
