"""Settings of a process: what they ask of XLA."""

import os
import subprocess
import sys

import pytest

from jaxnets.training import process

FLAG = "--xla_backend_extra_options=xla_cpu_disable_tiled_emitter"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", FLAG),
        ("--xla_cpu_enable_fast_math=true", f"--xla_cpu_enable_fast_math=true {FLAG}"),
        ("--xla_backend_extra_options=xla_cpu_small_call", "--xla_backend_extra_options=xla_cpu_small_call"),
    ],
)
def test_flags_are_added_once_and_a_users_own_are_kept(monkeypatch, before, after):
    monkeypatch.setenv("XLA_FLAGS", before)
    process.tune()
    process.tune()
    assert os.environ["XLA_FLAGS"] == after


def test_xla_takes_the_flags():
    """In a process of its own: flags are read once."""
    program = (
        "from jaxnets.training import process; process.prepare(); import jax; print(jax.numpy.tanh(jax.numpy.ones(2)).sum())"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert float(run.stdout) == pytest.approx(1.5231884)
