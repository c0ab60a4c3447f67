"""Rewrites the tables of README.md from the files under benchmarks/results/.

    python scripts/update_readme.py

A table stands between `<!-- results: FILE -->` and `<!-- end -->`; FILE is a name under benchmarks/results/.
"""

import re
from pathlib import Path

from jaxnets.report import results

ROOT = Path(__file__).parent.parent


def updated(text: str) -> str:
    """The text with every marked table made anew."""
    return re.sub(
        r"(<!-- results: (\S+) -->\n).*?(<!-- end -->)",
        lambda match: match[1] + results.table(ROOT / "benchmarks" / "results" / match[2]) + match[3],
        text,
        flags=re.DOTALL,
    )


if __name__ == "__main__":
    readme = ROOT / "README.md"
    readme.write_text(updated(readme.read_text()))
