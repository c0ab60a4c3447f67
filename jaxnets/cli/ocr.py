"""`jaxnets ocr`: reads the text on a page with a trained net."""

import dataclasses
import sys
from pathlib import Path
from typing import Annotated

import tyro

from jaxnets.cli.parse import keep_inputs, optional, parse, split_run
from jaxnets.config import ImageData
from jaxnets.data import text_files
from jaxnets.errors import UserError
from jaxnets.runs import shipped


@dataclasses.dataclass(frozen=True)
class OcrOptions:
    """Reads the capital letters and digits on a page and prints them, with spaces and line breaks."""

    page: tyro.conf.Positional[Annotated[tuple[str, ...], optional("[RUN] PAGE")]] = ()
    """An image file. Before it, if the net called letters is not to read it: the folder of a run, for example
    runs/nist36/cnn, or the name of another net that comes with jaxnets (see `jaxnets nets`)."""
    out: Annotated[Path | None, optional("FILE")] = None
    """Save the page here, with each letter framed and labeled as it was read, for example annotated.png."""
    truth: Annotated[Path | None, optional("FILE")] = None
    """A text file with the true text of the page. Prints the character error rate."""
    words: Annotated[Path | None, optional("FILE")] = None
    """A text file of known words. Words that were misread by a letter or so are corrected to these."""
    sheet: int = 1
    """Which sheet to read of a file with several, counted from 1."""
    replica: int = 0
    """Which of the run's replicas to use, counted from 0; a run trains one per seed."""


def ocr(args: list[str]) -> int:
    """Prints the text, its error rate if --truth is given, and on stderr what is doubtful. Returns exit status 0."""
    options = parse(OcrOptions, "ocr", args)
    run, pages = split_run(options.page, shipped.READER)
    if len(pages) != 1:
        raise UserError(f"ocr reads one page, not {len(pages)}; for example: jaxnets ocr RUN page.jpg")
    path = Path(pages[0])
    keep_inputs("--out", options.out, filter(None, (path, options.truth, options.words)))
    truth = text_files.read("--truth", options.truth) if options.truth else None
    words = frozenset(text_files.read("--words", options.words).upper().split() if options.words else ())
    from jaxnets.analysis.ocr.annotate import annotate
    from jaxnets.analysis.ocr.binarize import open_page
    from jaxnets.analysis.ocr.error_rate import character_errors
    from jaxnets.analysis.ocr.notes import notes
    from jaxnets.analysis.ocr.read import read
    from jaxnets.data.letter_form import SIDE
    from jaxnets.runs import load  # Slow imports, which the help text does not need.
    from jaxnets.training import process

    process.prepare()
    page = open_page(path, options.sheet)
    net = load.load(run, options.replica)
    if not isinstance(net.experiment.data, ImageData):
        raise UserError(f"{run}: this net does not look at images; use one trained on nist36")
    names = net.spec.meta["class_names"]
    shape = net.spec.splits["train"]["image"].shape[1:]
    if shape != (SIDE, SIDE, 1) or not all(len(name) == 1 for name in names):
        raise UserError(
            f"{run}: this net was not trained on letters of {SIDE}×{SIDE} gray pixels; use one trained on nist36"
        )
    readable = frozenset(word for word in words if set(word) <= set(names))
    if options.words and not readable:
        raise UserError(f"--words {options.words}: no word in it consists of the net's characters ({''.join(names)})")
    reading = read(page.ink, net.predictor, names, readable)
    if reading.text:
        print(reading.text)
    if truth is not None:
        without, within = (character_errors(reading.text, truth, spaces) for spaces in (False, True))
        print(f"\ncharacter errors: {without} without spaces, {within} with spaces and line breaks")
    if options.out:
        try:
            annotate(page.picture, reading).save(options.out)
        except (OSError, ValueError) as error:
            raise UserError(f"--out {options.out}: cannot be written ({error}); name a .png or .jpg file") from None
    found = notes(page, reading)
    if reading.left_over and not reading.text:
        raise UserError(f"{path}: there is ink on the page but no letter; {'; '.join(found)}")
    for note in found:
        print(f"{path}: {note}", file=sys.stderr)
    return 0
