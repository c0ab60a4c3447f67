"""Variables by name, as files of weights have them: "params/conv1/kernel" is what is at that place in the tree."""

from collections.abc import Mapping
from typing import Any

from flax import traverse_util


def by_name(variables: Mapping[str, Any]) -> dict[str, Any]:
    """The leaves of a tree of mappings by their places.

    >>> by_name({"params": {"head": {"bias": 1, "kernel": 2}}})
    {'params/head/bias': 1, 'params/head/kernel': 2}
    """
    return traverse_util.flatten_dict(dict(variables), sep="/")


def as_tree(named: Mapping[str, Any]) -> dict[str, Any]:
    """The tree of which `by_name` gives the leaves."""
    return traverse_util.unflatten_dict(dict(named), sep="/")
