"""Translation: the share of true words by epoch, and what is judged in a quick look."""

import dataclasses

import jax
import numpy as np
import pytest

from jaxnets import registry
from jaxnets.data import catalog
from jaxnets.tasks import task as tasks
from jaxnets.tasks import translation

BASE = registry.all_experiments()["translate/best"]


@pytest.fixture(scope="module")
def pairs():
    return catalog.open_dataset(BASE.data.synthetic, BASE.data.synthetic)


@pytest.mark.parametrize("length", [{"epochs": 5}, {"epochs": 50, "steps": 110}, {"epochs": 1, "steps": 130}])
def test_the_share_of_true_words_ends_where_training_ends(pairs, length):
    """Whether its length is given in epochs or in steps."""
    data = dataclasses.replace(BASE.data, teacher_forcing=(1.0, 0.25))
    experiment = dataclasses.replace(BASE, data=data, **length)
    loader = tasks.build(experiment, pairs).train_loader
    last = (experiment.total_steps(loader.steps) - 1) // loader.steps
    assert last > 0
    shares = [float(loader.epoch_indices(jax.random.key(0), epoch)[1][0]) for epoch in (0, last)]
    assert shares == [1.0, 0.25]


def test_a_quick_look_judges_the_pairs_of_the_other_metrics(pairs, monkeypatch):
    judged = []

    def translate(self, source, lengths):
        judged.append(np.asarray(source))
        return ["a"] * len(source)

    monkeypatch.setattr(translation.Predictor, "translate_tokens", translate)
    for examples in (None, 7):
        experiment = dataclasses.replace(BASE, eval_examples=examples, eval_batch_size=3)
        task = tasks.build(experiment, pairs)
        translation._generate(experiment, pairs, None, None, None)
        for split, sources in zip(pairs.splits, judged[-len(pairs.splits) :], strict=True):
            if examples is None:  # As many of each split as there are in the test split.
                assert len(sources) == min(pairs.examples(split), pairs.examples("test"))
                continue
            places = task.eval_loader(split).epoch_indices(None, 0)
            chosen = np.asarray(places["index"])[np.asarray(places["mask"]) > 0]
            np.testing.assert_array_equal(sources, pairs.splits[split]["source"][chosen])
