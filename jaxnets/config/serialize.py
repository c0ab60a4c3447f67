"""The JSON form of configs."""

import dataclasses
import typing
from collections.abc import Iterator, Mapping
from typing import Any

from jaxnets.config.fields import type_hints
from jaxnets.errors import UserError


def to_json(config: Any) -> Any:
    """Converts a config to plain dicts, lists and numbers. A dataclass becomes a dict with its class name as "type"."""
    if dataclasses.is_dataclass(config) and not isinstance(config, type):
        fields = {field.name: to_json(getattr(config, field.name)) for field in dataclasses.fields(config)}
        return {"type": type(config).__name__, **fields}
    if isinstance(config, Mapping):
        return {key: to_json(value) for key, value in config.items()}
    if isinstance(config, tuple | list):
        return [to_json(value) for value in config]
    return config


def from_json(kind: Any, value: Any) -> Any:
    """The inverse of `to_json`: an object of type `kind`, which is a dataclass, a tuple, a mapping or a plain type.

    A dict whose "type" names a subclass of `kind` becomes an object of that subclass. Keys that are not fields of the class
    are ignored. Raises UserError if there is no such subclass, for example because the config file that defines it has not
    been loaded.
    """
    if dataclasses.is_dataclass(kind):
        kind = _subclass(kind, value["type"])
        hints = type_hints(kind)
        names = {field.name for field in dataclasses.fields(kind)}
        return kind(**{name: from_json(hints[name], item) for name, item in value.items() if name in names})
    inner = typing.get_args(kind)
    if isinstance(value, dict) and inner:
        return {key: from_json(inner[-1], item) for key, item in value.items()}
    if isinstance(value, list):
        return tuple(from_json(inner[0] if inner else Any, item) for item in value)
    return value


def _subclass(base: Any, name: str) -> Any:
    """The class called `name` among `base` and its subclasses. If there are several, the one defined last."""
    candidates = [kind for kind in _with_subclasses(base) if kind.__name__ == name]
    if not candidates:
        raise UserError(f"there is no {base.__name__} called {name!r}; load the config file that defines it first")
    return candidates[-1]


def _with_subclasses(base: Any) -> Iterator[Any]:
    yield base
    for subclass in base.__subclasses__():
        yield from _with_subclasses(subclass)


def differences(ours: Any, theirs: Any, path: str = "") -> list[str]:
    """Where two JSON forms differ, one readable item each: "optim.lr (0.001 there, 0.01 here)"."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        keys = sorted(ours.keys() | theirs.keys())
        return [
            item for key in keys for item in differences(ours.get(key), theirs.get(key), f"{path}.{key}" if path else key)
        ]
    return [] if ours == theirs else [f"{path} ({theirs} there, {ours} here)"]
