"""The scripts of examples/ run, in small, and draw what they say."""

import dataclasses
import importlib.util
import re
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import pytest
from PIL import Image

from jaxnets.data import catalog, glyphs36

ROOT = Path(__file__).parent.parent
SMALL = {
    "error_bars": {"seeds": 2, "epochs": 1},
    "spsa_alone": {"steps": 60},
    "own_data_and_model": {"number": 300, "epochs": 1},
}


def test_every_example_is_tried_and_shown_in_the_readme():
    names = {path.stem for path in (ROOT / "examples").glob("*.py")}
    assert names == set(SMALL)
    assert names == set(re.findall(r"^python examples/(\w+)\.py", (ROOT / "README.md").read_text(), re.MULTILINE))


@pytest.fixture
def _few_glyphs(tmp_path, monkeypatch):
    """A tenth of glyphs36, in a data folder of its own."""
    sizes = {"train": 720, "validation": 180, "test": 180}
    monkeypatch.setenv("JAXNETS_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(glyphs36, "_SIZES", sizes)
    monkeypatch.setitem(catalog.SETS, "glyphs36", dataclasses.replace(catalog.get("glyphs36"), sizes=sizes))


@pytest.mark.usefixtures("_few_glyphs")
@pytest.mark.parametrize("name", SMALL)
def test_an_example_runs_and_draws(name, tmp_path, monkeypatch, capsys):
    path = ROOT / "examples" / f"{name}.py"
    assert len([line for line in path.read_text().splitlines() if line.strip()]) <= 60
    spec = importlib.util.spec_from_file_location(f"example_{name}", path)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    module.main(tmp_path, **SMALL[name])
    with Image.open(tmp_path / f"{name}.png") as picture:
        colors = picture.convert("L").getextrema()
    assert colors == (0, 255)
    axes = plt.gcf().axes
    plt.close("all")
    printed = capsys.readouterr().out
    if name == "error_bars":
        bars = {container for ax in axes for container in ax.containers}
        assert len(bars) == 2
        assert printed.count(", 2 seeds") == 2
    elif name == "spsa_alone":
        before, after = map(float, re.search(r"cost ([\d.]+) before, ([\d.]+) after", printed).groups())
        assert after < before / 2
    else:
        assert all(re.fullmatch(r"(horizontal|vertical|diagonal) \d+%", ax.get_title()) for ax in axes)
        assert len(axes) == 6
