"""`jaxnets ocr` with a classifier in place of a trained net."""

import re
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from jaxnets import cli
from jaxnets.analysis.ocr import read as reader
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
        assert picture.size[0] == 1200


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
def test_ink_that_cannot_be_read_is_told_of(draw, tmp_path, capsys):
    page = np.asarray(draw(TEXT, (1400, 900))).copy()
    page[500:860, 700:1200] = 30  # A picture.
    Image.fromarray(page).save(tmp_path / "page.png")
    status, printed, error = ocr(capsys, tmp_path / "page.png")
    assert (status, printed) == (0, TEXT + "\n")
    assert "not read, because no letter looks so: 1 piece of ink, 57 % of all, the largest 50" in error
    page[:] = 235
    page[[100, 101, 102, 103, 300, 301, 302, 303], 200:400] = 30  # Two dashes.
    Image.fromarray(page).save(tmp_path / "page.png")
    status, printed, error = ocr(capsys, tmp_path / "page.png")
    assert (status, printed) == (2, "")
    assert "there is ink on the page but no letter; not read" in error
    assert len(error.splitlines()) == 1


@pytest.mark.usefixtures("net")
def test_ink_at_the_border_is_told_of(draw, tmp_path, capsys):
    """A word that hangs together with a beam across the page is lost with it."""
    pixels = np.asarray(draw("HELLO WORLD\nMORE TO READ")).copy()
    pixels[35:80, :600] = 30
    Image.fromarray(pixels).save(tmp_path / "page.png")
    status, text, error = ocr(capsys, tmp_path / "page.png")
    assert (status, text.splitlines()[-1]) == (0, "MORE TO READ")
    assert re.search(r"touches the border of the picture: \d\d % of what is dark", error)


@pytest.mark.usefixtures("net")
@pytest.mark.parametrize(
    ("angle", "advice"), [(180, "by 180 degrees"), (90, "by 90 degrees clockwise"), (270, "counterclockwise")]
)
def test_a_page_that_lies_the_wrong_way_up(draw, tmp_path, capsys, angle, advice, monkeypatch):
    monkeypatch.setattr(reader, "_TURNED", 0.02)  # The stand-in is never as sure as a net.
    draw("BALLET\nFEARED\n4 JARS", (900, 800)).rotate(angle, expand=True).save(tmp_path / "page.png")
    status, _, error = ocr(capsys, tmp_path / "page.png")
    assert status == 0
    assert "the page seems to lie the wrong way up; turn it " in error
    assert advice in error
    draw("JARS", (900, 800)).rotate(angle, expand=True).save(tmp_path / "page.png")
    assert "the wrong way up" not in ocr(capsys, tmp_path / "page.png")[2]


def test_many_doubtful_characters(net, page, capsys):
    net.predictor = lambda forms: np.full((len(forms), 36), 1 / 36)
    assert "16 of 16 characters are doubtful; letters may touch" in ocr(capsys, page)[2]


@pytest.mark.usefixtures("net")
def test_sheets(draw, tmp_path, capsys):
    draw(TEXT).save(tmp_path / "page.tif", save_all=True, append_images=[draw("SECOND")])
    status, printed, error = ocr(capsys, tmp_path / "page.tif")
    assert (status, printed) == (0, TEXT + "\n")
    assert "the file has 2 sheets; choose with --sheet" in error
    assert ocr(capsys, tmp_path / "page.tif", "--sheet", "2")[1] == "SECOND\n"
    for number in (0, 3):
        assert f"there is no sheet {number}; the file has 2" in ocr(capsys, tmp_path / "page.tif", "--sheet", number)[2]


@pytest.mark.usefixtures("net")
def test_what_is_read_is_never_overwritten(page, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = page.read_bytes()
    (tmp_path / "link.png").symlink_to(page)
    (tmp_path / "truth.png").write_text(TEXT)
    for args in (["page.png"], [page], ["link.png"], ["truth.png", "--truth", "truth.png"]):
        status, _, error = ocr(capsys, "page.png", "--out", *args)
        assert status == 2
        assert "which is read; name another one" in error
    assert page.read_bytes() == before
    assert (tmp_path / "truth.png").read_text() == TEXT


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
        ((), "run: no such file"),
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
