"""Tiny ImageNet from both forms in which it comes, on made-up pictures: 200 classes of two, and ten to validate."""

import io
import shutil
import zipfile

import numpy as np
import pytest
from PIL import Image

from jaxnets.cli import main
from jaxnets.data import store, tiny_imagenet
from jaxnets.errors import UserError
from tests.data.facts import set_sizes

WNIDS = [f"n{1_000_000 + 37 * i:08d}" for i in range(200)]


def flat_jpeg(level, mode="RGB", size=64):
    file = io.BytesIO()
    Image.new(mode, (size, size), level if mode == "L" else (level, 255 - level, 40)).save(file, "JPEG", quality=95)
    return file.getvalue()


@pytest.fixture(scope="module")
def publisher(tmp_path_factory):
    """The folder as its publishers ship it; class i is drawn in level i."""
    root = tmp_path_factory.mktemp("tiny") / "tiny-imagenet-200"
    for i, wnid in enumerate(WNIDS):
        images = root / "train" / wnid / "images"
        images.mkdir(parents=True)
        for k in range(2):
            (images / f"{wnid}_{k}.JPEG").write_bytes(flat_jpeg(i, "L" if i == 7 else "RGB"))
        (root / "train" / wnid / f"{wnid}_boxes.txt").write_text("not read")
    (root / "val" / "images").mkdir(parents=True)
    chosen = [3 * k for k in range(10)]
    for k, label in enumerate(chosen):
        (root / "val" / "images" / f"val_{k}.JPEG").write_bytes(flat_jpeg(label))
    lines = [f"val_{k}.JPEG\t{WNIDS[label]}\t0\t0\t63\t63" for k, label in enumerate(chosen)]
    (root / "val" / "val_annotations.txt").write_text("\n".join(lines) + "\n")
    (root / "test" / "images").mkdir(parents=True)
    (root / "test" / "images" / "test_0.JPEG").write_bytes(b"never read")
    # The publishers' list is in no order.
    (root / "wnids.txt").write_text("\n".join(np.random.default_rng(0).permutation(WNIDS)) + "\n")
    return root


@pytest.fixture
def manual(publisher, tmp_path, monkeypatch):
    """A copy to spoil."""
    monkeypatch.setenv("JAXNETS_DATA", str(tmp_path / "data"))
    shutil.copytree(publisher, tmp_path / "manual" / publisher.name)
    return tmp_path / "manual"


def check(prepared):
    assert {split: len(fields["label"]) for split, fields in prepared.splits.items()} == {"train": 400, "validation": 10}
    assert list(prepared.meta["class_names"]) == WNIDS
    for fields in prepared.splits.values():
        # JPEG keeps flat colors to within a few levels.
        means = fields["image"].astype(float).mean((1, 2))
        color = np.stack([fields["label"], 255 - fields["label"], np.full_like(fields["label"], 40)], -1)
        color[fields["label"] == 7] = 7  # These are gray files.
        np.testing.assert_allclose(means, color, atol=3)


def test_a_folder(manual):
    check(store.Dataset("tiny_imagenet", *tiny_imagenet.prepare(manual)))


def test_an_archive(manual):
    with zipfile.ZipFile(manual / "tiny-imagenet-200.zip", "w") as archive:
        for path in sorted((manual / "tiny-imagenet-200").rglob("*")):
            archive.write(path, path.relative_to(manual))
    shutil.rmtree(manual / "tiny-imagenet-200")
    check(store.Dataset("tiny_imagenet", *tiny_imagenet.prepare(manual)))


def spoil(manual, path, change):
    file = manual / "tiny-imagenet-200" / path
    file.write_bytes(change(file.read_bytes()))


SOME = f"train/{WNIDS[5]}/images/{WNIDS[5]}_1.JPEG"


@pytest.mark.parametrize(
    "change", [lambda c: c[: len(c) // 3], lambda c: b"", lambda c: b"not a picture", lambda c: flat_jpeg(5, size=32)]
)
def test_broken_images_are_counted_named_and_refused(manual, change):
    spoil(manual, SOME, change)
    with pytest.raises(UserError, match=rf"1 of 410 images are truncated or damaged \({SOME}\); fetch"):
        tiny_imagenet.prepare(manual)


def test_when_no_image_can_be_read(manual):
    for k in range(10):
        spoil(manual, f"val/images/val_{k}.JPEG", lambda content: b"version https://git-lfs.github.com/spec/v1")
    with pytest.raises(UserError, match="10 of 410 images are truncated or damaged"):
        tiny_imagenet.prepare(manual)


def test_few_broken_images_are_left_out_and_named(manual, monkeypatch, capsys):
    set_sizes(monkeypatch, "tiny_imagenet", train=400, validation=10)
    monkeypatch.setattr(tiny_imagenet, "_MAX_BROKEN", 0.01)
    spoil(manual, SOME, lambda content: content[:100])
    assert main(["data", "prepare", "tiny_imagenet", "--manual-dir", str(manual)]) == 0
    out = capsys.readouterr().out
    assert "399 train, 10 validation" in out
    assert f"left out: {SOME}" in out
    assert (store.load("tiny_imagenet").splits["train"]["label"] == 5).sum() == 1


def drop(*parts):
    def change(manual):
        target = manual.joinpath("tiny-imagenet-200", *parts)
        shutil.rmtree(target) if target.is_dir() else target.unlink()

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (drop("val", "val_annotations.txt"), "val/val_annotations.txt, the list of validation classes, is missing"),
        (drop("wnids.txt"), "wnids.txt, the list of classes, is missing"),
        (drop("train", WNIDS[9]), f"train/ holds 199 classes, not 200: no images of {WNIDS[9]}"),
        (lambda m: spoil(m, "wnids.txt", lambda c: c[:1990]), "wnids.txt lists 199 classes, not 200"),
        (
            lambda m: spoil(m, "wnids.txt", lambda c: c.replace(WNIDS[9].encode(), b"n99999999")),
            "train/ holds 200 classes, not 200: no images of n99999999",
        ),
        (
            lambda m: spoil(m, "val/val_annotations.txt", lambda c: c + b"val_0.JPEG\tn99999999\n"),
            "val_annotations.txt, line 11: class 'n99999999' is not in wnids.txt",
        ),
        (drop("val", "images", "val_4.JPEG"), "line 5: val/images/val_4.JPEG is missing"),
        (drop(), "holds none of tiny-imagenet-200, tiny-imagenet-200.zip"),
    ],
)
def test_what_is_missing_or_wrong_is_said(manual, change, message):
    change(manual)
    with pytest.raises(UserError, match=message):
        tiny_imagenet.prepare(manual)


def test_a_damaged_archive(manual):
    shutil.rmtree(manual / "tiny-imagenet-200")
    (manual / "tiny-imagenet-200.zip").write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(UserError, match="tiny-imagenet-200.zip is truncated or damaged"):
        tiny_imagenet.prepare(manual)
