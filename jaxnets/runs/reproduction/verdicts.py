"""Reported figures against ours: a report's figure is one draw, and so would be one more seed of ours."""

import math
from typing import Literal

from jaxnets.runs.reproduction.evidence import COSTS, Evidence
from jaxnets.runs.statistics import prediction_interval

Verdict = Literal["reproduced", "reproduced (fitted)", "ours higher", "ours lower", "undecided", "not run", "other data", ""]
"""An empty one for what cannot be compared: figures that are not reported, and costs, which are the hardware's."""


def verdict(evidence: Evidence, measure: str, reported: float | None) -> Verdict:
    """Whether a reported figure falls into the 95 % prediction interval of one further seed of ours.

    It is undecided with one value, with equal ones, which have no such interval, and with two whose interval, 31 standard
    deviations wide, has the figure in it. The number of parameters has to be equal. A figure to which a setting was fitted
    (see `Experiment.fitted`) is "reproduced (fitted)": the agreement explains it.
    """
    if reported is None or measure in COSTS:
        return ""
    values = evidence.values(measure)
    if not values or (evidence.departs(measure) and not evidence.dataset):
        return "not run"
    if evidence.dataset:
        return "other data"
    if measure == "parameters":
        low = high = values[0]
    else:
        low, high = prediction_interval(values)
        if math.isinf(low):
            return "undecided"
    if low <= reported <= high:
        if len(values) == 2:
            return "undecided"
        return "reproduced (fitted)" if evidence.fitted_to(measure) else "reproduced"
    return "ours higher" if reported < low else "ours lower"
