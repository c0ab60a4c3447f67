"""Own running text for language models: a text file, or a folder with train.txt, validation.txt and test.txt.

A single file is cut in order: 80 % of its characters for training, then 10 % for validation, then 10 % for the test. In a
folder with test.txt but without validation.txt, the last 10 % of train.txt are for validation.
"""

from pathlib import Path
from typing import Any

from jaxnets.data import corpora
from jaxnets.data.own import folders
from jaxnets.data.own.content import Content, read_text, refuse
from jaxnets.data.progress import Report
from jaxnets.data.store import Dataset

OPTIONS = ("tokenizer", "synthetic")
_SHARE = 0.1


def read(config: Any, path: Path, report: Report) -> Content:
    """Reads text in UTF-8 and splits it into tokens as `config.tokenizer` says, or else as the synthetic stand-in's name
    does: toy_letters into letters, any other into words.

    Raises UserError for a file or folder of another form, and for other encodings.
    """
    tokenizer = config.tokenizer or ("letters" if config.synthetic.endswith("letters") else "plain_words")
    texts, rule = _texts(path)
    report("splitting into tokens", 0, 1)
    splits, meta = corpora.arrays(texts, tokenizer)
    return Content(splits, meta, rule)


def check(config: Any, dataset: Dataset) -> None:
    """Raises UserError for a split that is shorter than a window."""
    for split in dataset.splits:
        if (tokens := dataset.examples(split)) <= config.window:
            raise refuse(
                config.source,
                f"the {split} text has {tokens:,} tokens, and a window {config.window}; give a longer text or a smaller "
                "--data.window",
            )


def _texts(path: Path) -> tuple[dict[str, str], str]:
    """(text of each split, the rule in words)."""
    if path.is_dir():
        files = folders.split_entries(path, (".txt",))
        if "train" not in files:
            raise refuse(path, "the folder has no train.txt; give one text file, or a folder with train.txt and test.txt")
        given = {split: read_text(file) for split, file in files.items()}
    elif path.suffix.lower() in (".csv", ".tsv", ".npz"):
        raise refuse(path, "for an experiment on running text give a .txt file")
    else:
        given = {"train": read_text(path)}
    if "validation" in given:
        return given, "as given"
    if "test" in given:
        parts = corpora.by_characters(given["train"], 1 - _SHARE, _SHARE)
        return {**parts, "test": given["test"]}, "the last 10 % of the training text for validation; the test as given"
    parts = corpora.by_characters(given["train"], 1 - 2 * _SHARE, _SHARE)
    return parts, "the first 80 % of the characters, the next 10 %, the last 10 %"
