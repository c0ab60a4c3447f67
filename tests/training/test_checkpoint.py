"""Checkpoints come back whole, bit for bit, and damaged ones are walked past."""

import asyncio
import contextlib
import shutil

import chex
import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest

from jaxnets.errors import UserError
from jaxnets.training.checkpoint import Checkpoints, Snapshot, _patient_loops


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
    with pytest.raises(UserError, match="no checkpoint under .* can be read as one .* left as they are"):
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
    with pytest.raises(UserError, match="cannot write a checkpoint .*No space left on device; free space.*from step 0"):
        checkpoints.save(1, snapshot(1))


@pytest.mark.parametrize("name", ["runs[1]", "*", "what?", "a{b}", "$HOME", "~", "%20 \n"])
def test_a_folders_name_is_no_pattern(tmp_path, name):
    with contextlib.closing(Checkpoints(tmp_path / name / "checkpoints")) as saved:
        saved.save(1, snapshot(1))
    with contextlib.closing(Checkpoints(tmp_path / name / "checkpoints")) as opened:
        found, problems = opened.restore(snapshot(0))
    assert not problems
    np.testing.assert_array_equal(found.latest["w"], snapshot(1).latest["w"])


@pytest.mark.parametrize(
    ("name", "encoding", "fault"),
    [
        ("a\\b", "utf-8", "the path has a backslash; choose another --out"),
        ("\udcff", "utf-8", "the path is not text in utf-8; choose another --out"),
        ("d\udcc3\udca9", "ascii", "the path is not text in ascii; set PYTHONUTF8=1"),
    ],
)
def test_paths_that_checkpoints_cannot_have_are_refused_before_training(tmp_path, monkeypatch, name, encoding, fault):
    monkeypatch.setattr("sys.getfilesystemencoding", lambda: encoding)
    with pytest.raises(UserError, match=fault):
        Checkpoints(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_what_was_saved_otherwise_is_refused_at_once(checkpoints, tmp_path, monkeypatch):
    """A save is believed once it has been read back."""
    checkpoints.save(1, snapshot(1))
    save = checkpoints._manager.save

    def lose_a_file(step, **kwargs):
        save(step, **kwargs)
        (tmp_path / "checkpoints" / str(step) / "latest" / "w" / ".zarray").unlink()

    monkeypatch.setattr(checkpoints._manager, "save", lose_a_file)
    with pytest.raises(UserError, match="cannot write a checkpoint .*; when that is fixed, .* to resume from step 1"):
        checkpoints.save(2, snapshot(2))
    assert checkpoints.restore(snapshot(0))[0].progress["step"] == 1


@pytest.mark.parametrize("item", ["latest", "best", "progress"])
def test_a_flipped_bit_is_never_restored(checkpoints, tmp_path, item):
    """In any file: the checkpoint before it is restored, or this one, whole."""
    checkpoints.save(1, snapshot(1))
    checkpoints.save(2, snapshot(2))
    rng = np.random.default_rng(0)
    whole = {number: leaves(snapshot(number)) for number in (1, 2)}
    pristine = shutil.copytree(tmp_path / "checkpoints" / "2", tmp_path / "pristine")
    outcomes = []
    for name in sorted(str(path.relative_to(pristine)) for path in (pristine / item).rglob("*") if path.is_file()):
        path = tmp_path / "checkpoints" / "2" / name
        content = bytearray(path.read_bytes())
        content[rng.integers(len(content))] ^= 1 << rng.integers(8)
        path.write_bytes(content)
        found, problems = checkpoints.restore(snapshot(0))
        step = found.progress["step"]
        chex.assert_trees_all_equal(leaves(found), whole[step])
        assert bool(problems) == (step == 1)
        outcomes.append(step)
        shutil.rmtree(tmp_path / "checkpoints" / "2", ignore_errors=True)
        shutil.copytree(pristine, tmp_path / "checkpoints" / "2")
        checkpoints._manager.reload()
    assert 1 in outcomes


def leaves(found):
    """Everything a checkpoint holds that can be compared."""
    return {**found.latest, "key": jax.random.key_data(found.latest["key"])}, found.best, found.progress


def test_checkpoints_of_the_version_before_can_be_read(tmp_path):
    """Written by Orbax's standard handler, all arrays in one file, without a checksum."""
    latest = {**snapshot(5).latest, "key": jax.random.key_data(snapshot(5).latest["key"])}
    items = {"latest": ocp.args.StandardSave(latest), "best": ocp.args.StandardSave(snapshot(5).best)}
    with ocp.CheckpointManager(tmp_path / "checkpoints") as manager:
        manager.save(5, args=ocp.args.Composite(**items, progress=ocp.args.JsonSave(snapshot(5).progress)))
    with contextlib.closing(Checkpoints(tmp_path / "checkpoints")) as opened:
        found, problems = opened.restore(snapshot(0))
    assert not problems
    chex.assert_trees_all_equal(leaves(found), leaves(snapshot(5)))


def test_what_a_killed_save_left_is_removed(checkpoints, tmp_path):
    checkpoints.save(1, snapshot(1))
    (tmp_path / "checkpoints" / "2.orbax-checkpoint-tmp").mkdir()
    with contextlib.closing(Checkpoints(tmp_path / "checkpoints")) as opened:
        assert opened.restore(snapshot(0))[0].progress["step"] == 1
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["1"]


def test_what_is_read_beside_a_damaged_array_is_awaited():
    """Orbax does not: its threads then find a closed loop, and each prints a traceback."""
    read = []

    async def whole():
        await asyncio.sleep(0.01)
        read.append("whole")

    async def damaged():
        raise ValueError("damaged")

    async def both():
        await asyncio.gather(whole(), damaged())

    closing = contextlib.closing
    with _patient_loops(), closing(asyncio.new_event_loop()) as loop, pytest.raises(ValueError, match="damaged"):
        loop.run_until_complete(both())
    assert read == ["whole"]
