"""Means over seeds."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

Json = dict[str, Any]


def mean_std(values: Sequence[float]) -> Json:
    """{"values", "mean", "std", "n"} over the seeds that came to a finite result; std is the sample's (n - 1).

    >>> mean_std([1.0, 3.0])
    {'values': [1.0, 3.0], 'mean': 2.0, 'std': 1.4142135623730951, 'n': 2}
    """
    finite = [float(v) for v in values if math.isfinite(v)]
    return {
        "values": [float(v) for v in values],
        "mean": float(np.mean(finite)) if finite else math.nan,
        "std": float(np.std(finite, ddof=1)) if len(finite) > 1 else math.nan,
        "n": len(finite),
    }
