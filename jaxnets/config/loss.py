"""The loss that classifiers minimize."""

import dataclasses

from jaxnets.config.fields import name_of


@dataclasses.dataclass(frozen=True)
class Loss:
    """The loss of models with one label for each example: images, reviews, visual words."""

    name: str = "cross_entropy"
    """cross_entropy, or a function "module:name" from logits [N, C] and targets [N, C], the probabilities of the classes, to
    losses [N], for which a config file gives the function itself. Evaluation measures it too."""
    label_smoothing: float = 0.0
    """Share x in [0, 1) of the target that is spread evenly over all classes, in training alone (Szegedy et al. 2016)."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", name_of(self.name))
