"""Full disks at every write in turn, read-only folders, little memory, clocks, folders that vanish, two commands at once."""

import errno
import fcntl
import io
import os
import re
import shutil
import time
from pathlib import Path

import pytest

from jaxnets.runs.folder import RunFolder
from tests.reliability.processes import starter
from tests.reliability.test_kills import content
from tests.reliability.trials import call

ID = "cifar10/gray_cnn/best"
RUN = (
    *("run", ID, "--model.width", "2", "--data.batch-size", "100", "--data.source", "synthetic", "--checkpoint-every", "0"),
    *("--seeds", "2", "--epochs", "2", "--out"),
)
pytestmark = pytest.mark.usefixtures("few_shapes", "engines_built_once")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, few_shapes, engines_built_once):
    out = tmp_path_factory.mktemp("undisturbed")
    assert call([*RUN, out]).status == 0
    return content(out / ID)


class Writes:
    """Makes writes below a folder fail, as a disk would: all, or the n-th."""

    def __init__(self, folder, number, patch, at=None):
        self.folder, self.number, self.at, self.count = Path(folder), number, at, 0
        real_open, real_mkdir, real_fsync = io.open, os.mkdir, os.fsync

        def guarded_open(path, mode="r", *args, **kwargs):
            if not isinstance(path, int) and set(mode) & set("wax+"):
                self.check(path)
            return real_open(path, mode, *args, **kwargs)

        def guarded_mkdir(path, *args, **kwargs):
            if not os.path.isdir(path):  # noqa: PTH112  # pathlib asks by way of what is replaced here.
                self.check(path)
            return real_mkdir(path, *args, **kwargs)

        def guarded_fsync(file):
            self.check(Path(f"/proc/self/fd/{file if isinstance(file, int) else file.fileno()}").readlink())
            return real_fsync(file)

        patch.setattr(io, "open", guarded_open)
        patch.setattr("builtins.open", guarded_open)
        patch.setattr(os, "mkdir", guarded_mkdir)
        patch.setattr(os, "fsync", guarded_fsync)

    def check(self, path):
        if Path(os.fsdecode(path)).is_relative_to(self.folder):
            self.count += 1
            if self.at is None or self.count == self.at:
                raise OSError(self.number, os.strerror(self.number), str(path))


def test_a_disk_that_is_full_at_any_write_loses_nothing(tmp_path, undisturbed, monkeypatch, full):
    """One line says so; when there is space again, the same command comes to the same end."""
    with monkeypatch.context() as patch:
        writes = Writes(tmp_path, errno.ENOSPC, patch, at=0)
        assert call([*RUN, tmp_path / "all"]).status == 0
    assert writes.count > 20
    for at in range(1, writes.count + 1, 1 if full else 20):
        out = tmp_path / str(at)
        with monkeypatch.context() as patch:
            Writes(out, errno.ENOSPC, patch, at=at)
            outcome = call([*RUN, out])
        assert not outcome.fault, (at, outcome)
        if outcome.status:  # Some of Orbax's own notes are not needed.
            assert outcome.status == 2, (at, outcome)
            [line] = outcome.error.splitlines()
            assert str(out) in line, at
            assert "No space left on device" in line, at
        again = call([*RUN, out])
        assert (again.status, again.fault) == (0, ""), (at, again)
        assert content(out / ID) == undisturbed, at
        shutil.rmtree(out)


def test_who_only_reads_needs_no_place_to_write(places, monkeypatch):
    """A run and the store of data sets on read-only disks: the same answers; what must write says so in one line."""
    for name, run in places.runs.items():
        for command in places.asking(name, run):
            expected = call(command)
            assert expected.status == 0
            with monkeypatch.context() as patch:
                Writes(run, errno.EROFS, patch)
                Writes(places.store, errno.EROFS, patch)
                outcome = call(command)
            assert (outcome.status, outcome.out, outcome.fault) == (0, expected.out, ""), command
    run = places.runs["image"]
    with monkeypatch.context() as patch:
        Writes(run, errno.EROFS, patch)
        for command in (("export", run), ("visualize", run, "filters"), ("report", run)):
            outcome = call(command)
            assert (outcome.status, outcome.fault) == (2, ""), command
            assert re.search(f"cannot .*{re.escape(str(run))}.*Read-only file system", outcome.error), outcome.error


def test_a_folder_that_vanishes_during_training_ends_it_in_one_line(tmp_path, monkeypatch, undisturbed):
    append = RunFolder.append

    def append_and_vanish(self, lines):
        append(self, lines)
        if any("epoch" in line for line in lines):
            shutil.rmtree(self.path)

    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "append", append_and_vanish)
        outcome = call([*RUN, tmp_path])
    assert (outcome.status, outcome.fault) == (2, ""), outcome
    assert len(outcome.error.splitlines()) == 1
    assert str(tmp_path) in outcome.error
    assert call([*RUN, tmp_path]).status == 0
    assert content(tmp_path / ID) == undisturbed


def test_a_clock_that_is_set_back_changes_nothing(tmp_path, monkeypatch, undisturbed):
    """By a day before every look at it, during training and between a stop and the next start."""
    now = [time.time()]

    def earlier():
        now[0] -= 86_400
        return now[0]

    monkeypatch.setattr(time, "time", earlier)
    with monkeypatch.context() as patch:
        Writes(tmp_path, errno.ENOSPC, patch, at=30)
        assert call([*RUN, tmp_path]).status == 2
    assert call([*RUN, tmp_path]).status == 0
    assert content(tmp_path / ID) == undisturbed


def test_two_commands_on_one_run(tmp_path, undisturbed, monkeypatch):
    """Of two that train one waits for the user; who reads sees what there is, and changes nothing."""
    with monkeypatch.context() as patch:
        Writes(tmp_path, errno.ENOSPC, patch, at=30)
        assert call([*RUN, tmp_path]).status == 2
    run = tmp_path / ID
    assert not (run / "summary.json").exists()
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    with (run / ".lock").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        for command in ([*RUN, tmp_path], ["report", tmp_path], ["classify", run, __file__], ["export", run]):
            outcome = call(command)
            assert (outcome.status, outcome.fault) == (2, ""), outcome
            assert str(tmp_path) in outcome.error
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before
    assert call([*RUN, tmp_path]).status == 0
    assert content(run) == undisturbed


@pytest.mark.skipif("JAXNETS_RELIABILITY" not in os.environ, reason="only in the long form: JAXNETS_RELIABILITY=full")
@pytest.mark.parametrize("megabytes", [250, 500, 1000, 2000, 4000])
def test_little_memory_ends_in_a_line_with_a_batch_that_fits(tmp_path, few_shapes, megabytes):
    """The batch that is named fits indeed."""
    big = ["run", "cifar10/gray_cnn/best", "--data.source", "synthetic", "--steps", "1", "--data.batch-size", "400"]
    big += ["--model.width", "64", "--seeds", "4"]
    log = tmp_path / "log"
    with starter(Path(os.environ["JAXNETS_DATA"])) as start:

        def run(*more):
            command = start([*big, *more, "--out", tmp_path / f"{len(more)}"], log, addresses=megabytes * 10**6)
            command.join()
            return command.exitcode, log.read_text()

        status, said = run()
        assert status in (0, 2), said
        assert "Traceback" not in said
        if status and (fitting := re.search(r"--data.batch-size (\d+) should fit", said)):
            log.unlink()
            status, said = run("--data.batch-size", fitting[1])
            assert status == 0, said
