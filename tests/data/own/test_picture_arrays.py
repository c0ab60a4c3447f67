"""Own pictures as arrays: every form comes out the same, and one line for what cannot be used."""

import zipfile

import numpy as np
import pytest

from jaxnets.errors import UserError
from tests.data.own.pictures import images, opened

RNG = np.random.default_rng(0)
IMAGES, LABELS = RNG.integers(0, 256, (30, 6, 6, 3), np.uint8), np.arange(30) % 3


@pytest.fixture(autouse=True)
def empty_store(tmp_path, monkeypatch):
    monkeypatch.setenv("JAXNETS_DATA", str(tmp_path / "store"))


def saved(path, **arrays):
    np.savez(path, **arrays)
    return path


@pytest.mark.parametrize(
    "form", [lambda a: a, lambda a: a.astype(np.int64), lambda a: a / 255, lambda a: (a / 255).astype(np.float32)]
)
def test_arrays_of_every_form_come_out_the_same(tmp_path, form):
    dataset = opened(saved(tmp_path / "a.npz", image=form(IMAGES), label=LABELS))
    assert images(dataset).dtype == np.uint8
    assert sorted(images(dataset).reshape(30, -1).tolist()) == sorted(IMAGES.reshape(30, -1).tolist())
    assert dataset.meta["class_names"] == ["0", "1", "2"]


def test_arrays_with_splits_and_names(tmp_path):
    given = {
        "x_train": IMAGES[:20, ..., 0],
        "y_train": LABELS[:20, None],
        "x_test": IMAGES[20:, ..., 0],
        "y_test": LABELS[20:],
    }
    dataset = opened(saved(tmp_path / "a.npz", **given, class_names=["x", "y", "z"]))
    assert dataset.splits["train"]["image"].shape == (17, 6, 6, 1)
    assert (dataset.splits["test"]["image"][..., 0] == IMAGES[20:, ..., 0]).all()
    assert dataset.meta["class_names"] == ["x", "y", "z"]
    texts = opened(saved(tmp_path / "b.npz", train_image=IMAGES, train_label=np.array(["no", "yes", "so"])[LABELS]), size=3)
    assert texts.meta["class_names"] == ["no", "so", "yes"]
    assert images(texts).shape == (30, 3, 3, 3)


RAGGED = np.array([np.zeros((2, 2)), np.zeros((3, 3))], dtype=object)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"image": RAGGED, "label": [0, 1]}, "an array is ragged or holds Python objects"),
        ({"image": IMAGES, "label": LABELS[:5]}, "images [30, 6, 6, 3] of train, but labels int64 [5]"),
        ({"image": IMAGES, "label": np.eye(3)[LABELS]}, "but labels float64 [30, 3]"),
        ({"image": IMAGES}, "the arrays are image; image and label are needed"),
        ({"pixels": IMAGES, "label": LABELS}, "the arrays are pixels, label"),
        ({"image": 7, "label": LABELS}, "images [] of train, but labels int64 [30]"),
        ({"image": IMAGES[:0], "label": LABELS[:0]}, "there is only one class"),
        ({"image": IMAGES + 1j, "label": LABELS}, "images of train are complex128; numbers are needed"),
        ({"image": IMAGES, "label": LABELS, "class_names": "abc"}, "class_names have shape []"),
        ({"image": IMAGES.transpose(0, 3, 1, 2), "label": LABELS}, "images of train have shape [30, 3, 6, 6]"),
        ({"image": IMAGES * 2.0, "label": LABELS}, "images of train are float64 in [0, 510]"),
        ({"image": IMAGES, "label": LABELS * 0}, "there is only one class, 0"),
        ({"image": IMAGES, "label": LABELS, "class_names": ["a", "b"]}, "the label 2 of train is not among"),
        ({"image": IMAGES, "label": LABELS, "test_image": IMAGES[:, :3], "test_label": LABELS}, "differ in shape"),
    ],
)
def test_bad_arrays_are_one_line(tmp_path, arrays, message):
    with pytest.raises(UserError) as error:
        opened(saved(tmp_path / "a.npz", **{name: np.asarray(array) for name, array in arrays.items()}))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_other_files_are_refused(tmp_path):
    (tmp_path / "a.npz").write_text("no archive")
    (tmp_path / "b.txt").write_text("no picture")
    whole = saved(tmp_path / "whole.npz", image=IMAGES, label=LABELS).read_bytes()
    for i, cut in enumerate((0, 40, 100, len(whole) // 2, len(whole) - 20)):
        (tmp_path / f"cut{i}.npz").write_bytes(whole[:cut])
        with pytest.raises(UserError, match="cannot be read as .npz"):
            opened(tmp_path / f"cut{i}.npz")
    with zipfile.ZipFile(tmp_path / "c.npz", "w") as archive:
        archive.writestr("image.npy", b"no array")
        archive.writestr("label", b"no array")
    with pytest.raises(UserError, match="the arrays are|cannot be read as .npz"):
        opened(tmp_path / "c.npz")
    for name, message in (("a.npz", "cannot be read as .npz"), ("b.txt", "give a folder with a folder for each class")):
        with pytest.raises(UserError, match=message):
            opened(tmp_path / name)
