"""Mutations are of lines that there are, for tests that there are."""

import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
MUTATIONS = runpy.run_path(str(ROOT / "scripts" / "mutation_check.py"))["MUTATIONS"]


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: f"{mutation.file}: {mutation.line}")
def test_a_mutation_changes_one_line(mutation):
    text = (ROOT / "jaxnets" / mutation.file).read_text("utf-8")
    assert text.count(mutation.line) == 1
    assert mutation.broken != mutation.line
    assert [path for path in mutation.tests.split() if not (ROOT / path).exists()] == []
