"""Files of every kind become ink on level lines."""

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st
from PIL import Image

from jaxnets.analysis.ocr.binarize import find_tilt, ink_contrast, ink_levels, open_page
from jaxnets.analysis.ocr.read import read
from jaxnets.errors import UserError

TEXT = "THE QUICK FOX\n2 DOGS OF 1975"


@pytest.fixture
def text_of(tmp_path, nearest, names):
    def of(image, ending="png", **options):
        image.save(tmp_path / f"page.{ending}", **options)
        return read(open_page(tmp_path / f"page.{ending}").ink, nearest, names).text

    return of


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "P", "1", "CMYK", "I;16", "I", "F"])
def test_modes_of_files(draw, text_of, mode):
    page = draw(TEXT)
    if mode in ("I;16", "I", "F"):
        values = np.asarray(page).astype({"I;16": np.uint16, "I": np.int32, "F": np.float32}[mode])
        page = Image.fromarray(values * 257 if mode != "F" else values / 255)
    else:
        page = page.convert("RGB").quantize(16) if mode == "P" else page.convert(mode)
    assert text_of(page, "tif") == TEXT


def test_transparent_paper_is_white(draw, text_of):
    """Black letters, and black behind what is transparent: only the alpha channel tells them apart."""
    alpha = Image.fromarray(255 - np.asarray(draw(TEXT, paper=255, ink=0)))
    page = Image.new("RGBA", alpha.size, "black")
    page.putalpha(alpha)
    assert text_of(page) == TEXT


def test_white_ink_on_clear_ground(draw, text_of):
    alpha = Image.fromarray(255 - np.asarray(draw(TEXT, paper=255, ink=0)))
    page = Image.new("RGBA", alpha.size, "white")
    page.putalpha(alpha)
    assert text_of(page) == TEXT


@pytest.mark.parametrize("ending", ["jpg", "webp", "bmp", "gif"])
def test_kinds_of_files(draw, text_of, ending):
    assert text_of(draw(TEXT), ending) == TEXT


def test_turned_photographs_are_set_upright(draw, text_of):
    exif = Image.Exif()
    exif[274] = 6  # The camera was turned: what is stored has to be turned right by 90 degrees.
    assert text_of(draw(TEXT).transpose(Image.Transpose.ROTATE_90), "jpg", exif=exif) == TEXT


@pytest.mark.parametrize("tilt", [-10, -6.3, -2, 3.5, 7, 10])
def test_tilted_pages(draw, text_of, tilt):
    assert text_of(draw(TEXT + "\nJUMPS OVER", tilt=tilt)) == TEXT + "\nJUMPS OVER"


@pytest.mark.parametrize("fill", [0, 90, 255])
@pytest.mark.parametrize(("paper", "ink"), [(200, 120), (60, 160)])
def test_corners_of_turned_pages(draw, text_of, paper, ink, fill):
    """The corners that turning leaves may be darker or lighter than everything else."""
    page = draw("\n" + TEXT, (1000, 560), 45, paper=paper, ink=ink).rotate(8, expand=True, fillcolor=fill)
    assert text_of(page) == TEXT


@pytest.mark.parametrize(("paper", "ink"), [(20, 230), (250, 0), (120, 60), (90, 150), (255, 215)])
def test_dark_on_light_and_light_on_dark(draw, text_of, paper, ink):
    assert text_of(draw(TEXT, paper=paper, ink=ink)) == TEXT


@pytest.mark.parametrize(("size", "letter"), [((300, 150), 16), ((3000, 1500), 150), ((3000, 300), 60), ((500, 2000), 36)])
def test_sizes(draw, text_of, size, letter):
    assert text_of(draw(TEXT, size, letter)) == TEXT


def test_uneven_light_and_noise(draw, text_of):
    page = np.asarray(draw(TEXT), float)
    rows, columns = np.mgrid[: page.shape[0], : page.shape[1]]
    light = 0.35 + 0.65 * columns / page.shape[1] - 0.25 * rows / page.shape[0]
    noisy = page * light + np.random.default_rng(0).normal(0, 4, page.shape)
    # A single threshold would not do: the paper in the shade is darker than letters in the light.
    assert (page * light)[page > 200].min() < (page * light)[page < 60].max() + 20
    assert text_of(Image.fromarray(noisy.clip(0, 255).astype(np.uint8))) == TEXT


@pytest.mark.parametrize("noise", [0, 1, 8])
@pytest.mark.parametrize("paper", [0, 130, 255])
def test_blank_pages(text_of, noise, paper):
    values = paper + np.random.default_rng(1).normal(0, noise, (400, 500)) + np.linspace(0, 40, 500)
    assert text_of(Image.fromarray(values.clip(0, 255).astype(np.uint8))) == ""


@pytest.mark.parametrize("size", [(1, 1), (1, 400), (400, 1), (7, 3)])
def test_the_smallest_files(text_of, size):
    assert text_of(Image.new("L", size, 200)) == ""


@hypothesis.settings(max_examples=8)
@hypothesis.given(st.floats(-11, 11))
def test_tilt_is_found(draw, tilt):
    page = np.asarray(draw("SOME LINES OF TEXT\nTHAT ARE LEVEL\nWERE IT NOT FOR THE TILT", (1400, 500), tilt=tilt))
    assert find_tilt(page < 128) == pytest.approx(tilt, abs=0.6)


def test_contrast_is_the_share_of_missing_light():
    """The same pen on paper in different light."""
    page = np.ones((300, 900), np.float32)
    page[:, 450:] = 0.4
    page[140:150, 100:110] *= 0.25
    page[140:150, 700:710] *= 0.25
    contrast = ink_contrast(page)
    assert contrast[145, 105] == pytest.approx(0.75, abs=0.05)
    assert contrast[145, 705] == pytest.approx(0.75, abs=0.05)
    assert abs(contrast[50, 100]) < 0.01


def test_ink_is_darker_than_noise():
    noise = np.random.default_rng(2).normal(0, 0.05, (200, 200))
    low, high = ink_levels(noise)
    assert 0.28 < low <= high
    assert ink_levels(np.zeros((5, 5))) == (0.08, 0.08)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"not a picture at all", "is not an image"),
        (b"", "is not an image"),
        (None, "no such file"),
        ("cut", "cannot be read"),
    ],
)
def test_what_is_no_image(draw, tmp_path, content, message):
    path = tmp_path / "page.png"
    if content == "cut":
        draw(TEXT).save(path)
        content = path.read_bytes()[:3000]
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=message) as caught:
        open_page(path)
    assert len(str(caught.value).splitlines()) == 1
    with pytest.raises(UserError, match="cannot be read|not an image"):
        open_page(tmp_path)
