"""Own pictures: how folders and arrays become splits, and one line for what cannot be used."""

import numpy as np
import pytest
from PIL import Image

from jaxnets.config import BagOfWordsData
from jaxnets.data import catalog
from jaxnets.errors import UserError
from tests.data.own.pictures import images, opened

COLORS = {"blue": (20, 40, 250), "green": (10, 240, 30), "red": (250, 30, 20)}


@pytest.fixture(autouse=True)
def empty_store(tmp_path, monkeypatch):
    monkeypatch.setenv("JAXNETS_DATA", str(tmp_path / "store"))


def picture(path, color=(250, 30, 20), size=(8, 8), mode="RGB", **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, color).convert(mode).save(path, **options)


def colored(folder, each=20, size=lambda i: (8, 8)):
    """A folder for each color, with that many pictures, each a little different."""
    for name, color in COLORS.items():
        for i in range(each):
            extension = ("png", "bmp", "webp")[i % 3]
            options = {"lossless": True} if extension == "webp" else {}
            picture(folder / name / f"{i:03}.{extension}", tuple(max(0, c - i) for c in color), size(i), **options)
    return folder


def test_a_folder_of_classes_is_split_by_class_and_every_picture_is_in_one_split(tmp_path):
    dataset = opened(colored(tmp_path / "pictures", each=20))
    assert dataset.meta["class_names"] == list(COLORS)
    for split, each in (("train", 16), ("validation", 2), ("test", 2)):
        assert np.bincount(dataset.splits[split]["label"]).tolist() == [each] * 3
    colors = images(dataset)[:, 0, 0].tolist()
    wanted = [[max(0, c - i) for c in color] for color in COLORS.values() for i in range(20)]
    assert sorted(colors) == sorted(wanted)
    for fields in dataset.splits.values():
        assert (fields["image"].argmax(-1)[:, 0, 0] == np.array([2, 1, 0])[fields["label"]]).all()  # Labels fit.
    assert "10 % for validation and 10 % for test" in dataset.meta["split_rule"]
    assert len(dataset.meta["mean"]) == 3


def test_the_draw_is_the_same_elsewhere(tmp_path):
    first, second = (opened(colored(tmp_path / name)) for name in ("one", "two"))
    assert first.name != second.name
    assert first.meta["digest"] == second.meta["digest"]


def test_a_source_is_read_once_until_it_changes(tmp_path, monkeypatch):
    from jaxnets.data import image_io

    decode, decoded = image_io.decode_oriented, []
    monkeypatch.setattr(image_io, "decode_oriented", lambda content: decoded.append(1) or decode(content))
    folder = colored(tmp_path / "pictures", each=5)
    first = opened(folder)
    assert len(decoded) == 15
    assert opened(folder).name == first.name
    assert len(decoded) == 15
    opened(folder, size=4)
    assert len(decoded) == 30
    picture(folder / "red" / "more.png")
    assert opened(folder).name != first.name
    assert len(decoded) == 46
    stored = sorted(path.name for path in (tmp_path / "store").glob("own-*"))
    assert len(stored) == 2  # That of size 4, and the newest; the earlier one is gone.


def test_given_splits_are_kept_and_only_a_missing_validation_is_drawn(tmp_path):
    colored(tmp_path / "p" / "train", each=10)
    colored(tmp_path / "p" / "test", each=3)
    dataset = opened(tmp_path / "p")
    assert {split: dataset.examples(split) for split in dataset.splits} == {"train": 27, "validation": 3, "test": 9}
    colored(tmp_path / "p" / "val", each=2)
    dataset = opened(tmp_path / "p")
    assert {split: dataset.examples(split) for split in dataset.splits} == {"train": 30, "validation": 6, "test": 9}
    assert dataset.meta["split_rule"] == "as given"


def test_a_class_may_be_called_train(tmp_path):
    for name in ("car", "train"):
        for i in range(3):
            picture(tmp_path / "p" / name / f"{i}.png")
    assert opened(tmp_path / "p").meta["class_names"] == ["car", "train"]


def test_classes_that_are_numbers_are_in_their_order(tmp_path):
    for name in ("10", "9"):
        for i in range(3):
            picture(tmp_path / "p" / name / "below" / f"{i}.png")
    assert opened(tmp_path / "p").meta["class_names"] == ["9", "10"]


def test_pictures_of_any_size_are_cut_in_the_middle(tmp_path):
    dataset = opened(colored(tmp_path / "p", each=6, size=lambda i: (8 + 5 * i, 20 - i)), size=6)
    assert dataset.splits["train"]["image"].shape == (12, 6, 6, 3)
    pixels = np.zeros((10, 30, 3), np.uint8)
    pixels[:, 10:20] = 255
    for name in ("a", "b"):
        for i in range(3):
            (tmp_path / "q" / name).mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(tmp_path / "q" / name / f"{i}.png")
    assert (images(opened(tmp_path / "q", size=10)) == 255).all()


def test_gray_stays_gray_unless_a_picture_has_color(tmp_path):
    for name, value in (("dark", 10), ("light", 240)):
        for i in range(4):
            picture(tmp_path / "p" / name / f"{i}.png", (value + i,) * 3, mode="L")
    dataset = opened(tmp_path / "p")
    assert dataset.splits["train"]["image"].shape[1:] == (8, 8, 1)
    assert len(dataset.meta["mean"]) == 1
    picture(tmp_path / "p" / "dark" / "color.png", (10, 20, 30))
    mixed = images(opened(tmp_path / "p"))
    assert mixed.shape == (9, 8, 8, 3)
    assert sorted(mixed[:, 0, 0, 0].tolist()) == [10, 10, 11, 12, 13, 240, 241, 242, 243]
    assert sum(len(set(pixel)) > 1 for pixel in mixed[:, 0, 0].tolist()) == 1


def test_photographs_are_turned_upright(tmp_path):
    """The lower half is white where the camera was held upside down, so the upper half is once it is turned."""
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[4:] = 255
    exif = Image.Exif()
    exif[0x0112] = 3
    for name in ("a", "b"):
        (tmp_path / "p" / name).mkdir(parents=True)
        for i in range(3):
            Image.fromarray(pixels).save(tmp_path / "p" / name / f"{i}.png", exif=exif)
    assert (images(opened(tmp_path / "p"))[:, :4] == 255).all()


def test_sixteen_bit_grays_keep_their_upper_bits(tmp_path):
    for name in ("a", "b"):
        (tmp_path / "p" / name).mkdir(parents=True)
        for i in range(3):
            Image.fromarray(np.full((4, 4), 0x8012, np.uint16)).save(tmp_path / "p" / name / f"{i}.png")
    assert (images(opened(tmp_path / "p")) == 0x80).all()


def test_what_cannot_be_read_is_left_out_and_named(tmp_path):
    folder = colored(tmp_path / "p", each=4)
    (folder / "red" / "notes.txt").write_text("red is a color")
    content = (folder / "blue" / "000.png").read_bytes()
    (folder / "blue" / "000.png").write_bytes(content[: len(content) // 2])
    (folder / "red" / ".hidden").write_text("")
    (folder / "__MACOSX" / "red").mkdir(parents=True)
    dataset = opened(folder)
    assert dataset.meta["left_out"] == ["unreadable files: 2 (blue/000.png, red/notes.txt)"]
    assert len(images(dataset)) == 11


def test_visual_words_take_the_same_pictures(tmp_path):
    folder = colored(tmp_path / "p", each=5)
    assert catalog.open_data(BagOfWordsData(source=str(folder), size=16)).splits["train"]["image"].shape[1:] == (16, 16, 3)


def flat(folder):
    picture(folder / "a.png")


def empty(folder):
    folder.mkdir()


def empty_class(folder):
    colored(folder)
    (folder / "yellow").mkdir()


def one_class(folder):
    for i in range(5):
        picture(folder / "red" / f"{i}.png")


def one_picture(folder):
    colored(folder)
    picture(folder / "yellow" / "only.png")


def two_sizes(folder):
    colored(folder)
    picture(folder / "red" / "large.png", size=(30, 20))


def broken_class(folder):
    colored(folder)
    (folder / "yellow").mkdir()
    (folder / "yellow" / "a.png").write_text("no picture")


def unlabeled_test(folder):
    colored(folder / "train")
    picture(folder / "test" / "1.png")


def strange_test_class(folder):
    colored(folder / "train")
    picture(folder / "test" / "yellow" / "1.png")


def no_train(folder):
    colored(folder / "test")


def two_validations(folder):
    for name in ("train", "val", "valid"):
        colored(folder / name, each=3)


def beside_splits(folder):
    colored(folder / "train", each=3)
    colored(folder / "raw", each=3)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: None, "there is no such file or folder; give another path"),
        (empty, "the folder is empty; put pictures into CLASS/ below it"),
        (flat, "holds files but no folder for each class; put pictures into CLASS/ below it"),
        (empty_class, "class yellow has no pictures; add some or remove the folder"),
        (one_class, "there is only one class, 'red'; at least two are needed"),
        (
            one_picture,
            "class 'yellow' has 1 picture to train on; it needs at least 3, one for each of train, validation",
        ),
        (two_sizes, "the pictures differ in size, from 8×8 to 30×20; give --data.size"),
        (broken_class, "class 'yellow' has no picture that can be read, for example yellow/a.png"),
        (unlabeled_test, "holds files but no folder for each class"),
        (strange_test_class, "class yellow is not among those of train"),
        (no_train, "there is test but no folder train"),
        (two_validations, "val and valid are both the validation split"),
        (beside_splits, "beside train there is raw"),
    ],
)
def test_a_bad_folder_is_one_line(tmp_path, make, message):
    make(tmp_path / "pictures")
    with pytest.raises(UserError) as error:
        opened(tmp_path / "pictures")
    assert message in str(error.value)
    assert str(error.value).startswith(f"data.source {tmp_path / 'pictures'}")
    assert "\n" not in str(error.value)
    assert not list((tmp_path / "store").glob("[!.]*"))
