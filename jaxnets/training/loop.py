"""The training loop of one epoch."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax

from jaxnets.tasks.metrics import Metrics
from jaxnets.training import parallel
from jaxnets.training.engine import Engine
from jaxnets.training.state import TrainState


class Progress(NamedTuple):
    """Where the loop is after a call of the compiled program."""

    state: TrainState
    step: int
    """Steps of the epoch that have been dispatched; the device may still be working on the last ones."""
    metrics: list[tuple[int, Metrics]]
    """What has arrived from the device since the last time: (steps of the epoch before these, metrics [S, K] in NumPy)."""
    is_complete: bool
    """Whether the metrics of all steps up to `step` have arrived, so that the state can be saved."""


def train_epoch(
    engine: Engine,
    state: TrainState,
    epoch: int,
    *,
    start: int = 0,
    stop: int | None = None,
    pause: Callable[[], bool] = lambda: False,
) -> Iterator[Progress]:
    """Trains from step `start` of an epoch to step `stop`, by default to its end.

    Yields after every call of the compiled program, which takes several steps. Metrics are read one call late, while the
    device is busy with the next, so that it never waits. After the last call, and whenever `pause()` is true, the loop
    waits for them: then `Progress.is_complete`.

    >>> for progress in train_epoch(engine, engine.init(), epoch=0):  # doctest: +SKIP
    ...     state = progress.state
    """
    stop = engine.steps_per_epoch if stop is None else stop
    indices = engine.epoch_indices(state.key, epoch)
    size = parallel.steps_per_call(engine.steps_per_epoch, engine.layout.platform)
    pending: list[tuple[int, Any]] = []
    for first in range(start, stop, size):
        last = min(first + size, stop)
        state, metrics = engine.train(state, jax.tree.map(lambda x: x[:, first:last], indices))  # noqa: B023
        arrived, pending = pending, [(first, metrics)]
        if last == stop or pause():
            arrived, pending = arrived + pending, []
        fetched = [(before, parallel.fetch(metrics)) for before, metrics in arrived]
        yield Progress(state, last, fetched, is_complete=not pending)
