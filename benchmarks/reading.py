"""How well pages are read whose text is known: drawn ones (pages.py), letter by letter, and scans with a text file each.

python -m benchmarks.reading [--seed N] [--pages N] [--scans DIR] [--runs RUN …] [--json FILE]

A letter is found if one piece that the reader takes for a letter covers most of its ink and little of another's. Spaces are
judged between neighbors that were both found. Touching letters are cut
apart by the first of the nets; without nets, whose segmentation alone is judged, by their usual width.
"""

import dataclasses
import datetime
import hashlib
import tempfile
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image
from skimage import transform

from benchmarks import harness, pages
from benchmarks.facts import facts
from jaxnets.analysis.ocr.binarize import Page, open_page
from jaxnets.analysis.ocr.error_rate import character_errors
from jaxnets.analysis.ocr.read import likelihood, read
from jaxnets.analysis.ocr.segment import Line, find_lines
from jaxnets.cli.parse import parse
from jaxnets.data import text_files
from jaxnets.runs import load
from jaxnets.training import process

_MOST = 0.7
"""Of a letter's ink that a piece must cover, and of a piece's ink that must be of one letter."""
Array = np.ndarray


@dataclasses.dataclass(frozen=True)
class ReadingOptions:
    """Judges the reader of pages."""

    seed: int | None = None
    """Of the drawn pages; without it none are drawn."""
    pages: int = 36
    """How many; families of fonts and kinds of paper take turns."""
    first: int = 0
    """Number of the first one."""
    scans: Path | None = None
    """A folder of page images; beside each NAME.jpg, or in --truth, its text NAME.txt."""
    truth: Path | None = None
    """A folder of the texts of the scans."""
    runs: tuple[Path, ...] = ()
    """Folders of trained nets."""
    json: Path | None = None
    """Append a row for each page to this file."""


class Segmentation(NamedTuple):
    """What became of the letters, spaces and lines of a drawn page."""

    letters: int
    found: int
    extra: int
    """Pieces taken for letters that are none, or no whole one."""
    spaces: int
    """Between found neighbors."""
    spaces_missed: int
    spaces_added: int
    lines: int
    lines_kept: int
    """Whose found letters lie in one line, in order and by themselves."""


def segmentation(lines: Sequence[Line], truth: Array, text: str) -> Segmentation:
    """Compares found lines with the letters' numbers on the page, int [H, W], and its text."""
    words = [word for line in text.splitlines() for word in line.split()]
    line_of = [i for i, line in enumerate(text.splitlines()) for _ in line.replace(" ", "")]
    word_of = [i for i, word in enumerate(words) for _ in word]
    amounts = np.bincount(truth.ravel(), minlength=len(line_of) + 1)
    place: dict[int, tuple[int, int]] = {}
    found_lines: list[list[int]] = []
    extra = 0
    for row, line in enumerate(lines):
        found_lines.append([])
        for column, word in enumerate(line):
            for letter in word:
                number = _number(letter.box, letter.ink, truth, amounts)
                if number and number not in place:
                    place[number] = row, column
                    found_lines[-1].append(number)
                else:
                    extra += 1
    pairs = [
        (word_of[a - 1] != word_of[b - 1], place[a] != place[b])
        for a, b in pairwise(range(1, len(line_of) + 1))
        if a in place and b in place and line_of[a - 1] == line_of[b - 1] and place[a][0] == place[b][0]
    ]
    kept = {
        line_of[row[0] - 1] for row in found_lines if row and row == sorted(row) and len({line_of[n - 1] for n in row}) == 1
    }
    split = {line for line in kept if len({place[n][0] for n in place if line_of[n - 1] == line}) > 1}
    return Segmentation(
        letters=len(line_of),
        found=len(place),
        extra=extra,
        spaces=sum(apart for apart, _ in pairs),
        spaces_missed=sum(apart and not seen for apart, seen in pairs),
        spaces_added=sum(seen and not apart for apart, seen in pairs),
        lines=len(text.splitlines()),
        lines_kept=len(kept - split),
    )


def touching(letters: Array) -> int:
    """How many letters come within two pixels of another, among their numbers on the page as it was drawn, int [H, W]."""
    found: set[int] = set()
    pairs = (
        (letters[:, 2:], letters[:, :-2]),
        (letters[2:], letters[:-2]),
        (letters[1:, 1:], letters[:-1, :-1]),
        (letters[1:, :-1], letters[:-1, 1:]),
    )
    for one, other in pairs:
        near = (one != other) & (one > 0) & (other > 0)
        found |= {*one[near].tolist(), *other[near].tolist()}
    return len(found)


def _number(box: Any, ink: Array, truth: Array, amounts: Array) -> int:
    """The number of the letter that a piece is; 0 if it is none."""
    inside = truth[box.top : box.bottom, box.left : box.right]
    of_piece = np.bincount(inside[ink], minlength=len(amounts))
    of_piece[0] = 0
    number = int(of_piece.argmax())
    pure = of_piece[number] >= _MOST * of_piece.sum()
    return number if number and pure and (inside == number).sum() >= _MOST * amounts[number] else 0


def _as_opened(letters: Array, page: Page) -> Array:
    """The letters' numbers at the pixels of a page, which was scaled and turned when it was opened."""
    for side in (1200, 2000):
        size = _scaled(letters.shape, side)
        resized = np.asarray(Image.fromarray(letters).resize(size[::-1], Image.Resampling.NEAREST))
        turned = transform.rotate(resized, page.tilt, resize=True, order=0, preserve_range=True)
        if turned.shape == page.ink.shape:
            return turned.round().astype(int)
    raise AssertionError("a page is scaled so that its longer side is 1200 to 2000 pixels")


def _scaled(shape: tuple[int, ...], side: int) -> tuple[int, ...]:
    scale = side / max(shape) if (side == 1200) == (max(shape) < 1200) and not 1200 <= max(shape) <= 2000 else 1
    return tuple(round(scale * length) for length in shape)


def main(args: list[str]) -> int:
    """Prints a line for each page and the sums, and appends the rows to a file. Returns exit status 0."""
    options = parse(ReadingOptions, "reading", args)
    process.prepare()
    nets = [load.load(run) for run in options.runs]
    likely = likelihood(nets[0].predictor) if nets else None
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(options.first, options.first + options.pages) if options.seed is not None else ():
            drawn = pages.draw(options.seed, number)
            path = Path(folder) / f"{number:02d}.png"
            drawn.picture.save(path)
            page = open_page(path)
            found = segmentation(find_lines(page.ink, likely), _as_opened(drawn.letters, page), drawn.text)
            digest = hashlib.sha256(np.asarray(drawn.picture).tobytes()).hexdigest()
            about = {"seed": options.seed, "pixels_sha256": digest, "settings": drawn.settings, **found._asdict()}
            about["touching"] = touching(drawn.letters)
            rows.append(_row(path.stem, about, page, drawn.text, nets, options))
    for path in sorted(options.scans.glob("*.jpg")) if options.scans else ():
        text = text_files.read("--truth", (options.truth or options.scans) / f"{path.stem}.txt").strip()
        page = open_page(path)
        apart = [[len(word) for word in line] for line in find_lines(page.ink, likely)]
        about = {"segmented": apart == [[len(word) for word in line.split()] for line in text.splitlines()]}
        rows.append(_row(path.stem, about, page, text, nets, options))
    for key in (
        "letters",
        "touching",
        "found",
        "extra",
        "spaces",
        "spaces_missed",
        "spaces_added",
        "lines",
        "lines_kept",
        "characters",
    ):
        print(f"{key:<16} {sum(row.get(key, 0) for row in rows):,}")
    for net in rows[0]["errors"] if rows else ():
        print(f"errors {net}: {sum(row['errors'][net][0] for row in rows):,}")
    return 0


def _row(
    name: str, about: dict[str, Any], page: Page, text: str, nets: Sequence[Any], options: ReadingOptions
) -> dict[str, Any]:
    errors = {}
    for net in nets:
        reading = read(page.ink, net.predictor, net.spec.meta["class_names"])
        experiment = net.experiment
        known = f"{experiment.id} {experiment.data.source} {experiment.epochs} epochs"
        errors[known] = [character_errors(reading.text, text, spaces).errors for spaces in (False, True)]
    characters = character_errors("", text, False).characters
    row = {"kind": "reading", "date": datetime.date.today().isoformat(), "page": name, **about}
    row |= {"characters": characters, "errors": errors, "n": 1}
    print({key: value for key, value in row.items() if key not in ("settings", "pixels_sha256", "kind", "date")}, flush=True)
    if options.json:
        harness.append(options.json, {**row, **facts()})
    return row


if __name__ == "__main__":
    harness.start(main)
