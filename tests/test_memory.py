"""Programs that are too large: noticed before they run, explained with a size that would fit."""

import dataclasses
import re

import pytest
from rich.console import Console

from jaxnets import catalogue, config, memory, parallel
from jaxnets.errors import UserError
from jaxnets.memory import Memory, OutOfMemory
from jaxnets.progress import Reporter
from jaxnets.train import train

GIGA = 10**9


LENET = catalogue.all_experiments()["cifar10/lenet/plain"]
LARGE = Memory(10 * GIGA, 9 * GIGA)  # 9 GB grow with the batch; of 4 GB, 3 are left for them: a third.


def sized(batch, parts=1, **changes):
    return dataclasses.replace(LENET, data=dataclasses.replace(LENET.data, batch_size=batch), accumulate=parts, **changes)


@pytest.mark.parametrize(
    ("error", "experiment", "message"),
    [
        (OutOfMemory(LARGE, 4 * GIGA), sized(1024), "--data.batch-size 256 should fit, or --accumulate 4 with"),
        (OutOfMemory(LARGE, 4 * GIGA), sized(1000), "--data.batch-size 256 should fit, or --accumulate 4 with"),
        # The same memory for parts of 512 out of 1,024.
        (OutOfMemory(LARGE, 4 * GIGA), sized(1024, 2), "--data.batch-size 128 --accumulate 1 should fit, or --accumulate 8"),
        (OutOfMemory(Memory(10 * GIGA, GIGA), 4 * GIGA), sized(64), "weights and data alone are too large; try fewer seeds"),
        (OutOfMemory(Memory(10 * GIGA, GIGA), 4 * GIGA), sized(64, grid={"optim.lr": (1.0,)}), "fewer settings or seeds"),
        (OutOfMemory(), sized(64), "out of memory: --data.batch-size 32 should fit, or --accumulate 2"),
        (OutOfMemory(), sized(1), "weights and data alone are too large"),
        (OutOfMemory(Memory(2 * GIGA, GIGA), GIGA, training=False), sized(64), r"\(2.0 GB needed, 1.0 GB there\) beside"),
        (OutOfMemory(), catalogue.all_experiments()["text/char_lm"], "--data.batch-size 16 should fit$"),
    ],
)
def test_the_message_names_a_size_that_fits_and_is_allowed(error, experiment, message):
    found = error.explain(experiment)
    assert re.search(message, found)
    batch, parts = re.search(r"batch-size (\d+)", found), re.search(r"or --accumulate (\d+)", found)
    if batch:
        smaller = dataclasses.replace(experiment.data, batch_size=int(batch[1]))
        config.validate(dataclasses.replace(experiment, data=smaller, accumulate=1))
    if parts:
        config.validate(dataclasses.replace(experiment, accumulate=int(parts[1])))


def test_the_runtimes_own_error_is_understood():
    import jax

    with pytest.raises(OutOfMemory), memory.watched():
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 7 bytes.")
    with pytest.raises(jax.errors.JaxRuntimeError, match="INTERNAL"), memory.watched():
        raise jax.errors.JaxRuntimeError("INTERNAL: something else")


@pytest.mark.usefixtures("shapes10")
def test_a_run_that_cannot_fit_says_so_before_it_trains(tmp_path, monkeypatch):
    monkeypatch.setattr(parallel, "memory_limit", lambda: 60_000_000)
    lenet = catalogue.all_experiments()["cifar10/lenet/plain"]
    data = dataclasses.replace(lenet.data, source="embedded", batch_size=2048)
    large = dataclasses.replace(lenet, data=data, seeds=1, steps=2)
    with pytest.raises(UserError, match=r"out of memory \(.* 0.1 GB there\).*--data.batch-size \d+ should fit"):
        train(large, tmp_path, Reporter(Console(quiet=True)))
    # The advice can be followed in the same folder.
    monkeypatch.undo()
    train(dataclasses.replace(large, accumulate=16), tmp_path, Reporter(Console(quiet=True)))
    assert (tmp_path / "summary.json").exists()
