"""Dataset sets: memory-mapped, whole or not there."""

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
    assert [p.name for p in root.iterdir()] == ["toy"]  # No temporary folder stays behind.


def test_missing_and_damaged_sets_say_how_to_mend_them(root):
    with pytest.raises(UserError, match="toy is not prepared: run `jaxnets data prepare toy`"):
        store.load("toy")
    store.save("toy", SPLITS, {})
    image = root / "toy" / "train.image.npy"
    image.write_bytes(image.read_bytes()[:-5])
    with pytest.raises(UserError, match="damaged .* run `jaxnets data prepare toy` again"):
        store.load("toy")


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
    assert len(list(root.iterdir())) == 1


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
