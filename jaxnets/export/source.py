"""Pieces of source code of this package, with all that they need, as one text that stands alone."""

import ast
import functools
import re
import sys
from collections.abc import Container, Iterable
from pathlib import Path
from typing import NamedTuple

import jaxnets

_ROOT = Path(jaxnets.__file__).parent.parent


class _Module(NamedTuple):
    """A parsed file."""

    lines: list[str]
    definitions: dict[str, tuple[ast.stmt, int]]
    """The statement that defines each name, and its last line, that of a docstring below it included."""
    imports: dict[str, tuple[str, str]]
    """What each imported name stands for: (module, name in it, or "" for the module itself)."""


@functools.cache
def _parse(module: str) -> _Module:
    text = (_ROOT / f"{module.replace('.', '/')}.py").read_text("utf-8")
    body = ast.parse(text).body
    definitions: dict[str, tuple[ast.stmt, int]] = {}
    imports: dict[str, tuple[str, str]] = {}
    for statement, after in zip(body, [*body[1:], None], strict=True):
        is_docstring = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
        last = (after if after and is_docstring else statement).end_lineno or 0
        if isinstance(statement, ast.FunctionDef | ast.ClassDef):
            definitions[statement.name] = statement, statement.end_lineno or 0
        elif isinstance(statement, ast.Assign | ast.AnnAssign):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            names = [node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)]
            definitions |= dict.fromkeys(names, (statement, last))
        elif isinstance(statement, ast.ImportFrom):
            imports |= {alias.asname or alias.name: (str(statement.module), alias.name) for alias in statement.names}
        elif isinstance(statement, ast.Import):
            imports |= {alias.asname or alias.name: (alias.name, "") for alias in statement.names}
    return _Module(text.splitlines(), definitions, imports)


def extract(wanted: Iterable[tuple[str, str]], given: Container[str] = ()) -> tuple[set[tuple[str, str]], list[str]]:
    """The source of definitions, and of all in this package that they use.

    >>> imports, definitions = extract([("jaxnets.data.corpora", "plain_words")])
    >>> imports, [definition.splitlines()[0].partition("(")[0] for definition in definitions]
    (set(), ['def _lines', 'END = "<end>"', 'def plain_words'])

    Args:
      wanted: modules and names in them: functions, classes or constants.
      given: names that are left out, since they are defined elsewhere.

    Returns:
      (what must be imported, as `statements` takes it; definitions, in an order in which each can be executed).
    """
    imports: set[tuple[str, str]] = set()
    pieces: dict[tuple[int, str], str] = {}

    def visit(module: str, name: str) -> None:
        parsed = _parse(module)
        if name in parsed.definitions:
            statement, last = parsed.definitions[name]
            key = statement.lineno, module
            if key in pieces or name in given:
                return
            pieces[key] = ""  # Holds the place, so that what refers to itself is visited once.
            first = min([statement.lineno, *(d.lineno for d in getattr(statement, "decorator_list", []))])
            text = "\n".join(parsed.lines[first - 1 : last])
            for node in ast.walk(statement):
                if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and is_ours(parsed, node.value.id):
                    owner = ".".join(parsed.imports[node.value.id])
                    visit(owner, node.attr)
                    text = re.sub(rf"\b{node.value.id}\.{node.attr}\b", node.attr, text)
                elif isinstance(node, ast.Name) and not is_ours(parsed, node.id):
                    visit(module, node.id)
            del pieces[key]
            pieces[key] = text
        elif name in parsed.imports:
            origin, original = parsed.imports[name]
            if origin.startswith("jaxnets"):
                visit(origin, original)
            else:
                imports.add((origin, original))

    def is_ours(parsed: _Module, name: str) -> bool:
        """Whether a name stands for a module of this package."""
        origin, original = parsed.imports.get(name, ("", ""))
        return (
            origin.startswith("jaxnets") and (_ROOT / f"{origin}.{original}".replace(".", "/")).with_suffix(".py").exists()
        )

    for module, name in wanted:
        visit(module, name)
    return imports, list(pieces.values())


def statements(imports: Iterable[tuple[str, str]]) -> str:
    """Import statements in two paragraphs, of the standard library and of other packages.

    >>> print(statements([("torch", ""), ("torch", "nn"), ("torch", "Tensor"), ("pathlib", "Path")]))
    from pathlib import Path
    <BLANKLINE>
    import torch
    from torch import Tensor, nn

    Args:
      imports: (module, name in it, or "" for the module itself).

    Returns:
      The statements.
    """
    by_module: dict[str, list[str]] = {}
    for module, name in sorted(imports):
        by_module.setdefault(module, []).append(name)
    paragraphs: dict[bool, list[str]] = {True: [], False: []}
    for module, names in by_module.items():
        named = sorted(filter(None, names), key=lambda name: (not name.isupper(), not name[0].isupper(), name))
        lines = [f"import {module}"] if "" in names else []
        lines += [f"from {module} import {', '.join(named)}"] if named else []
        paragraphs[module.split(".")[0] in sys.stdlib_module_names] += lines
    order = lambda lines: sorted(lines, key=lambda line: line.startswith("from"))
    return "\n\n".join("\n".join(order(lines)) for lines in paragraphs.values() if lines)
