"""Access to fields of nested dataclasses by dotted path, such as optim.lr."""

import dataclasses
import difflib
import typing
from collections.abc import Iterator
from typing import Any, Literal

from jaxnets.errors import UserError


def field_at(config: Any, path: str) -> Any:
    """The value at a dotted path, such as "optim.lr". Raises AttributeError if there is no such field."""
    for name in path.split("."):
        config = getattr(config, name)
    return config


def with_field(config: Any, path: str, value: Any) -> Any:
    """A copy of `config` in which the field at a dotted path has the given value."""
    name, _, rest = path.partition(".")
    return dataclasses.replace(config, **{name: with_field(getattr(config, name), rest, value) if rest else value})


def parse_field(config: Any, path: str, text: str) -> Any:
    """Parses `text` as a value of the field at a dotted path.

    Raises UserError if there is no such field, if it does not hold a single number or word, or if `text` is not a valid
    value for it.
    """
    owner, name = path.rpartition(".")[::2]
    try:
        parent = field_at(config, owner) if owner else config
        hint = typing.get_type_hints(type(parent))[name]
        field_at(parent, name)
    except (AttributeError, KeyError):
        paths = [p for p, _ in leaves(config)]
        near = difflib.get_close_matches(path, paths, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(paths)}"
        raise UserError(f"{config.id}: no field {path}: {hint}") from None
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


def leaves(config: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted path, value) of every field, descending into those that hold dataclasses."""
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            yield from leaves(value, f"{prefix}{field.name}.")
        else:
            yield prefix + field.name, value
