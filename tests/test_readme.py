"""The README and the pages of results, of the reports and of SPSA hold only figures that a file backs."""

import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("page", ["README.md", "RESULTS.md", "docs/spsa.md", "docs/reports.md"])
def test_tables_are_those_of_the_committed_results(page):
    text = (ROOT / page).read_text()
    updated = runpy.run_path(str(ROOT / "scripts" / "update_readme.py"))["updated"]
    assert re.search("<!-- (results|document): ", text)
    assert updated(text) == text, "run python scripts/update_readme.py"
