"""The settings of the accelerator session are valid commands."""

import re
from pathlib import Path

import pytest

from jaxnets.cli import run as run_command

SCRIPT = Path(__file__).parents[2] / "scripts" / "accelerator_session.sh"
SETTINGS = re.search(r'SETTINGS:-"\n(.*?)\n"}', SCRIPT.read_text(), re.DOTALL)[1].splitlines()


@pytest.mark.parametrize("setting", SETTINGS)
def test_settings_are_arguments_of_run(setting, monkeypatch):
    started = []
    monkeypatch.setattr(run_command, "_train_all", lambda runs: started.extend(runs) or 0)
    assert run_command.run(setting.split()) == 0
    assert started
