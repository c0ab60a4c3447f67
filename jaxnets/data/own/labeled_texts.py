"""Own labeled texts: a table, a folder with tables called after splits, or a folder of text files by class.

A table is a .csv or .tsv file whose first line names its columns; `data.text_column` and `data.label_column` say which to
read. Fields of .csv are separated by the commas, semicolons or tabs of that line and may be quoted. In a folder there is
train.csv and perhaps validation.csv and test.csv, or CLASS/….txt or SPLIT/CLASS/….txt. Latin letters that have no accent,
such as ß, are spelled out (`text.spell_out`). Texts are then cleaned as reviews are, to lower-case words of a to z, without
markup and English stop words; texts with letters of other scripts, which are lost, are counted. Splits that are missing are
drawn as jaxnets.data.own.splits says.
"""

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxnets.data import imdb, text
from jaxnets.data.own import folders, splits
from jaxnets.data.own.content import Content, read_text, refuse
from jaxnets.data.phrases import left_out, some
from jaxnets.data.progress import Report, track

OPTIONS = ("text_column", "label_column")
_TABLES = (".csv", ".tsv")
_LONGEST_FIELD = 10_000_000
_INCOMPLETE, _TOO_MANY = "lines without text or label", "lines with more fields than the header"
_NO_WORD, _SHORTENED = "texts without a word of a to z", "letters outside a to z, of texts"


class _Labeled(NamedTuple):
    texts: list[str]
    labels: list[str]


def read(config: Any, path: Path, report: Report) -> Content:
    """Reads texts and labels. Left out are lines that lack one or have too many fields, texts without a word, and letters
    outside a to z.

    Raises UserError for files of another form or encoding, columns that are not there, fewer than two classes, and classes
    that are too small to split.
    """
    dropped: dict[str, list[Any]] = {_INCOMPLETE: [], _TOO_MANY: [], _NO_WORD: [], _SHORTENED: []}
    given: dict[str, _Labeled] = {}
    for split, part in _read(config, path, report, dropped).items():
        spelled = [text.spell_out(one) for one in track(part.texts, f"checking {split}", report, every=500)]
        has_words = [bool(imdb.clean(one)) for one in spelled]
        dropped[_NO_WORD] += [t[:20] for t, ok in zip(part.texts, has_words, strict=True) if not ok]
        dropped[_SHORTENED] += [t[:20] for t, ok in zip(spelled, has_words, strict=True) if ok and text.other_letters(t)]
        kept = [pair for *pair, ok in zip(spelled, part.labels, has_words, strict=True) if ok]
        if not kept:
            raise refuse(path, f"the {split} split has no text with a word of a to z")
        given[split] = _Labeled(*map(list, zip(*kept, strict=True)))
    class_names = splits.class_order(given["train"].labels)
    if len(class_names) < 2:
        raise refuse(path, f"there is only one class, {class_names[0]!r}; at least two are needed")
    numbers = {name: i for i, name in enumerate(class_names)}
    for split, part in given.items():
        if strange := sorted(set(part.labels) - set(numbers)):
            raise refuse(path, f"class {some(strange)} of {split} is not among those of train")
    labels = {split: np.array([numbers[label] for label in part.labels], np.int32) for split, part in given.items()}
    drawn = splits.stratified(path, labels["train"], class_names, list(given), "text")
    columns = {
        split: {"review": [given["train"].texts[i] for i in indices], "label": labels["train"][indices]}
        for split, indices in drawn.items()
    }
    columns |= {s: {"review": part.texts, "label": labels[s]} for s, part in given.items() if s != "train"}
    ordered = {split: columns[split] for split in splits.NAMES if split in columns}
    arrays, meta = imdb.arrays(ordered, class_names, report)
    return Content(arrays, {**meta, "spelled_out": True}, splits.rule(list(given), "texts of each class"), left_out(dropped))


def _read(config: Any, path: Path, report: Report, dropped: dict[str, list[Any]]) -> Mapping[str, _Labeled]:
    """Texts and labels of each split that is given."""
    if path.is_file() and path.suffix.lower() in _TABLES:
        return {"train": _read_table(config, path, dropped)}
    if not path.is_dir():
        raise refuse(path, "for an experiment on labeled texts give a .csv or .tsv table with a header")
    if tables := folders.split_entries(path, _TABLES):
        if "train" not in tables:
            raise refuse(path, f"there is {some([t.name for t in tables.values()])} but no train.csv")
        return {split: _read_table(config, table, dropped) for split, table in tables.items()}
    given = {}
    for split, classes in folders.by_class(path, "text").items():
        texts_of = {name: folders.texts_of(members, path, dropped) for name, members in classes.items()}
        if empty := [name for name, members in texts_of.items() if not members]:
            raise refuse(path, f"class {some(empty)} of {split} has no .txt file with a text")
        files = [(file, name) for name, members in texts_of.items() for file in members]
        texts = [read_text(file) for file, _ in track(files, f"reading {split}", report)]
        given[split] = _Labeled(texts, [name for _, name in files])
    return given


def _read_table(config: Any, path: Path, dropped: dict[str, list[Any]]) -> _Labeled:
    content = read_text(path)
    header = content.partition("\n")[0]
    delimiter = "\t" if path.suffix.lower() == ".tsv" else max(",;\t", key=header.count)
    # Quotation marks in .tsv files are mostly part of the text.
    quoting: Any = csv.QUOTE_NONE if path.suffix.lower() == ".tsv" else csv.QUOTE_MINIMAL
    limit = csv.field_size_limit(_LONGEST_FIELD)
    try:
        reader = csv.reader(io.StringIO(content, newline=""), delimiter=delimiter, quoting=quoting)
        columns = [name.strip() for name in next(reader)]
        places = [_column(path, columns, config.text_column, "text"), _column(path, columns, config.label_column, "label")]
        texts, labels = [], []
        for row in reader:
            review, label = (row[place].strip() if place < len(row) else "" for place in places)
            if any(cell.strip() for cell in row[len(columns) :]):  # Most likely an unquoted comma of the text.
                dropped[_TOO_MANY].append(reader.line_num)
            elif review and label:
                texts.append(review)
                labels.append(label)
            elif row:
                dropped[_INCOMPLETE].append(reader.line_num)
    except csv.Error as error:
        raise refuse(path, f"line {reader.line_num} is not that of a table: {error}") from None
    finally:
        csv.field_size_limit(limit)
    if not texts:
        reasons = "; ".join(left_out(dropped))
        raise refuse(path, f"the table has no line with a text and a label{f'; left out: {reasons}' * bool(reasons)}")
    return _Labeled(texts, labels)


def _column(path: Path, columns: list[str], name: str, what: str) -> int:
    if name not in columns:
        raise refuse(path, f"there is no column {name!r}, only {', '.join(columns[:8])}; choose with --data.{what}-column")
    return columns.index(name)
