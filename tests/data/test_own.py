"""Data of one's own: what is read, how it is split, and what is said of what cannot be read."""

import numpy as np
import pytest
from PIL import Image

from jaxnets import cli
from jaxnets.data import catalog, own, store
from jaxnets.errors import UserError


@pytest.fixture(autouse=True)
def data_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("JAXNETS_DATA", str(tmp_path / "prepared"))


def draw(folder, count, color, size=(12, 12), suffix=".png"):
    """Pictures of one color, told apart by their brightness."""
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        Image.new("RGB", size, tuple(channel * (50 + i) // 255 for channel in color)).save(folder / f"{i:02}{suffix}")


@pytest.fixture
def pictures(tmp_path):
    draw(tmp_path / "pictures" / "red", 20, (255, 0, 0))
    draw(tmp_path / "pictures" / "blue", 30, (0, 0, 255))
    return tmp_path / "pictures"


def test_a_folder_of_classes_is_split_class_by_class_into_disjoint_parts(pictures):
    dataset = own.open_dataset(str(pictures))
    assert dataset.meta["class_names"] == ["blue", "red"]
    assert {split: np.bincount(f["label"]).tolist() for split, f in dataset.splits.items()} == {
        "train": [24, 16],
        "validation": [3, 2],
        "test": [3, 2],
    }
    for fields in dataset.splits.values():
        assert fields["image"].shape[1:] == (12, 12, 3)
        np.testing.assert_array_equal(
            fields["image"][..., 0] > 0, np.broadcast_to(fields["label"][:, None, None] == 1, (len(fields["label"]), 12, 12))
        )
    rows = np.concatenate([fields["image"].reshape(len(fields["label"]), -1) for fields in dataset.splits.values()])
    assert len(np.unique(rows, axis=0)) == 50
    assert "a tenth of each class" in dataset.meta["notes"][0]


def test_folders_for_the_splits_are_kept(tmp_path):
    for split, count in (("train", 6), ("val", 3), ("test", 4)):
        draw(tmp_path / "p" / split / "a", count, (255, 255, 255))
        draw(tmp_path / "p" / split / "b", count, (80, 80, 80))
    dataset = own.open_dataset(str(tmp_path / "p"))
    assert {split: dataset.examples(split) for split in dataset.splits} == {"train": 12, "validation": 6, "test": 8}
    assert dataset.splits["train"]["image"].shape[-1] == 1  # All are gray.
    assert dataset.meta["notes"] == []


def test_sizes_formats_and_unreadable_files(pictures):
    draw(pictures / "blue", 5, (0, 0, 255), (40, 21), ".jpg")
    with pytest.raises(UserError, match="2 sizes .*--data.size 32"):
        own.open_dataset(str(pictures))
    (pictures / "red" / "x.png").write_bytes(b"not a picture")
    dataset = own.open_dataset(str(pictures), size=10)
    assert dataset.splits["train"]["image"].shape[1:] == (10, 10, 3)
    assert dataset.meta["notes"][0].startswith("1 of 56 files are no readable pictures and left out (red/x.png)")


def test_what_was_read_is_kept_until_it_changes(pictures, monkeypatch):
    first = own.open_dataset(str(pictures))
    monkeypatch.setattr(own, "_pictures", lambda *args: pytest.fail("read again"))
    assert own.open_dataset(str(pictures)).name == first.name
    monkeypatch.undo()
    draw(pictures / "red", 21, (255, 0, 0))
    assert sum(len(f["label"]) for f in own.open_dataset(str(pictures)).splits.values()) == 51


def test_arrays(tmp_path):
    image, label = np.arange(40 * 6 * 5, dtype=np.uint8).reshape(40, 6, 5), np.arange(40) % 2 * 7
    np.savez(tmp_path / "a.npz", image=image, label=label)
    dataset = own.open_dataset(str(tmp_path / "a.npz"))
    assert dataset.meta["class_names"] == ["0", "7"]
    assert dataset.splits["train"]["image"].shape == (32, 6, 5, 1)
    np.savez(
        tmp_path / "b.npz", train_image=image, train_label=label, validation_image=image[:5], validation_label=label[:5]
    )
    dataset = own.open_dataset(str(tmp_path / "b.npz"))
    np.testing.assert_array_equal(dataset.splits["train"]["image"][..., 0], image)
    assert {split: dataset.examples(split) for split in dataset.splits} == {"train": 40, "validation": 5}


@pytest.mark.parametrize("separator", [",", "\t"])
def test_a_table_of_labeled_texts(tmp_path, separator):
    path = tmp_path / ("t.csv" if separator == "," else "t.tsv")
    lines = [f"good film number{i}{separator}pos" for i in range(20)] + [
        f"bad film number{i}{separator}neg" for i in range(20)
    ]
    path.write_text(f"Text{separator}Label\n" + "\n".join([*lines, f"{separator}pos"]))
    dataset = own.open_dataset(str(path))
    assert dataset.meta["class_names"] == ["neg", "pos"]
    assert {"good", "bad", "film"} <= set(dataset.meta["tokens"])
    assert dataset.meta["notes"][0] == "1 of 41 lines lack a text or a label and are left out"
    good = dataset.meta["tokens"].index("good")
    for fields in dataset.splits.values():
        np.testing.assert_array_equal((fields["token"] == good).any(1), fields["label"] == 1)


def folder(tmp_path, **classes):
    for name, count in classes.items():
        draw(tmp_path / "p" / name, count, (9, 9, 9))
        (tmp_path / "p" / name).mkdir(parents=True, exist_ok=True)
    return tmp_path / "p"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda t: t / "nothing", "no such file, folder or data set"),
        (lambda t: folder(t, a=5), r"has 1 class \(a\): at least two"),
        (lambda t: folder(t, a=5, b=0), "b has no picture that can be read"),
        (lambda t: folder(t, a=5, b=2), "class b has 2 examples; at least 3 are needed"),
        (
            lambda t: folder(t, **{"train/a": 5, "train/b": 5, "test/a": 3, "test/c": 3}),
            "c does not occur in the training split",
        ),
        (lambda t: text(t, "x.npz", b"PK"), "cannot be read"),
        (lambda t: arrays(t, picture=np.zeros(3)), "has no arrays image and label.*its arrays: picture"),
        (lambda t: arrays(t, image=np.zeros((3, 2, 2)), label=np.arange(3)), "must be uint8 .*not float64"),
        (lambda t: arrays(t, image=np.zeros((3, 2, 2), np.uint8), label=np.arange(2)), r"label must be \[3\]"),
        (
            lambda t: text(t, "x.csv", b"a,b\n1,2\n"),
            "needs a header with the columns text and label; its first line has a, b",
        ),
        (lambda t: text(t, "x.csv", "text,label\né,a\n".encode("latin-1")), "not a table in UTF-8"),
        (lambda t: text(t, "x.csv", b"text,label\nu,a\nv,b\nw,c\n"), r"has 3 labels \(a, b, c\)"),
        (lambda t: text(t, "x.doc", b""), "not a folder of pictures, an .npz"),
    ],
)
def test_bad_data_is_one_clear_line(tmp_path, make, message):
    with pytest.raises(UserError, match=message) as error:
        own.open_dataset(str(make(tmp_path)))
    assert "\n" not in str(error.value)


def text(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    return tmp_path / name


def arrays(tmp_path, **content):
    np.savez(tmp_path / "x.npz", **content)
    return tmp_path / "x.npz"


def test_names_of_sets_are_never_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cifar10").mkdir()
    (tmp_path / "mine").mkdir()
    assert [catalog.is_own(name) for name in ("cifar10", "synthetic", "mine", "nowhere", "./nowhere")] == [
        *(False, False, True, False, True),
    ]
    with pytest.raises(UserError, match="data.size is for pictures of your own"):
        catalog.open_dataset("shapes10", size=8)


def test_a_run_on_pictures_resumes_and_is_loaded_without_them(pictures, tmp_path, capsys):
    import jaxnets

    run = [
        "run",
        "cifar10/lenet/bn",
        "--data.source",
        str(pictures),
        "--data.size",
        "32",
        "--data.batch-size",
        "8",
        "--seeds",
        "2",
    ]
    assert cli.main([*run, "--epochs", "1", "--out", str(tmp_path / "runs")]) == 0
    out = capsys.readouterr().out
    assert "a tenth of each class was drawn" in out
    assert "|" not in out.splitlines()[-3]  # What was reported is of other data.
    for file in (pictures / "red").iterdir():
        file.unlink()
    net = jaxnets.load(tmp_path / "runs" / "cifar10" / "lenet" / "bn")
    assert net(np.zeros((3, 32, 32, 3), np.uint8)).shape == (3, 2)
    assert net.meta["class_names"] == ["blue", "red"]
    assert store.root().exists()
