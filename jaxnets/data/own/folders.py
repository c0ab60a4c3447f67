"""Files in folders: one for each class, with or without folders of splits above them."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from jaxnets.data.own import splits
from jaxnets.data.own.content import refuse
from jaxnets.data.phrases import some

ByClass = Mapping[str, list[Path]]
"""Files by the name of their class."""


def files_below(folder: Path) -> list[Path]:
    """All files of a folder and its subfolders, in order. Hidden ones are left out, links to folders followed."""
    return sorted(_walk(folder, set()))


def _walk(folder: Path, parents: set[str]) -> Iterator[Path]:
    real = os.path.realpath(folder)
    if real in parents:  # A link to a folder above it.
        return
    with os.scandir(folder) as entries:  # Unlike pathlib it need not ask for the kind of each file.
        visible = [entry for entry in entries if not _is_hidden(entry.name)]
    for entry in visible:
        if entry.is_dir():
            yield from _walk(Path(entry), parents | {real})
        else:
            yield Path(entry)


def _is_hidden(name: str) -> bool:
    """Whether a file or folder is not the user's: macOS packs a folder __MACOSX beside what it packs."""
    return name.startswith(".") or name == "__MACOSX"


def is_about(path: Path) -> bool:
    """Whether a file tells about the data instead of being part of it, by its name.

    >>> [is_about(Path(f"{name}.txt")) for name in ("README (1)", "names_license", "SOURCES", "Arabic", "notice 7")]
    [True, True, True, False, False]
    """
    stem = path.stem.upper()
    return stem in ("NOTICE", "SOURCES") or not _ABOUT.isdisjoint(re.split("[^A-Z]+", stem))


_ABOUT = {"README", "LICENSE", "LICENCE", "COPYING", "CHANGELOG"}
"""Words of their names."""
_LEFT_OUT = "files about the data", "files that are not .txt"


def texts_of(files: Iterable[Path], folder: Path, dropped: dict[str, list[Any]]) -> list[Path]:
    """The .txt files that are data; `dropped`, for `phrases.left_out`, gets the others by their place below `folder`."""
    about, other = (dropped.setdefault(reason, []) for reason in _LEFT_OUT)
    kept = []
    for file in files:
        if not is_about(file) and file.suffix.lower() == ".txt":
            kept.append(file)
        else:
            (about if is_about(file) else other).append(str(file.relative_to(folder)))
    return kept


def subfolders(folder: Path) -> list[Path]:
    """The folders in a folder, in order, without hidden ones."""
    return sorted(entry for entry in folder.iterdir() if entry.is_dir() and not _is_hidden(entry.name))


def split_entries(folder: Path, suffixes: tuple[str, ...] = ()) -> dict[str, Path]:
    """Folders of a folder that are called after splits; with `suffixes` files, such as train.txt.

    Raises UserError for two of one split.
    """
    found: dict[str, Path] = {}
    entries = [e for e in sorted(folder.iterdir()) if e.suffix.lower() in suffixes] if suffixes else subfolders(folder)
    for entry in entries:
        if split := splits.split_of(entry.stem if suffixes else entry.name):
            if split in found:
                raise refuse(folder, f"{found[split].name} and {entry.name} are both the {split} split; keep one")
            found[split] = entry
    return found


def by_class(folder: Path, noun: str) -> dict[str, ByClass]:
    """The files of each split and class of a folder, for folder/CLASS/… and for folder/SPLIT/CLASS/….

    `noun` says what the files are. A folder called train that holds folders is a split, otherwise a class.

    Raises UserError for a folder that is not laid out like this, a class without files, fewer than two classes, and classes
    that the training split lacks.
    """
    entries = split_entries(folder)
    if "train" in entries and (subfolders(entries["train"]) or len(entries) == len(subfolders(folder))):
        if others := [entry.name for entry in subfolders(folder) if entry not in entries.values()]:
            raise refuse(
                folder, f"beside {', '.join(e.name for e in entries.values())} there is {some(others)}; move it elsewhere"
            )
    elif entries and len(entries) == len(subfolders(folder)):
        raise refuse(folder, f"there is {' and '.join(e.name for e in entries.values())} but no folder train")
    else:
        entries = {"train": folder}
    found = {split: _classes(path, split, noun) for split, path in entries.items()}
    classes = found["train"]
    if len(classes) < 2:
        raise refuse(folder, f"there is only one class, {next(iter(classes))!r}; at least two are needed, a folder for each")
    for split, others_of in found.items():
        if strange := [name for name in others_of if name not in classes]:
            raise refuse(entries[split], f"class {some(strange)} is not among those of train; move it or add it there")
    return found


def _classes(folder: Path, split: str, noun: str) -> ByClass:
    classes = {entry.name: files_below(entry) for entry in subfolders(folder)}
    if not classes:
        content = "holds files but no folder for each class" if files_below(folder) else "is empty"
        raise refuse(folder, f"the folder {content}; put {noun}s into CLASS/ below it")
    if empty := [name for name, files in classes.items() if not files]:
        raise refuse(folder, f"class {some(empty)} has no {noun}s; add some or remove the folder")
    return {name: classes[name] for name in splits.class_order(list(classes))}
