"""Dataset sets: memory-mapped, whole or not there."""

import errno
import io
import json
import multiprocessing
import os
import shutil
import warnings

import numpy as np
import pytest

from jaxnets.data import catalog, store
from jaxnets.errors import UserError

SPLITS = {"train": {"image": np.arange(24, dtype=np.uint8).reshape(2, 2, 2, 3), "label": np.array([1, 0], np.int32)}}


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("JAXNETS_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


def test_round_trip_is_memory_mapped(root):
    store.save("toy", SPLITS, {"class_names": ["a", "b"]})
    found = store.load("toy")
    assert isinstance(found.splits["train"]["image"], np.memmap)
    np.testing.assert_array_equal(found.splits["train"]["image"], SPLITS["train"]["image"])
    assert found.meta["class_names"] == ["a", "b"]
    assert found.examples("train") == 2
    assert sorted(p.name for p in root.iterdir()) == [".locks", "toy"]  # No temporary folder stays behind.


def test_what_is_no_set_is_not_replaced(root):
    """Such as a folder of files by hand, in a store that was put there."""
    (root / "names").mkdir(parents=True)
    (root / "names" / "Greek.txt").write_text("Adamos")
    with pytest.raises(UserError, match=r"names holds Greek.txt, which no prepared set does; set JAXNETS_DATA"):
        store.save("names", SPLITS, {})
    assert (root / "names" / "Greek.txt").read_text() == "Adamos"


def test_missing_and_damaged_sets_say_how_to_mend_them(root):
    with pytest.raises(UserError, match="toy is not prepared: run `jaxnets data prepare toy`"):
        store.load("toy")
    store.save("toy", SPLITS, {})
    image = root / "toy" / "train.image.npy"
    image.write_bytes(image.read_bytes()[:-5])
    with pytest.raises(UserError, match="damaged .* run `jaxnets data prepare toy` again"):
        store.load("toy")


@pytest.mark.parametrize("content", ["", "null", "[]", "7", "{", "[" * 100_000, '{"format": 1}'])
def test_a_set_without_its_facts_is_not_prepared(root, content):
    (store.save("toy", SPLITS, {}) / "meta.json").write_text(content)
    assert not store.is_prepared("toy")
    with pytest.raises(UserError, match="toy is not prepared"):
        store.load("toy")


@pytest.mark.parametrize(
    "splits",
    [None, [], {"train": None}, {"train": {}}, {"train": {"image": [2, 2, 2, 3], "label": [3]}}, {"train": {"text": [2]}}],
)
def test_facts_of_another_shape_are_damage(root, splits):
    meta = store.save("toy", SPLITS, {}) / "meta.json"
    meta.write_text(json.dumps({**json.loads(meta.read_text()), "splits": splits}))
    with pytest.raises(UserError, match="damaged"):
        store.load("toy")


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"PK", b"\x93NUMPY\x01\x00\x04\x00{1:}"])
def test_arrays_that_are_none_are_damage(root, content):
    (store.save("toy", SPLITS, {}) / "train.label.npy").write_bytes(content)
    with pytest.raises(UserError, match="damaged"):
        store.load("toy")


@pytest.mark.parametrize("file", ["meta.json", "train.label.npy"])
def test_what_the_system_refuses_to_read_is_not_called_damaged(root, monkeypatch, file):
    """A limit on open files, say: to prepare the set again would not help."""
    store.save("toy", SPLITS, {})
    opened = io.open

    def refuse(path, *args, **kwargs):
        if str(path).endswith(file):
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), str(path))
        return opened(path, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(io, "open", refuse)
        patch.setattr("builtins.open", refuse)
        with pytest.raises(UserError, match="^prepared data in .*toy cannot be read: Too many open files$"):
            store.load("toy")
        assert catalog.state("toy") == store.REFUSED
    assert store.load("toy").examples("train") == 2


def test_what_a_killed_save_left_is_removed(root):
    (root / ".toy.building").mkdir(parents=True)
    (root / ".toy.building" / "train.old.npy").write_bytes(b"")
    folder = store.save("toy", SPLITS, {})
    assert {path.name for path in folder.iterdir()} == {"train.image.npy", "train.label.npy", "meta.json"}
    assert not (root / ".toy.building").exists()


def test_fields_of_unequal_length_are_damage(root):
    store.save("toy", {"train": {"image": np.zeros(3), "label": np.zeros(2)}}, {})
    with pytest.raises(UserError, match="fields of a split differ in length"):
        store.load("toy")


def in_processes(*calls):
    """Runs functions at once, each in a process of its own, and returns what each yields or raises."""
    fork = multiprocessing.get_context("fork")
    found, start = fork.Queue(), fork.Barrier(len(calls))

    def run(call):
        start.wait()
        try:
            found.put(call())
        except Exception as error:
            found.put(repr(error))

    with warnings.catch_warnings():
        # Python and jax warn of forks beside jax's threads.
        for kind in (DeprecationWarning, RuntimeWarning):
            warnings.simplefilter("ignore", kind)
        processes = [fork.Process(target=run, args=(call,)) for call in calls]
        for process in processes:
            process.start()
    results = [found.get(timeout=60) for _ in processes]
    for process in processes:
        process.join()
    return results


def test_saving_and_reading_at_once(root):
    store.save("toy", SPLITS, {})

    def use(action):
        return lambda: all(action() for _ in range(30))

    saving, reading = use(lambda: bool(store.save("toy", SPLITS, {}))), use(lambda: bool(store.load("toy")))
    assert in_processes(saving, saving, reading, reading) == [True] * 4


def test_first_use_of_a_synthetic_set_by_several_processes(root):
    assert in_processes(*[lambda: catalog.open_dataset("toy_names").examples("train")] * 4) == [2_400] * 4


def test_a_store_that_cannot_be_written_is_read(root, monkeypatch):
    store.save("toy", SPLITS, {})
    shutil.rmtree(root / ".locks")
    (root / ".locks").write_text("")  # Root may write everywhere else.
    assert store.load("toy").examples("train") == 2
    with pytest.raises(UserError, match="cannot write .*; set JAXNETS_DATA to another folder"):
        catalog.open_dataset("toy_names")


def test_a_tilde_is_the_home_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("JAXNETS_DATA", "~/data")
    assert store.root() == tmp_path / "data"


def test_a_failed_save_leaves_the_old_set(root, monkeypatch):
    store.save("toy", SPLITS, {"class_names": ["a", "b"]})

    def refuse(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", refuse)
    with pytest.raises(UserError, match="No space left on device; set JAXNETS_DATA"):
        store.save("toy", SPLITS, {})
    monkeypatch.undo()
    monkeypatch.setenv("JAXNETS_DATA", str(root))
    assert store.load("toy").examples("train") == 2
    assert sorted(p.name for p in root.iterdir()) == [".locks", "toy"]


def test_statistics_equal_numpys():
    images = np.random.default_rng(0).integers(0, 256, (50, 8, 8, 3)).astype(np.uint8)
    found = store.image_statistics(images)
    np.testing.assert_allclose(found["mean"], (images / 255).mean((0, 1, 2)))
    np.testing.assert_allclose(found["std"], (images / 255).std((0, 1, 2)))


def test_unknown_sets_suggest_the_nearest():
    with pytest.raises(UserError, match="did you mean cifar10"):
        catalog.get("cifra10")
    with pytest.raises(UserError, match="known sets: .*shapes10"):
        catalog.get("zzz")
