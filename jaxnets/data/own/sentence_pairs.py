"""Own pairs of sentences for translation: a file with a source sentence, a tab and its translation on each line.

Further columns are ignored. Sentences are normalized as those of eng_fra are, to lower-case words of a to z and . ! ?, and
split 80 / 10 / 10 at random.
"""

from pathlib import Path
from typing import Any

from jaxnets.data import archives, pairs
from jaxnets.data.own.content import Content, count, left_out, read_text, refuse, some
from jaxnets.data.progress import Report, track

OPTIONS = ("max_length",)
_FEWEST = 10
"""Examples, so that each split has one."""


def read(config: Any, path: Path, report: Report) -> Content:
    """Reads pairs. Left out are empty sides, repeated pairs, and sentences of more than `config.max_length` words and marks.

    Raises UserError for another form or encoding, lines without a tab, and fewer than 10 pairs.
    """
    if not path.is_file():
        raise refuse(path, "for an experiment on translation give a file of pairs, sentence TAB translation on each line")
    lines = archives.lines(read_text(path))
    if untabbed := [number for number, line in enumerate(lines, 1) if "\t" not in line]:
        raise refuse(
            path, f"{count(len(untabbed), 'line')} of {len(lines):,} ({some(untabbed)}) without a tab between two sentences"
        )
    selected: dict[tuple[str, str], None] = {}
    dropped: dict[str, list[Any]] = {"side without a word": [], "pair that is too long": [], "repeated pair": []}
    for number, line in enumerate(track(lines, "reading pairs", report, every=5_000), 1):
        source, target = (pairs.normalize(side).strip() for side in line.split("\t")[:2])
        if not source or not target:
            dropped["side without a word"].append(number)
        elif max(source.count(" "), target.count(" ")) >= config.max_length:
            dropped["pair that is too long"].append(number)
        elif (source, target) in selected:
            dropped["repeated pair"].append(number)
        else:
            selected[source, target] = None
    reasons = left_out({f"{reason}, by line": numbers for reason, numbers in dropped.items()})
    if len(selected) < _FEWEST:
        raise refuse(
            path,
            f"only {count(len(selected), 'pair')} can be used, {_FEWEST} are needed"
            + (f"; left out: {'; '.join(reasons)} (longer ones with --data.max-length)" if reasons else ""),
        )
    splits, meta = pairs.arrays(list(selected))
    meta |= {"max_length": config.max_length, "languages": ("source", "target")}
    return Content(splits, meta, "80 % / 10 % / 10 % at random", reasons)
