"""The scenes from a folder of made-up pictures of many kinds, and pictures as such."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from jaxnets.cli import main
from jaxnets.data import image_io, store, sun
from jaxnets.errors import UserError
from tests.data.facts import set_sizes

PER_CLASS = {"train": 20, "test": 2}


def flat(label, kind="JPEG", mode="RGB", size=(40, 30)):
    """A flat picture of a class's color, in any format and mode."""
    color = (20 * label, 200 - 20 * label, 90)
    picture = Image.new("RGB", size, color)
    if mode == "RGBA":
        picture = Image.new("RGBA", size, (*color, 255))
    elif mode != "RGB":
        picture = picture.convert(mode)
    file = io.BytesIO()
    picture.save(file, kind)
    return file.getvalue()


KINDS = [("JPEG", "RGB"), ("PNG", "RGB"), ("JPEG", "L"), ("PNG", "RGBA"), ("GIF", "P"), ("BMP", "RGB")]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Every file is called .jpg, whatever is in it; all kinds are among the training pictures of every class."""
    monkeypatch.setenv("JAXNETS_DATA", str(tmp_path / "data"))
    root = tmp_path / "manual"
    for split, count in PER_CLASS.items():
        paths, labels = [], []
        for label, name in enumerate(sun.CLASS_NAMES):
            (root / name).mkdir(parents=True, exist_ok=True)
            for k in range(count):
                kind, mode = KINDS[k % len(KINDS)] if split == "train" else KINDS[1]
                path = f"{name}/{split}_{k}.jpg"
                (root / path).write_bytes(flat(label, kind, mode, size=(40 + k, 30)))
                paths.append(path)
                labels.append(str(label))
        (root / f"{split}_files.txt").write_text("\n".join(paths) + "\n")
        (root / f"{split}_labels.txt").write_text("\n".join(labels) + "\n")
    return root


def test_pictures_of_every_kind(folder, capsys, monkeypatch):
    set_sizes(monkeypatch, "sun8", train=144, validation=16, test=16)
    assert main(["data", "prepare", "sun8", "--manual-dir", str(folder)]) == 0
    assert "sun8: 144 train, 16 validation, 16 test examples" in capsys.readouterr().out
    prepared = store.load("sun8")
    assert prepared.meta["class_names"] == list(sun.CLASS_NAMES)
    for split, fields in prepared.splits.items():
        assert fields["image"].shape[1:] == (224, 224, 3)
        assert (np.bincount(fields["label"]) == {"train": 18, "validation": 2, "test": 2}[split]).all()
        means = fields["image"].astype(float).mean((1, 2))
        gray = np.ptp(means, axis=1) < 1
        colors = np.stack([20 * fields["label"], 200 - 20 * fields["label"], np.full_like(fields["label"], 90)], -1)
        np.testing.assert_allclose(means[~gray], colors[~gray], atol=4)
        luma = colors[gray] @ np.array([0.299, 0.587, 0.114])
        np.testing.assert_allclose(means[gray].mean(1), luma, atol=3)


def test_the_lists_may_lie_deeper(folder, tmp_path):
    (tmp_path / "HW1").mkdir()
    folder.rename(tmp_path / "HW1" / "data")
    assert len(sun.prepare(tmp_path).splits["train"]["label"]) == 144


def spoil(folder, path, change):
    (folder / path).write_bytes(change((folder / path).read_bytes()))


BROKEN = "desert/train_3.jpg"


@pytest.mark.parametrize("change", [lambda c: c[: len(c) // 2], lambda c: b"", lambda c: b"not a picture"])
def test_a_broken_picture_is_left_out_and_named(folder, capsys, change, monkeypatch):
    set_sizes(monkeypatch, "sun8", train=144, validation=16, test=16)
    spoil(folder, BROKEN, change)
    assert main(["data", "prepare", "sun8", "--manual-dir", str(folder)]) == 0
    assert f"left out: {BROKEN}" in capsys.readouterr().out
    prepared = store.load("sun8")
    assert sum(prepared.examples(split) for split in ("train", "validation")) == 159


def test_many_broken_pictures_are_refused(folder):
    for k in range(2):
        spoil(folder, f"park/test_{k}.jpg", lambda content: content[:40])
    with pytest.raises(UserError, match="2 of 176 images are truncated or damaged .park/test_0.jpg, park/test_1.jpg."):
        sun.prepare(folder)


def add_line(name, line):
    def change(folder):
        file = folder / name
        file.write_text(file.read_text() + line + "\n")

    return change


def both(path, label, split="train"):
    def change(folder):
        add_line(f"{split}_files.txt", path)(folder)
        add_line(f"{split}_labels.txt", label)(folder)

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (add_line("train_labels.txt", "3"), "train_files.txt has 160 lines and train_labels.txt 161"),
        (both("desert/none.jpg", "1"), "line 161: desert/none.jpg is missing"),
        (both("desert/train_1.jpg", "2"), "line 161: the label '2' is not that of the class 'desert'"),
        (both("desert/train_1.jpg", "one"), "line 161: the label 'one' is not that of the class 'desert'"),
        (both("beach/train_1.jpg", "8"), "line 161: the label '8' is not that of the class 'beach'"),
        (both("../desert/x.jpg", "1"), "line 161: ../desert/x.jpg is missing"),
        (both("desert/train_1.jpg", "1"), "line 161: desert/train_1.jpg is in line 22 too"),
        (both("desert/train_1.jpg", "1", "test"), "desert/train_1.jpg is in both train_files.txt and test_files.txt"),
        (lambda f: (f / "test_labels.txt").unlink(), "test_labels.txt is missing"),
        (lambda f: (f / "train_labels.txt").write_text("\n"), "train_labels.txt is empty"),
        (lambda f: (f / "train_files.txt").unlink(), "holds none of train_files.txt, data/train_files.txt"),
    ],
)
def test_wrong_lists_are_refused_by_line(folder, change, message):
    change(folder)
    with pytest.raises(UserError, match=message):
        sun.prepare(folder)


def test_there_is_no_download(folder, capsys):
    assert main(["data", "prepare", "sun8"]) == 2
    assert "sun8 cannot be downloaded: give it with `--manual-dir DIR`" in capsys.readouterr().err
    assert main(["run", "sun/resnet50_finetune/full"]) == 2
    assert "`jaxnets data prepare sun8 --manual-dir DIR` reads it from DIR" in capsys.readouterr().err


@given(st.lists(st.integers(0, 7), max_size=200))
def test_a_tenth_of_each_class_is_held_out(labels):
    listed = [sun.Listed(f"{i}", label) for i, label in enumerate(labels)]
    train, validation = sun.hold_out(listed)
    assert sorted(train + validation) == sorted(listed)
    assert [one for one in listed if one in set(train)] == train
    for label in range(8):
        count = labels.count(label)
        assert sum(one.label == label for one in validation) == round(count / 10)
    assert sun.hold_out(listed) == (train, validation)


def test_transparent_pixels_are_white():
    file = io.BytesIO()
    Image.new("RGBA", (4, 4), (10, 20, 30, 0)).save(file, "PNG")
    assert (image_io.decode(file.getvalue()) == 255).all()


@pytest.mark.parametrize("shape", [(30, 40), (40, 30), (300, 700), (224, 224), (1, 500)])
def test_the_square_is_the_middle(shape):
    """A picture that is bright in one half, along its longer side, is cut at the middle."""
    pixels = np.zeros((*shape, 3), np.uint8)
    if shape[0] > shape[1]:
        pixels[shape[0] // 2 :] = 255
    else:
        pixels[:, shape[1] // 2 :] = 255
    square = image_io.center_square(pixels, 64, 48)
    assert square.shape == (48, 48, 3)
    assert abs(square.mean() - 127.5) < 3
