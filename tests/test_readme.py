"""The README holds only figures that a file backs."""

import runpy
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_tables_are_those_of_the_committed_results():
    text = (ROOT / "README.md").read_text()
    updated = runpy.run_path(str(ROOT / "scripts" / "update_readme.py"))["updated"]
    assert "<!-- results:" in text
    assert updated(text) == text, "run python scripts/update_readme.py"
