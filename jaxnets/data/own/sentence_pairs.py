"""Own pairs of sentences for translation: a file with a source sentence, a tab and its translation on each line.

Further columns are left out and counted. Latin letters that have no accent, such as œ, are spelled out (`text.spell_out`).
Sentences are then normalized as those of eng_fra are, to lower-case words of a to z and . ! ?; digits and letters of other
scripts become spaces, and lines that have them are counted. Pairs are split 80 / 10 / 10 at random.
"""

from pathlib import Path
from typing import Any

from jaxnets.data import pairs, text, text_files
from jaxnets.data.own.content import Content, read_text, refuse
from jaxnets.data.phrases import count, left_out
from jaxnets.data.progress import Report, track

OPTIONS = ("max_length",)
_NO_WORD, _TOO_LONG, _REPEATED = "lines without a word of a to z", "lines that are too long", "lines that repeat a pair"
_SHORTENED = "digits and letters outside a to z, of lines"
_FEWEST = 10
"""Examples, so that each split has one."""


def read(config: Any, path: Path, report: Report) -> Content:
    """Reads pairs. Left out are empty sides, repeated pairs, sentences of more than `config.max_length` words and marks,
    digits, and letters outside a to z.

    Raises UserError for another form or encoding, lines without a tab, and fewer than 10 pairs.
    """
    if not path.is_file():
        raise refuse(path, "for an experiment on translation give a file of pairs, sentence TAB translation on each line")
    table = text_files.table("data.source", str(path), read_text(path), ("sentence", "translation"))
    selected: dict[tuple[str, str], None] = {}
    dropped: dict[str, list[int]] = {reason: [] for reason in (_NO_WORD, _TOO_LONG, _REPEATED, _SHORTENED)}
    dropped[text_files.LONGER] = table.longer
    lines = list(zip(table.numbers, table.rows, strict=True))
    for number, row in track(lines, "reading pairs", report, every=5_000):
        spelled = [text.spell_out(side) for side in row]
        source, target = (pairs.normalize(side).strip() for side in spelled)
        if not source or not target:
            dropped[_NO_WORD].append(number)
        elif max(source.count(" "), target.count(" ")) >= config.max_length:
            dropped[_TOO_LONG].append(number)
        elif (source, target) in selected:
            dropped[_REPEATED].append(number)
        else:
            selected[source, target] = None
            if any(c.isdecimal() for side in spelled for c in side) or text.other_letters("".join(spelled)):
                dropped[_SHORTENED].append(number)
    reasons = left_out(dropped)
    if len(selected) < _FEWEST:
        raise refuse(
            path,
            f"only {count(len(selected), 'pair')} can be used, {_FEWEST} are needed"
            + (f"; left out: {'; '.join(reasons)} (--data.max-length admits longer ones)" if reasons else ""),
        )
    splits, meta = pairs.arrays(list(selected))
    meta = {**meta, "max_length": config.max_length, "languages": ("source", "target"), "spelled_out": True}
    return Content(splits, meta, "80 % / 10 % / 10 % at random", reasons)
