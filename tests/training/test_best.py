"""Which epoch's weights are kept."""

import jax.numpy as jnp
import numpy as np

from jaxnets.training.best import BestWeights, keep_best
from jaxnets.training.state import TrainState


def kept_epochs(scores, failed_at):
    """The epoch kept for each seed, and the weights, which are the numbers of their epochs; scores [epochs, S]."""
    seeds = len(failed_at)
    best = BestWeights(jnp.full(seeds, -jnp.inf), jnp.zeros(seeds, jnp.int32), {"w": jnp.zeros((seeds, 2))}, {})
    for epoch, score in enumerate(scores, 1):
        fields = dict.fromkeys(TrainState._fields, ()) | {
            "params": {"w": jnp.full((seeds, 2), float(epoch))},
            "model_state": {},
            "failed_at": jnp.asarray(failed_at),
        }
        best = keep_best(best, TrainState(**fields), jnp.asarray(score, jnp.float32), epoch)
    np.testing.assert_array_equal(best.params["w"], np.repeat(best.epoch[:, None], 2, 1))
    return best.epoch.tolist()


def test_the_highest_score_is_kept_and_the_last_of_equals():
    assert kept_epochs([[0.5, 0.9], [0.7, 0.8], [0.6, 0.9], [0.7, 0.1]], [-1, -1]) == [4, 3]


def test_a_failed_seed_keeps_the_epoch_that_reached_its_score_first():
    assert kept_epochs([[0.5, 0.5], [0.7, 0.7], [0.7, 0.7]], [-1, 40]) == [3, 2]


def test_a_score_that_is_not_a_number_is_never_kept():
    assert kept_epochs([[0.5], [float("nan")], [0.4]], [-1]) == [1]
