"""~ is the home folder wherever a path is given: shells leave it in `--out=~/runs`, and Python knows nothing of it."""

import dataclasses
from pathlib import Path

import pytest

import jaxnets
from jaxnets import cli, registry
from jaxnets.cli import parse
from jaxnets.config.model import LeNetConfig
from jaxnets.data import store
from jaxnets.data.own import source
from jaxnets.errors import UserError
from jaxnets.models import build, pretrained
from jaxnets.runs.reproduction import document


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "home").mkdir()
    yield tmp_path / "home"
    assert not (tmp_path / "~").exists()


@dataclasses.dataclass(frozen=True)
class Options:
    """Options of a command."""

    one: Path | None = None
    """A path."""
    several: tuple[Path, ...] = ()
    """Some paths."""
    name: str = "~"
    """No path."""


def test_every_option_that_is_a_path(home):
    found = parse.parse(Options, "test", ["--one=~/a", "--several", "~/b", "c"])
    assert found == Options(home / "a", (home / "b", Path("c")), "~")
    assert parse.parse(Options, "test", []) == Options()


def test_a_home_folder_that_is_not_there_is_said(home):
    with pytest.raises(UserError, match="~nobody-here/a: there is no such home folder; write the whole path"):
        parse.parse(Options, "test", ["--one=~nobody-here/a"])


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["report", "~/runs"], "no finished run in {home}/runs"),
        (["sample", "~/run"], "{home}/run"),
        (["run", "~/mine.py"], "config file {home}/mine.py: no such file"),
        (["data", "prepare", "mnist", "--manual-dir=~/files"], "--manual-dir {home}/files: no such folder"),
    ],
)
def test_commands_look_there(args, message, home, capsys):
    assert cli.main(args) == 2
    assert message.format(home=home) in capsys.readouterr().err


def test_from_python(home, tmp_path):
    with pytest.raises(UserError, match=f"{home}/run"):
        jaxnets.load("~/run")
    with pytest.raises(UserError, match=f"{home}/mine.py"):
        registry.select(["~/mine.py:mine/id"])
    (home / "s9.toml").write_text('\ufefftitle = "S9"\nwhat = "nothing"\n')
    assert document.load("~/s9.toml").title == "S9"
    assert source.absolute("~/pets") == str(home / "pets")
    model = build(LeNetConfig(weights="~/w.safetensors"), {"classes": 10})
    with pytest.raises(UserError, match=f"model.weights {home}/w.safetensors: no such file"):
        pretrained.load(model, {}, (32, 32, 3), 1)
    assert store.root() != Path("~")
