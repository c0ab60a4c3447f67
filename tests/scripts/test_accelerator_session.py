"""The session on an accelerator: its settings are valid commands, and what was done is not done again."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from jaxnets.cli import run as run_command

SCRIPT = Path(__file__).parents[2] / "scripts" / "accelerator_session.sh"
SETTINGS = [
    setting
    for name in ("all_settings", "stand_ins")
    for setting in re.search(rf'^{name}="\n(.*?)\n"', SCRIPT.read_text(), re.DOTALL | re.MULTILINE)[1].splitlines()
]


@pytest.mark.parametrize("setting", SETTINGS)
def test_settings_are_arguments_of_run(setting, monkeypatch):
    started = []
    monkeypatch.setattr(run_command, "_train_all", lambda runs: started.extend(runs) or 0)
    assert run_command.run(setting.split()) == 0
    assert started


def session(tmp_path, *args):
    """Runs the script with a `python` that notes its arguments and fails where they have the word in the file `fails`."""
    fake = tmp_path / "bin" / "python"
    fake.parent.mkdir(exist_ok=True)
    fake.write_text('#!/bin/bash\necho "$*" >> "$NOTES"\n! grep -qwFf "$FAILS" <<<"$*"\n')
    fake.chmod(0o755)
    notes = tmp_path / "notes"
    notes.write_text("")
    env = os.environ | {"PATH": f"{fake.parent}:{os.environ['PATH']}", "NOTES": str(notes), "FAILS": str(tmp_path / "fails")}
    done = subprocess.run(["bash", SCRIPT, *args], env=env, capture_output=True, text=True, timeout=60)
    return done, notes.read_text().splitlines()


def test_what_is_finished_is_not_run_again_and_what_failed_is(tmp_path):
    out = str(tmp_path / "out")
    trained = lambda lines: [line.split()[3] for line in lines if " run " in line]
    (tmp_path / "fails").write_text("lenet\n")
    done, first = session(tmp_path, "--rehearse", out)
    assert done.returncode == 0, done.stderr
    assert first[0] == "scripts/self_check.py cpu"
    assert [line.split()[3] for line in first if " run " in line] == [
        "cifar10/resnet34/super",
        "cifar10/lenet/bn",
        "mnist_rows/gru_128",
    ]
    (tmp_path / "fails").write_text("no such word\n")
    _, second = session(tmp_path, "--rehearse", out)
    assert trained(second) == ["cifar10/lenet/bn"]
    assert not any("self_check" in line for line in second)


def test_nothing_is_run_on_a_device_that_fails_its_check(tmp_path):
    (tmp_path / "fails").write_text("self_check.py\n")
    done, lines = session(tmp_path, "8", "h100", str(tmp_path / "out"))
    assert done.returncode == 1
    assert "the device is not as expected" in done.stderr
    assert not any(" run " in line for line in lines)


@pytest.mark.parametrize("args", [(), ("9", "h100"), ("x", "h100"), ("5",)])
def test_calls_that_a_lent_machine_would_not_take_are_refused(tmp_path, args):
    (tmp_path / "fails").write_text("no such word\n")
    done, lines = session(tmp_path, *args)
    assert done.returncode in (1, 2)
    assert "usage: accelerator_session.sh" in done.stderr
    assert not any("run" in line for line in lines)
