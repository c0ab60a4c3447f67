"""What an experiment asks for, with its data at hand: the parts that differ between images, text and what else may come."""

from jaxnets.config import BowData, Experiment, ImageData, NameData, PairData, ReviewData, TextData
from jaxnets.data.store import Prepared
from jaxnets.problems import images, names, pairs, reviews, running_text, scenes
from jaxnets.problems.problem import Generated, Problem

__all__ = ["Generated", "Problem", "build"]

_BUILDERS = {
    ImageData: images.build,
    BowData: scenes.build,
    NameData: names.build,
    TextData: running_text.build,
    ReviewData: reviews.build,
    PairData: pairs.build,
}


def build(experiment: Experiment, data: Prepared) -> Problem:
    """The problem for `experiment.data`'s kind. Raises UserError for sizes that do not fit."""
    return _BUILDERS[type(experiment.data)](experiment, data)
