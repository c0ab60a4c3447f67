"""Arguments by tyro, with its errors as one line."""

import contextlib
import io
import itertools
import re
from typing import Any

import tyro

from jaxnets.errors import UserError


def parse(kind: Any, command: str, args: list[str], default: Any = None, description: str | None = None) -> Any:
    """An object of type `kind` from arguments. Raises UserError for what cannot be parsed."""
    config = (tyro.conf.AvoidSubcommands,)
    errors = io.StringIO()
    try:
        with contextlib.redirect_stderr(errors):
            return tyro.cli(
                kind, prog=f"jaxnets {command}", args=args, default=default, description=description, config=config
            )
    except SystemExit as stop:
        if stop.code in (0, None):
            raise
        raise UserError(_one_line(errors.getvalue())) from None


def _one_line(box: str) -> str:
    """The gist of tyro's framed error text: its first paragraph, and the option it suggests."""
    # Frames are drawn with box characters, or with rows of hyphens where the terminal has no others.
    lines = [re.sub(r"[╭╮╰╯│─]|^\s*-{4,}\s*$", "", line).strip() for line in box.strip().splitlines()]
    after_title = itertools.dropwhile(lambda line: not line, lines[1:])
    paragraph = " ".join(itertools.takewhile(bool, after_title)) or "bad arguments"
    suggestion = re.search(r"Perhaps you meant:\s+(--[\w.-]+)", " ".join(lines))
    hint = f"; did you mean {suggestion.group(1)}?" if suggestion else "; see --help"
    return paragraph.rstrip(".") + hint
