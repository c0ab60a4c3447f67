"""Splits of own data: what they are called, and how those that are missing are drawn.

Where neither a validation nor a test split is given, 80 % of each class are for training, 10 % for validation and 10 % for
the test. Where only a test split is given, 10 % of each class of the training split become the validation split. Where only
a validation split is given, there is no test split. The draw is fixed: the same examples give the same splits.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from jaxnets.data.own.content import refuse
from jaxnets.data.phrases import count

NAMES: Mapping[str, tuple[str, ...]] = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing"),
}
"""What folders and files of each split may be called."""
_SHARE = 0.1
_SEED = 80_10_10


def split_of(name: str) -> str | None:
    """The split that a folder or file is called after; None if it is called something else.

    >>> split_of("Val"), split_of("cats")
    ('validation', None)
    """
    return next((split for split, names in NAMES.items() if name.lower() in names), None)


def held_out(given: Sequence[str]) -> tuple[str, ...]:
    """The splits that are drawn from the training split, where the splits `given` are there already."""
    if "validation" in given:
        return ()
    return ("validation",) if "test" in given else ("validation", "test")


def rule(given: Sequence[str], noun: str) -> str:
    """The rule in words, for the record; `noun` says what is split, such as "pictures of each class"."""
    drawn = held_out(given)
    if not drawn:
        return "as given"
    shares = " and ".join(f"10 % for {split}" for split in drawn)
    return f"{shares}, drawn at random from the {noun} (seed {_SEED}); the others as given or for training"


def stratified(
    path: Path | str, labels: np.ndarray, class_names: Sequence[str], given: Sequence[str], noun: str
) -> dict[str, np.ndarray]:
    """Indices of the training split and of those that are drawn from it: a tenth of each class, but at least one example.

    Args:
      path: of the source, for errors.
      labels: int [N], of all examples that are given for training.
      class_names: by label.
      given: the splits that are there already, "train" included.
      noun: what an example is, for errors.

    Raises:
      UserError: a class has too few examples for one in each of these splits.
    """
    drawn = held_out(given)
    rng = np.random.default_rng(_SEED)
    parts: dict[str, list[np.ndarray]] = {split: [] for split in ("train", *drawn)}
    for label, name in enumerate(class_names):
        members = rng.permutation(np.flatnonzero(labels == label))
        if len(members) <= len(drawn):
            raise refuse(
                path,
                f"class {name!r} has {count(len(members), noun)} to train on; it needs at least {len(drawn) + 1}, one for "
                f"each of {', '.join(parts)}",
            )
        size = max(1, round(_SHARE * len(members)))
        for i, split in enumerate(drawn):
            parts[split].append(members[i * size : (i + 1) * size])
        parts["train"].append(members[len(drawn) * size :])
    return {split: np.sort(np.concatenate(members)) for split, members in parts.items()}


def class_order(names: Sequence[str]) -> list[str]:
    """Different names in order: numbers by value, anything else by the alphabet.

    >>> class_order(["10", "9", "9"]), class_order(["dog", "cat"])
    (['9', '10'], ['cat', 'dog'])
    """
    different = set(names)
    return sorted(different, key=int) if all(name.isdecimal() for name in different) else sorted(different)
