"""The 36 classes of letters: drawn, from EMNIST and MNIST, and from the course's .mat files."""

import gzip
import struct

import numpy as np
import pytest
import scipy.io

from jaxnets.data import catalog, emnist36, glyphs36, nist36, store
from jaxnets.errors import UserError


def mat(folder, **changes):
    """Files as the course's, of few rows; `changes` of the training file."""
    rng = np.random.default_rng(0)
    for key, count in (("train", 72), ("valid", 40), ("test", 36)):
        labels = np.eye(36)[np.arange(count) % 36]
        content = {f"{key}_data": rng.uniform(size=(count, 1024)), f"{key}_labels": labels}
        if key == "train":
            content |= changes
        scipy.io.savemat(folder / f"nist36_{key}.mat", content)


def test_nist36_is_read_upright(tmp_path, monkeypatch):
    monkeypatch.setenv("JAXNETS_DATA", str(tmp_path / "data"))
    image = np.zeros((32, 32))
    image[5, 9] = 1.0  # Row 5, column 9: MATLAB stores columns one after the other.
    data = np.stack([image.ravel(order="F")] * 72)
    mat(tmp_path, train_data=data)
    found = store.Dataset("nist36", *nist36.prepare(tmp_path))
    assert {split: found.examples(split) for split in found.splits} == {"train": 72, "validation": 40, "test": 36}
    assert found.splits["train"]["image"][3, 5, 9, 0] == 255
    assert found.splits["train"]["image"][3].sum() == 255
    np.testing.assert_array_equal(found.splits["train"]["label"], np.arange(72) % 36)
    assert found.meta["class_names"][-10:] == tuple("0123456789")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train_data": np.zeros((72, 1000))}, "expected (72, 1024)"),
        ({"train_labels": np.zeros((72, 36))}, "one-hot"),
        ({"train_data": np.full((72, 1024), 200.0)}, "pixels must lie in [0, 1]"),
    ],
)
def test_bad_mat_files(tmp_path, changes, message):
    mat(tmp_path, **changes)
    with pytest.raises(UserError, match="nist36_train.mat") as error:
        nist36.read_mat(tmp_path / "nist36_train.mat", "train")
    assert message in str(error.value)


def test_missing_and_damaged_mat_files(tmp_path):
    with pytest.raises(UserError, match="cannot be downloaded: use --manual-dir"):
        nist36.prepare(None)
    with pytest.raises(UserError, match=r"holds none of nist36_train\.mat"):
        nist36.prepare(tmp_path)
    mat(tmp_path)
    with pytest.raises(UserError, match="lacks valid_data and valid_labels"):
        nist36.read_mat(tmp_path / "nist36_train.mat", "valid")
    (tmp_path / "nist36_train.mat").write_bytes(b"MATLAB 5.0 MAT-file" + bytes(200))
    with pytest.raises(UserError, match="not a MATLAB file or is damaged"):
        nist36.read_mat(tmp_path / "nist36_train.mat", "train")


def test_howto_of_a_set_without_a_download():
    assert catalog.instructions("nist36").startswith(
        "`jaxnets data prepare nist36 --manual-dir DIR` reads it from DIR, which holds"
    )


def idx(array):
    return gzip.compress(struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes())


def publishers_files(folder, each):
    """EMNIST and MNIST with `each` examples of a class; letter k is a bar k + 1 pixels high, digits are discs."""
    (folder / "emnist").mkdir()
    (folder / "mnist").mkdir()
    for part, mnist_part in (("train", "train"), ("test", "t10k")):
        letters = np.zeros((26 * each, 28, 28), np.uint8)
        for k in range(26 * each):
            letters[k, 1 : 2 + k % 26, 12:16] = 255
        label = (np.arange(26 * each) % 26 + 1).astype(np.uint8)
        (folder / "emnist" / f"emnist-letters-{part}-images-idx3-ubyte.gz").write_bytes(idx(letters.swapaxes(1, 2)))
        (folder / "emnist" / f"emnist-letters-{part}-labels-idx1-ubyte.gz").write_bytes(idx(label))
        rows, columns = np.mgrid[:28, :28] - 13.5
        digits = np.repeat(255 * (np.hypot(rows, columns) < 9).astype(np.uint8)[None], 10 * each, axis=0)
        (folder / "mnist" / f"{mnist_part}-images-idx3-ubyte.gz").write_bytes(idx(digits))
        (folder / "mnist" / f"{mnist_part}-labels-idx1-ubyte.gz").write_bytes(
            idx((np.arange(10 * each) % 10).astype(np.uint8))
        )


def test_emnist36_takes_classes_in_equal_shares_and_turns_letters_upright(tmp_path, monkeypatch):
    monkeypatch.setenv("JAXNETS_DATA", str(tmp_path / "data"))
    publishers_files(tmp_path, 5)
    monkeypatch.setattr(emnist36.Emnist36, "counts", {"train": 3, "validation": 2, "test": 4})
    found = store.Dataset("emnist36", *emnist36.prepare(tmp_path))
    for split, count in (("train", 3), ("validation", 2), ("test", 4)):
        np.testing.assert_array_equal(np.bincount(found.splits[split]["label"]), [count] * 36)
    label, image = (found.splits["train"][field] for field in ("label", "image"))
    tall = 255 - image[label == 25][0][..., 0].astype(int)  # Z: 26 pixels high, 4 wide.
    assert np.ptp(np.nonzero(tall > 128)[0]) > 2 * np.ptp(np.nonzero(tall > 128)[1])
    assert image[label == 30].min() < 50, "digits are dark on white"


def test_emnist36_with_too_few_or_no_letters(tmp_path):
    publishers_files(tmp_path, 2)
    with pytest.raises(UserError, match="fewer than 400 examples of A, B"):
        emnist36.prepare(tmp_path)
    for path in (tmp_path / "emnist").glob("*labels*"):
        path.unlink()
    with pytest.raises(UserError, match=r"emnist-letters-train-labels-idx1-ubyte\.gz is missing"):
        emnist36.prepare(tmp_path)


def test_choose_gives_equal_shares_in_every_prefix():
    labels = np.random.default_rng(0).permutation(np.arange(36 * 7) % 36)
    chosen = emnist36.choose(np.random.default_rng(1), labels, 5)
    assert len(set(chosen.tolist())) == 180
    np.testing.assert_array_equal(np.bincount(labels[chosen[: 36 * 2]]), [2] * 36)


def test_glyphs_are_dark_on_white_legible_and_varied():
    drawn = glyphs36.draw(np.random.default_rng(0), 144)
    images = drawn["image"][..., 0]
    assert images.shape == (144, 32, 32)
    assert np.bincount(drawn["label"]).tolist() == [4] * 36
    ink = (images < 128).mean((1, 2))
    assert ink.min() > 0.02
    assert ink.max() < 0.5
    assert images[:, [0, 1, -2, -1]].min() > 200, "a margin of paper"
    assert len({image.tobytes() for image in images}) == 144
    again = glyphs36.draw(np.random.default_rng(0), 144)
    np.testing.assert_array_equal(drawn["image"], again["image"])


def test_a_nearest_neighbor_reads_most_glyphs():
    """Classes are told apart by what is drawn, not by chance."""
    rng = np.random.default_rng(3)
    known, asked = glyphs36.draw(rng, 720), glyphs36.draw(rng, 108)
    flat = lambda drawn: drawn["image"].reshape(len(drawn["label"]), -1).astype(float)
    nearest = np.square(flat(asked)[:, None] - flat(known)).sum(-1).argmin(1)
    assert (known["label"][nearest] == asked["label"]).mean() > 0.4
