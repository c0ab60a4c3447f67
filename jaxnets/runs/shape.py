"""Shapes of JSON: what a file must hold before anything is done with it."""

from typing import Any

Number = (int, float, None)
"""null stands for NaN and infinity, which JSON does not have."""
ABSENT = object()
"""Among the alternatives for a field: it may be missing."""
_SPREAD = {"values": [Number], "mean": Number, "std": Number, "n": int}
SUMMARY = {
    **dict.fromkeys(("id", "dataset", "select"), str),
    **dict.fromkeys(("seeds", "epochs", "steps", "parameters"), int),
    **dict.fromkeys(("examples_per_second", "peak_memory_bytes"), Number),
    "synthetic": bool,
    "class_names": [str],
    "final": {str: {str: _SPREAD}},
    "details": {str: {str: (list, dict)}},
    "initial_loss": (_SPREAD, None),
    "best_epoch": [int],
    "failed_at": [int],
    "refused": ([int], ABSENT),
    "devices": (int, ABSENT),
    "seconds": {"total": Number, "train": Number},
    "reported": {str: Number},
}
_METRICS = {str: [Number]}
EPOCH = {"epoch": int, "step": int, "train": _METRICS, "validation": _METRICS, "refused": ([int], ABSENT)}
STEP = {"step": int, "loss": [Number]}
ENVIRONMENT = {"versions": {str: str}, "devices": dict, "processor": str, "commit": (str, None), "settings": dict}


def mismatch(value: Any, shape: Any, where: str = "") -> str:
    """Where and how `value` differs from `shape`, in a few words; empty if it does not.

    A shape is a type; None; a tuple of alternatives; a list with the shape of all items; a dict of the shapes of fields that
    must be there unless ABSENT is an alternative, or with the key `str`, of all fields.

    >>> mismatch({"loss": [2.3, None], "step": 1}, {"loss": [Number], "step": int})
    ''
    >>> mismatch({"loss": [2.3, "x"]}, {"loss": [Number], "step": int})
    'loss[1] is str; step is missing'
    """
    if isinstance(shape, tuple):
        found = [mismatch(value, alternative, where) for alternative in shape if alternative is not ABSENT]
        return min(found, key=bool) and found[0]
    if isinstance(shape, dict):
        if not isinstance(value, dict):
            return _wrong(value, where)
        if str in shape:
            shape = dict.fromkeys(value, shape[str])
        paths = {key: f"{where}.{key}" if where else str(key) for key in shape}
        parts = [
            mismatch(value[key], shape[key], path) if key in value else f"{path} is missing"
            for key, path in paths.items()
            if key in value or not (isinstance(shape[key], tuple) and ABSENT in shape[key])
        ]
    elif isinstance(shape, list):
        if not isinstance(value, list):
            return _wrong(value, where)
        parts = [mismatch(item, shape[0], f"{where}[{i}]") for i, item in enumerate(value)]
    elif shape is None:
        return "" if value is None else _wrong(value, where)
    else:
        is_one = isinstance(value, shape) and (shape is bool or not isinstance(value, bool))
        return "" if is_one else _wrong(value, where)
    return "; ".join(filter(None, parts))


def _wrong(value: Any, where: str) -> str:
    return f"{where or 'it'} is {'null' if value is None else type(value).__name__}"
