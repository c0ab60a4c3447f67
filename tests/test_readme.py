"""The README, the page of results and that of SPSA hold only figures that a file backs."""

import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("page", ["README.md", "RESULTS.md", "docs/spsa.md"])
def test_tables_are_those_of_the_committed_results(page):
    text = (ROOT / page).read_text()
    updated = runpy.run_path(str(ROOT / "scripts" / "update_readme.py"))["updated"]
    assert "<!-- results:" in text
    assert updated(text) == text, "run python scripts/update_readme.py"
