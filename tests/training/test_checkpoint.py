"""Checkpoints come back whole, bit for bit, and damaged ones are walked past."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnets.errors import UserError
from jaxnets.training.checkpoint import Checkpoints, Snapshot


def snapshot(value, width=3):
    latest = {"w": jnp.full((2, width), value), "key": jax.random.key(int(value)), "step": jnp.int32(value)}
    return Snapshot(latest, (jnp.full((2,), value + 0.5),), {"step": value, "sums": {"loss": [[1.5, 0.1 + 0.2]]}})


@pytest.fixture
def checkpoints(tmp_path):
    opened = Checkpoints(tmp_path / "checkpoints")
    yield opened
    opened.close()


def test_round_trip(checkpoints):
    checkpoints.save(7, snapshot(7))
    found, problems = checkpoints.restore(snapshot(0))
    assert problems == []
    np.testing.assert_array_equal(found.latest["w"], snapshot(7).latest["w"])
    assert jnp.array_equal(jax.random.bits(found.latest["key"]), jax.random.bits(jax.random.key(7)))
    assert found.progress == snapshot(7).progress  # Floats too, to the last digit.
    np.testing.assert_array_equal(found.best[0], [7.5, 7.5])


def test_nothing_to_restore(checkpoints):
    assert checkpoints.restore(snapshot(0)) == (None, [])


def test_the_newest_readable_one_is_used_and_damaged_ones_are_put_aside(checkpoints, tmp_path):
    checkpoints.save(1, snapshot(1))
    checkpoints.save(2, snapshot(2))
    for file in (tmp_path / "checkpoints" / "2" / "latest").rglob("*"):
        if file.is_file():
            file.write_bytes(b"torn")
    found, problems = checkpoints.restore(snapshot(0))
    assert found.progress["step"] == 1
    assert len(problems) == 1
    assert "step 2 could not be read" in problems[0]
    assert not (tmp_path / "checkpoints" / "2").exists()
    assert (tmp_path / "checkpoints" / "unreadable-2").exists()
    checkpoints.save(2, snapshot(2))
    assert checkpoints.restore(snapshot(0))[0].progress["step"] == 2


def test_a_checkpoint_of_another_shape_is_refused_and_kept(checkpoints, tmp_path):
    checkpoints.save(3, snapshot(3))
    with pytest.raises(UserError, match="no checkpoint under .* fits this experiment"):
        checkpoints.restore(snapshot(0, width=4))
    assert (tmp_path / "checkpoints" / "3").exists()


def test_only_the_newest_are_kept_and_saving_twice_is_harmless(checkpoints, tmp_path):
    for step in (1, 2, 3, 3):
        checkpoints.save(step, snapshot(step))
    assert sorted(p.name for p in (tmp_path / "checkpoints").iterdir() if p.name.isdigit()) == ["2", "3"]


def test_a_disk_that_refuses_is_reported_in_one_line(checkpoints, monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoints._manager, "save", refuse)
    with pytest.raises(UserError, match="cannot write a checkpoint .*No space left on device.*resume from step 0"):
        checkpoints.save(1, snapshot(1))
