"""Learning-rate schedules."""

from typing import Any

import optax

from jaxnets.config import Optim


def learning_rate(config: Optim, peak: Any, steps: int, steps_per_epoch: int) -> optax.Schedule:
    """The learning rate as a function of the number of updates made.

    >>> rate = learning_rate(Optim(schedule="linear", warmup_epochs=1), 1.0, steps=10, steps_per_epoch=2)
    >>> [round(float(rate(k)), 3) for k in (0, 1, 2, 6, 10)]
    [0.0, 0.5, 1.0, 0.5, 0.0]

    Args:
      config: names the schedule and the length of its warm-up.
      peak: the highest rate, a number or an array.
      steps: length of training.
      steps_per_epoch: what the warm-up is measured in.
    """
    warmup = min(steps, round(config.warmup_epochs * steps_per_epoch))
    rest = max(1, steps - warmup)
    decay = {
        "constant": lambda: optax.constant_schedule(peak),
        "cosine": lambda: optax.cosine_decay_schedule(peak, rest),
        "linear": lambda: optax.linear_schedule(peak, 0.0, rest),
    }[config.schedule]()
    if not warmup:
        return decay
    return optax.join_schedules([optax.linear_schedule(0.0, peak, warmup), decay], [warmup])
