"""Trained nets, read back from their run folders, and what they can be asked."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxnets import program
from jaxnets.checkpoint import Checkpoints, Snapshot
from jaxnets.config import Experiment
from jaxnets.data import sets
from jaxnets.data.store import Prepared
from jaxnets.errors import UserError
from jaxnets.fields import with_field
from jaxnets.memory import OutOfMemory
from jaxnets.problems import images, names, pairs, reviews, running_text
from jaxnets.record import RunFolder
from jaxnets.train import first_best


class Trained(NamedTuple):
    """One replica of a run, with the data set's vocabularies and names."""

    experiment: Experiment
    model: Any
    variables: Any
    data: Prepared

    def continue_text(self, prompt: str, length: int, keys: jax.Array, temperature: float, beam: int) -> list[str]:
        """A text for each key that goes on from `prompt`; only one, the likeliest, with a `beam`."""
        return [
            running_text.continue_text(self.model, self.variables, self.data.meta, prompt, length, key, temperature, beam)
            for key in (keys[:1] if beam else keys)
        ]

    def sample_names(self, category: str | None, start: str, key: jax.Array, number: int, temperature: float) -> list[str]:
        """Names that begin with `start`. Raises UserError for a category or a letter that the net does not know."""
        conditional = self.experiment.model.conditional  # type: ignore[union-attr]
        if conditional and category is None:
            raise UserError(f"this net needs --category: choose from {', '.join(self.data.meta['categories'])}")
        if category is not None and not conditional:
            raise UserError("this net was trained without categories: leave --category out")
        chosen = names.category_number(self.data.meta, category) if category is not None else 0
        categories = jnp.full((number,), chosen)
        return names.sample(self.model, self.variables, self.data.meta, [start] * number, categories, key, temperature)

    def classify(self, texts: Sequence[str]) -> list[dict[str, float]]:
        """Probabilities by class, for each text."""
        return reviews.classify(self.model, self.variables, self.data.meta, self.experiment.data, texts)  # type: ignore[arg-type]

    def classify_images(self, pictures: np.ndarray) -> np.ndarray:
        """Probabilities [N, classes] for uint8 images [N, H, W, C] such as those of the data set."""
        return images.classify(self.model, self.variables, self.data.meta, self.experiment.data, pictures)  # type: ignore[arg-type]

    def translate(self, sentences: Sequence[str], beam: int) -> list[str]:
        """A translation of each sentence."""
        return pairs.translate(self.model, self.variables, self.data.meta, sentences, beam)


def load(folder: Path, replica: int = 0) -> Trained:
    """The net of a run folder: its best weights by validation, or its last, as the experiment says.

    Raises UserError for a folder without a checkpoint, a replica that is not there, and data that is not prepared.
    """
    run = RunFolder(folder)
    experiment = run.experiment()
    if not 0 <= replica < experiment.seeds:
        raise UserError(f"{folder} has replicas 0 to {experiment.seeds - 1}, not {replica}")
    data = sets.open_set(experiment.dataset)
    # The checkpoint holds all weights: none are fetched to be replaced.
    scratch = with_field(experiment, "model.weights", "none") if hasattr(experiment.model, "weights") else experiment
    built = program.build(scratch, data)
    try:
        state = built.init()
    except OutOfMemory as error:
        raise UserError(error.explain(experiment)) from error
    checkpoints = Checkpoints(folder / "checkpoints")
    try:
        snapshot, _ = checkpoints.restore(Snapshot(state, tuple(first_best(state)), {}))
    finally:
        checkpoints.close()
    if snapshot is None:
        raise UserError(f"{folder} has no checkpoint yet: train longer, or choose another folder")
    _, _, params, variables = snapshot.best
    if experiment.select == "last":
        params, variables = snapshot.latest.params, snapshot.latest.variables
    variables = {"params": params, **variables}
    return Trained(experiment, built.model, jax.tree.map(lambda x: x[replica], variables), data)
