"""Arguments by tyro, with its errors as one line."""

import contextlib
import dataclasses
import io
import itertools
import re
import typing
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import tyro

from jaxnets import registry
from jaxnets.config import validate, with_fields
from jaxnets.config.fields import can_exist, check_values, parse_literal, user_path
from jaxnets.errors import UserError
from jaxnets.runs import shipped


class Limits(NamedTuple):
    """An annotation of an option: the least and the largest number that it may be."""

    least: float
    most: float = 2**31 - 1


SEED = Limits(0, 2**32 - 1)
RATE = Limits(1e-9, 1e9)


def shown_as(metavar: str) -> Any:
    """An annotation that shows a positional argument as `metavar` in help texts, for example RUN instead of PATH."""
    return tyro.conf.arg(metavar=metavar)


def optional(metavar: str) -> Any:
    """The same for an option whose default is explained in its docstring: help texts leave out "(default: None)"."""
    return tyro.conf.arg(metavar=metavar, help_behavior_hint="")


def parse(kind: Any, command: str, args: list[str], default: Any = None, description: str | None = None) -> Any:
    """An object of type `kind`, parsed from the arguments of `jaxnets COMMAND`.

    Raises UserError for arguments that cannot be parsed, and SystemExit after printing the help text.
    """
    config = (tyro.conf.AvoidSubcommands,)
    errors = io.StringIO()
    try:
        with contextlib.redirect_stderr(errors), warnings.catch_warnings(action="ignore"):
            options = tyro.cli(
                kind, prog=f"jaxnets {command}", args=args, default=default, description=description, config=config
            )
    except SystemExit as stop:
        if stop.code in (0, None):
            raise
        raise UserError(_one_line(errors.getvalue())) from None
    options = _with_user_paths(options)
    check_values(options)
    for name, hint in typing.get_type_hints(type(options), include_extras=True).items():
        for limits in (part for part in getattr(hint, "__metadata__", ()) if isinstance(part, Limits)):
            value = getattr(options, name)
            if value is not None and not limits.least <= value <= limits.most:
                bound = f"at least {limits.least:g}" if value < limits.least else f"at most {limits.most:,g}"
                raise UserError(f"{name} must be {bound}, got {value:g}")
    return options


def parse_experiments(kind: Any, command: str, args: Sequence[str], example: str, what: str) -> list[Any]:
    """The options of a command on experiments, ID… and then settings of them all: an object of `kind` for each.

    Args:
      kind: the options, of which "experiment" is made of its id and the settings.
      command: as it is typed.
      args: its arguments.
      example: what follows the command in an example, for the message where no id is given.
      what: what it does, for its help.

    Raises UserError for an unknown id and for settings that cannot be.
    """
    names = list(itertools.takewhile(lambda arg: not arg.startswith("-"), args))
    rest, changes = take_args(args[len(names) :])
    if not names and not {"-h", "--help"} & set(rest):
        raise UserError(f"{command} needs the id of an experiment first, for example: jaxnets {command} {example}")
    experiments = registry.select(names or ["cifar10/lenet/super"])
    description = f"{what}. The defaults below are those of {experiments[0].id}."
    title = f"{command} {' '.join(names) or 'ID…'}"
    parsed = [parse(kind, title, rest, kind(each), description) for each in experiments]
    return [
        dataclasses.replace(options, experiment=validate(with_fields(options.experiment, changes))) for options in parsed
    ]


def _with_user_paths(options: Any) -> Any:
    """The options with ~ as the home folder in each path: shells leave it in `--out=~/runs`."""
    paths = lambda value: user_path(value) if isinstance(value, Path) else value
    found = {field.name: getattr(options, field.name) for field in dataclasses.fields(options)}
    return dataclasses.replace(
        options,
        **{name: tuple(map(paths, value)) if isinstance(value, tuple) else paths(value) for name, value in found.items()},
    )


def keep_inputs(option: str, path: Path | None, inputs: Iterable[Path]) -> None:
    """Raises UserError where what an option writes would overwrite a file or folder that is read, whatever it is called."""
    if path is None or not can_exist(path) or not path.exists():
        return
    for given in inputs:
        if can_exist(given) and given.exists() and given.samefile(path):
            raise UserError(f"{option} {path} would overwrite {given}, which is read; name another one")


def split_run(args: Sequence[str], name: str) -> tuple[Path, tuple[str, ...]]:
    """(RUN, the inputs) of a command that can go without RUN: then its net is the one called `name` that comes with jaxnets.

    RUN is the first of several arguments. One alone is the input, unless it is a run or the name of such a net.

    >>> split_run(["runs/translate/gru", "je suis ici ."], "translate")
    (PosixPath('runs/translate/gru'), ('je suis ici .',))
    >>> split_run(["je suis ici ."], "translate")[1]
    ('je suis ici .',)
    """
    is_run = len(args) > 1 or any(arg in shipped.names() or (can_exist(Path(arg)) and Path(arg).is_dir()) for arg in args)
    return (Path(args[0]), tuple(args[1:])) if is_run else (shipped.FOLDER / name, tuple(args))


def take_args(args: Sequence[str], prefix: str = "--optim.args.") -> tuple[list[str], dict[str, Any]]:
    """(the other arguments, {"optim.args.b1": 0.95}) for options below a field that holds a mapping, whatever their names.

    >>> take_args(["--seeds", "3", "--optim.args.b1", "0.95", "--optim.args.mu-dtype=bfloat16"])
    (['--seeds', '3'], {'optim.args.b1': 0.95, 'optim.args.mu_dtype': 'bfloat16'})
    """
    others: list[str] = []
    changes = {}
    rest = iter(args)
    for arg in rest:
        if not arg.startswith(prefix):
            others.append(arg)
            continue
        option, sign, text = arg.partition("=")
        if not sign and (text := next(rest, "--")).startswith("--"):
            raise UserError(f"{option} needs a value")
        changes[option.removeprefix("--").replace("-", "_")] = parse_literal(text)
    return others, changes


def part(text: str) -> slice:
    """The slice of a list that "K/N", the K-th of N parts, means. Raises UserError for what is no such thing."""
    first, _, number = text.partition("/")
    try:
        k, n = int(first), int(number)
    except ValueError:
        k = n = 0
    if not 1 <= k <= n:
        raise UserError(f"part must be K/N with K from 1 to N, such as 2/8, got {text}")
    return slice(k - 1, None, n)


def _one_line(box: str) -> str:
    """The gist of tyro's framed error message: its first paragraph, and the option it suggests."""
    # Frames are drawn with box characters, or with rows of hyphens on terminals without them.
    lines = [re.sub(r"[╭╮╰╯│─]|^\s*-{4,}\s*$", "", line).strip() for line in box.strip().splitlines()]
    after_title = itertools.dropwhile(lambda line: not line, lines[1:])
    paragraph = " ".join(itertools.takewhile(bool, after_title)) or "bad arguments"
    if paragraph.startswith("Missing from"):  # Then each argument is followed by its help text and "(required)".
        missing = [argument.split()[0] for argument in paragraph.partition(": ")[2].split("(required)") if argument.strip()]
        paragraph = f"missing {', '.join(missing)}"
    suggestion = re.search(r"Perhaps you meant:\s+(--[\w.-]+)", " ".join(lines))
    hint = f"; did you mean {suggestion.group(1)}?" if suggestion else "; see --help"
    return paragraph.rstrip(".") + hint
