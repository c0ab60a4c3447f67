"""Access to fields of nested dataclasses by dotted path, such as optim.lr."""

import ast
import dataclasses
import functools
import math
import os
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from jaxnets.errors import UserError, did_you_mean

type_hints: Callable[[Any], Mapping[str, Any]] = functools.cache(typing.get_type_hints)
"""The types of a class's fields by name, evaluated once: every experiment is checked whenever any is listed."""


def field_at(config: Any, path: str) -> Any:
    """The value at a dotted path, such as "optim.lr". Raises AttributeError if there is no such field.

    Below a field that holds a mapping, the path goes on with its keys: "optim.args.b1".
    """
    for name in path.split("."):
        if isinstance(config, Mapping):
            if name not in config:
                raise AttributeError(name)
            config = config[name]
        else:
            config = getattr(config, name)
    return config


def with_field(config: Any, path: str, value: Any) -> Any:
    """A copy of `config` in which the field at a dotted path has the given value. Keys of mappings may be new."""
    name, _, rest = path.partition(".")
    if isinstance(config, Mapping):
        return {**config, name: with_field(config[name], rest, value) if rest else value}
    return dataclasses.replace(config, **{name: with_field(getattr(config, name), rest, value) if rest else value})


def with_fields(config: Any, changes: Mapping[str, Any]) -> Any:
    """A copy of `config` with other values at dotted paths. Raises UserError for a path that leads nowhere."""
    for path, value in changes.items():
        try:
            config = with_field(config, path, value)
        except (AttributeError, TypeError):
            raise _unknown(config, path) from None
    return config


def _unknown(config: Any, path: str) -> UserError:
    paths = [known for known, _ in leaves(config)]
    hint = did_you_mean(path, paths, f"known: {', '.join(paths)}")
    return UserError(f"{config.id}: no field {path}: {hint}")


def parse_field(config: Any, path: str, text: str) -> Any:
    """Parses `text` as a value of the field at a dotted path.

    Raises UserError if there is no such field, if it does not hold a single number or word, or if `text` is not a valid
    value for it.
    """
    owner, name = path.rpartition(".")[::2]
    try:
        parent = field_at(config, owner) if owner else config
        if isinstance(parent, Mapping):
            return parse_literal(text)
        hint = type_hints(type(parent))[name]
        field_at(parent, name)
    except (AttributeError, KeyError):
        raise _unknown(config, path) from None
    kinds = [kind for kind in typing.get_args(hint) or (hint,) if kind is not type(None)]
    if typing.get_origin(hint) is Literal:
        if text not in kinds:
            raise UserError(f"{config.id}: {path} cannot be {text!r}: choose from {', '.join(map(str, kinds))}")
        return text
    if kinds[0] not in (int, float, bool, str) or typing.get_origin(hint) is tuple:
        raise UserError(f"{config.id}: {path} does not hold one number or word")
    try:
        return {"True": True, "False": False}[text] if kinds[0] is bool else kinds[0](text)
    except (KeyError, ValueError):
        raise UserError(f"{config.id}: {path} cannot be {text!r}: {kinds[0].__name__} wanted") from None


def parse_literal(text: str) -> Any:
    """A value of whatever kind the text looks like: a number, True or False, None, a tuple of such, or else the text.

    >>> [parse_literal(text) for text in ("3", "1e-3", "True", "(1, 2)", "bfloat16")]
    [3, 0.001, True, (1, 2), 'bfloat16']
    """
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def check_types(config: Any, prefix: str = "") -> None:
    """Raises UserError for the first field, by its dotted path, whose value is of another type than the field's."""
    for name, hint in type_hints(type(config)).items():
        if typing.get_origin(hint) is typing.ClassVar or not hasattr(config, name):
            continue
        value = getattr(config, name)
        if not _fits(value, hint):
            wanted = getattr(hint, "__name__", "") if isinstance(hint, type) else str(hint).replace("typing.", "")
            if typing.get_origin(hint) is Literal:
                wanted = f"one of {', '.join(map(str, typing.get_args(hint)))}"
            raise UserError(f"{prefix}{name} must be {wanted}, got {str(value)[:60]!r}")
        if dataclasses.is_dataclass(value):
            check_types(value, f"{prefix}{name}.")


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value is of a type, as far as the type says. Integers are floats too, lists are tuples."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        return value in inner
    if origin in (typing.Union, types.UnionType):
        return any(_fits(value, alternative) for alternative in inner)
    if origin is tuple:
        every = inner[0] if inner[-1] is Ellipsis else None
        fitting = isinstance(value, tuple | list) and (every is not None or len(value) == len(inner))
        return fitting and all(_fits(item, every or inner[i]) for i, item in enumerate(value))
    if origin is Mapping:
        return isinstance(value, Mapping) and all(_fits(k, inner[0]) and _fits(v, inner[1]) for k, v in value.items())
    if hint in (int, float):
        return isinstance(value, int if hint is int else int | float) and not isinstance(value, bool)
    return hint is Any or not isinstance(hint, type) or isinstance(value, hint)


def check_values(config: Any) -> None:
    """Raises UserError for the first field with a value that no field can have: a number that is not finite, an integer of
    more than 32 bits, a path that no file can have.
    """
    for path, value in leaves(config):
        for one in _flat(value):
            if problem := _problem(one):
                raise UserError(f"{path.removeprefix('experiment.')} {problem}")


def _flat(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping):
        value = tuple(value.values())
    if isinstance(value, tuple | list):
        for item in value:
            yield from _flat(item)
    else:
        yield value


def _problem(value: Any) -> str:
    if isinstance(value, int) and not -(2**31) <= value < 2**32:
        return "must be an integer of 32 bits"
    if isinstance(value, float) and not math.isfinite(value):
        return f"must be a finite number, got {value}"
    if isinstance(value, Path) and not can_exist(value):
        return f"is not a valid path: {str(value)[:40]!r}…"
    return ""


def user_path(path: str | os.PathLike[str]) -> Path:
    """The path that a user means, in which a leading ~ is the home folder. Raises UserError where there is none.

    >>> user_path("runs/look").as_posix()
    'runs/look'
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise UserError(f"{path}: there is no such home folder; write the whole path") from None


def can_exist(path: str | Path) -> bool:
    """Whether a file may have this path: its parts have at most 255 bytes, and all together 4,095.

    >>> can_exist("/".join(["é" * 100] * 20)), can_exist("/".join(["é" * 100] * 25))
    (True, False)
    """
    try:
        parts = [os.fsencode(part) for part in Path(path).parts]
    except UnicodeEncodeError:
        return False
    return "\0" not in str(path) and all(len(part) <= 255 for part in parts) and len(os.fsencode(path)) < 4096


def freeze(mapping: Mapping[str, Any]) -> Mapping[str, Any]:
    """A mapping that cannot be changed, with tuples in place of lists, as JSON makes them."""
    return MappingProxyType({name: _with_tuples(value) for name, value in mapping.items()})


def _with_tuples(value: Any) -> Any:
    return tuple(map(_with_tuples, value)) if isinstance(value, list | tuple) else value


def name_of(function: str | Callable) -> str:
    """The name by which a config stores a function: "module:name". A string is such a name already.

    Raises UserError for a function that its module does not name, such as a lambda.

    >>> import math
    >>> name_of(math.sqrt), name_of("optax.lion")
    ('math:sqrt', 'optax.lion')
    """
    if isinstance(function, str):
        return function
    qualified = getattr(function, "__qualname__", "<nameless>")
    if "<" in qualified:
        raise UserError(f"{function!r} cannot be saved by name: define it at the top of its file with def")
    return f"{function.__module__}:{qualified}"


def leaves(config: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted path, value) of every field, descending into those that hold dataclasses."""
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            yield from leaves(value, f"{prefix}{field.name}.")
        else:
            yield prefix + field.name, value
