"""The pages of docs/: what they name exists. `make docs` itself refuses links that lead nowhere."""

import ast
import re
from pathlib import Path

import jax
import pytest

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "jax-and-pytorch.md").read_text()
DIFFERENCES = "tests/parity/test_differences.py"


def named_tests(text):
    """(file, function) of every `file::test_function` in a text."""
    for file, function in re.findall(r"`([\w/.]+)::(\w+)`", text):
        yield DIFFERENCES if file == "differences" else file, function


def functions(file):
    path = ROOT / file
    tree = ast.parse(path.read_text()) if path.is_file() else ast.Module([], [])
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}


@pytest.mark.parametrize("section", re.split(r"^### ", PAGE, flags=re.MULTILINE)[1:], ids=lambda text: text.splitlines()[0])
def test_every_difference_names_tests_that_exist(section):
    named = list(named_tests(section))
    assert named
    assert [f"{file}::{function}" for file, function in named if function not in functions(file)] == []


def test_every_test_of_differences_is_on_the_page():
    assert functions(DIFFERENCES) == {function for file, function in named_tests(PAGE) if file == DIFFERENCES}


def test_the_code_on_the_page_of_spsa_runs(capsys):
    page = (ROOT / "docs" / "spsa.md").read_text()
    names: dict = {}
    for code in re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL):
        exec(code, names)
    printed = capsys.readouterr().out
    before, after = (float(number) for number in re.findall(r"([\d.]+)%", printed))
    assert after < before / 3
    distance, first, last = (float(n) for n in re.findall(r"most ([\d.]+) away after (\d+) to (\d+)", printed)[0])
    assert distance < 0.1
    assert first < last < 20_000
    assert {leaf.shape for leaf in jax.tree.leaves(names["estimate"])} == {(3, 64), (64,), (64, 1), (1,)}
    assert float(re.findall(r"cosine ([\d.]+)", printed)[0]) > 0.99
    assert names["tx"].init(names["w"]) is not None
