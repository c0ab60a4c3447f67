"""`jaxnets ocr` with a classifier in place of a trained net."""

from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from jaxnets import cli
from jaxnets.config import ImageData, TextData
from jaxnets.runs import load

TEXT = "HELLO WORLD\nIN 1998"


@pytest.fixture
def net(names, nearest, monkeypatch):
    """Stands for the net of any run folder; its fields may be changed."""
    spec = SimpleNamespace(
        meta={"class_names": list(names)}, splits={"train": {"image": np.zeros((1, 32, 32, 1), np.uint8)}}
    )
    experiment = SimpleNamespace(data=ImageData("nist36"))
    stand_in = SimpleNamespace(experiment=experiment, spec=spec, predictor=nearest)
    monkeypatch.setattr(load, "load", lambda folder, replica: stand_in)
    return stand_in


@pytest.fixture
def page(draw, tmp_path):
    draw(TEXT).save(tmp_path / "page.png")
    return tmp_path / "page.png"


def ocr(capsys, *args):
    status = cli.main(["ocr", "run", *map(str, args)])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


@pytest.mark.usefixtures("net")
def test_text_rate_and_picture(page, tmp_path, capsys):
    assert ocr(capsys, page) == (0, TEXT + "\n", "")
    truth, out = tmp_path / "truth.txt", tmp_path / "annotated.png"
    truth.write_text("Hello world\nin 1999\n")
    status, printed, _ = ocr(capsys, page, "--truth", truth, "--out", out)
    assert status == 0
    expected = "1 of 16 (6.2 %) without spaces, 1 of 19 (5.3 %) with spaces and line breaks"
    assert printed == f"{TEXT}\n\ncharacter errors: {expected}\n"
    with Image.open(out) as picture:
        assert picture.size[0] == 1400


@pytest.mark.usefixtures("net")
def test_a_word_list(page, tmp_path, capsys):
    words = tmp_path / "words.txt"
    words.write_text("Hullo\nworld don't")
    assert ocr(capsys, page, "--words", words)[1] == TEXT.replace("HELLO", "HULLO") + "\n"


@pytest.mark.usefixtures("net")
def test_byte_order_marks_and_line_ends_are_no_text(page, tmp_path, capsys):
    truth, words = tmp_path / "truth.txt", tmp_path / "words.txt"
    truth.write_bytes(b"\xef\xbb\xbfHELLO WORLD\r\nIN 1998\r\n")
    words.write_bytes(b"\xef\xbb\xbfHULLO\rworld")
    assert "0 of 16 (0.0 %) without spaces, 0 of 19 (0.0 %) with" in ocr(capsys, page, "--truth", truth)[1]
    assert ocr(capsys, page, "--words", words)[1] == TEXT.replace("HELLO", "HULLO") + "\n"


@pytest.mark.usefixtures("net")
def test_an_empty_page(tmp_path, capsys):
    Image.new("L", (300, 200), 230).save(tmp_path / "page.png")
    assert ocr(capsys, tmp_path / "page.png", "--out", tmp_path / "a.jpg") == (0, "", "")


@pytest.mark.usefixtures("net")
@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("nowhere.png",), "no such file"),
        (("notes.txt",), "is not an image that can be read"),
        (("page.png", "--truth", "nowhere.txt"), "--truth: nowhere.txt cannot be read: No such file or directory"),
        (("page.png", "--truth", "page.png"), "page.png is not UTF-8 text"),
        (("page.png", "--words", "marks.txt"), "no word in it consists of the net's characters"),
        (("page.png", "--out", "a.unknown"), "name a .png or .jpg file"),
        (("page.png", "--out", "no/such/folder/a.png"), "cannot be written"),
        ((), "jaxnets: error: missing PAGE; see --help"),
    ],
)
def test_bad_input_gets_one_line(page, tmp_path, capsys, monkeypatch, args, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "marks.txt").write_text("¿? ...")
    status, _, error = ocr(capsys, *args)
    assert status == 2
    assert message in error
    assert len(error.splitlines()) == 1


def test_nets_that_cannot_read(net, page, capsys):
    net.spec.splits["train"]["image"] = np.zeros((1, 28, 28, 1), np.uint8)
    assert "not trained on letters of 32×32" in ocr(capsys, page)[2]
    net.spec.splits["train"]["image"] = np.zeros((1, 32, 32, 1), np.uint8)
    net.spec.meta["class_names"] = ["ring", "star"]
    assert "not trained on letters" in ocr(capsys, page)[2]
    net.experiment.data = TextData("toy_words")
    assert "does not look at images" in ocr(capsys, page)[2]
