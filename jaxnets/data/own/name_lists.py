"""Own names: a file with a name on each line, or a folder with such a file for each category, CATEGORY.txt.

Latin letters that have no accent, such as ł, are spelled out (`text.spell_out`), accents are removed, and what is then not
in the reports' alphabet is left out of its name, which is counted. Names are split 80 / 10 / 10 at random. A single file
makes one category, called as the file is, so that nets which expect a category train on it too.
"""

from pathlib import Path
from typing import Any

from jaxnets.data import names, text, text_files
from jaxnets.data.own import folders
from jaxnets.data.own.content import Content, read_text, refuse
from jaxnets.data.phrases import count, left_out
from jaxnets.data.progress import Report, track

OPTIONS = ()
_NO_LETTER, _TOO_LONG = "names without a letter of the alphabet", "lines too long for a name"
_SHORTENED = "characters outside the alphabet, of names"
_FEWEST = 10
"""Names, so that each split has one."""
_LONGEST = 64
"""Letters of a line that can be a name."""


def read(config: Any, path: Path, report: Report) -> Content:
    """Reads names. Left out are those without a letter of the alphabet, lines of more than 64 letters, and characters
    outside the alphabet.

    Raises UserError for a folder without .txt files, a category without names, another encoding, and fewer than 10 names.
    """
    del config
    dropped: dict[str, list[Any]] = {_NO_LETTER: [], _TOO_LONG: [], _SHORTENED: [], text_files.LONGER: []}
    if path.is_dir():
        found = [file for file in sorted(path.iterdir()) if file.is_file() and not file.name.startswith(".")]
        files = folders.texts_of(found, path, dropped)
        if not files:
            raise refuse(path, "the folder has no .txt files; give a file of names, or a folder of one for each category")
    elif path.suffix.lower() in (".csv", ".tsv", ".npz"):
        raise refuse(path, "for an experiment on names give a .txt file with a name on each line")
    else:
        files = [path]
    listed: list[str] = []
    categories: list[str] = []
    for file in track(files, "reading names", report):
        usable = []
        table = text_files.table("data.source", str(file), read_text(file), ("name",))
        dropped[text_files.LONGER] += table.longer
        for (line,) in table.rows:
            spelled = text.without_accents(text.spell_out(line))
            name = text.to_ascii(spelled).strip()
            if not any(map(str.isalpha, name)):
                dropped[_NO_LETTER].append(line)
            elif len(name) > _LONGEST:
                dropped[_TOO_LONG].append(f"{line[:20]}…")
            else:
                usable.append(name)
                if name != spelled.strip():
                    dropped[_SHORTENED].append(line)
        if not usable:
            raise refuse(file, "there is no name with a letter of the alphabet; remove the file or correct it")
        listed += usable
        categories += [file.stem] * len(usable)
    if len(listed) < _FEWEST:
        raise refuse(path, f"only {count(len(listed), 'name')} can be used; at least {_FEWEST} are needed")
    splits, meta = names.arrays(listed, categories)
    return Content(splits, meta, "80 % / 10 % / 10 % at random", left_out(dropped))
