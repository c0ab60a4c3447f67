"""The loss that classifiers minimize."""

import dataclasses

from jaxnets.config.fields import name_of


@dataclasses.dataclass(frozen=True)
class Loss:
    """The loss of models with one label for each example: images, reviews, visual words."""

    name: str = "cross_entropy"
    """cross_entropy, or a function "module:name" from logits [N, C] and targets [N, C], the probabilities of the classes, to
    losses [N]; in a config file, the function itself. Evaluation measures it too."""
    label_smoothing: float = 0.0
    """Share x in [0, 1) of the target that is spread evenly over all classes, in training alone (Szegedy et al. 2016)."""

    teacher: str = ""
    """Classifiers of images: a run, or a net that comes with jaxnets, whose seeds together teach this one: the mean of their
    probabilities for each training image as it is stored, computed once, whatever is done to the image here."""
    temperature: float = 4.0
    """Of teacher and net in the teacher's part of the loss, above 0: T in softmax(logits / T)."""
    teacher_share: float = 0.9
    """Share x in [0, 1] of the teacher's part: x · T² · KL(teacher ‖ net) + (1 - x) · the loss without it."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", name_of(self.name))
