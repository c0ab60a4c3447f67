"""The weights that validated best so far."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxnets.training.state import TrainState

Array = jax.Array


class BestWeights(NamedTuple):
    """The weights of the best epoch so far by validation, each seed's own: leading axes [S]."""

    score: Array
    """The higher the better."""
    epoch: Array
    """Counted from 1; 0 before the first validation."""
    params: Any
    model_state: Any

    @property
    def variables(self) -> dict[str, Any]:
        """All of the model's variables, as Flax's `apply` takes them."""
        return {"params": self.params, **self.model_state}


def first_best(state: TrainState) -> BestWeights:
    """The best weights before any epoch: those of the state, with a score below all others."""
    return BestWeights(
        score=jnp.full_like(state.step, -jnp.inf, jnp.float32),
        epoch=jnp.zeros_like(state.step),
        # Copies: the state's own buffers are donated to the first step.
        params=jax.tree.map(jnp.copy, state.eval_params),
        model_state=jax.tree.map(jnp.copy, state.model_state),
    )


@jax.jit
def keep_best(best: BestWeights, state: TrainState, score: Array, epoch: int) -> BestWeights:
    """`best`, or for the seeds whose `score` [S] is higher, the weights of `state` from `epoch`.

    Of epochs with equal scores the last one counts: on few examples an accuracy is highest long before the net is sure.
    """
    better = (score > best.score) | ((score == best.score) & (state.failed_at < 0))
    candidate = BestWeights(score, jnp.full_like(best.epoch, epoch), state.eval_params, state.model_state)
    choose = lambda new, old: jnp.where(better.reshape((-1,) + (1,) * (old.ndim - 1)), new, old)
    return jax.tree.map(choose, candidate, best)
