"""Programs that are too large: noticed before they run, explained with a size that would fit."""

import dataclasses
import re

import pytest
from rich.console import Console

from jaxnets import catalogue, memory, parallel
from jaxnets.errors import UserError
from jaxnets.memory import Memory, OutOfMemory
from jaxnets.progress import Reporter
from jaxnets.train import train

GIGA = 10**9


@pytest.mark.parametrize(
    ("error", "batch", "parts", "message"),
    [
        # 9 GB grow with 1,024 examples; 3 of 4 GB are left for them: a third.
        (OutOfMemory(Memory(10 * GIGA, 9 * GIGA), 4 * GIGA), 1024, 1, "--data.batch-size 256 .* --accumulate 4 with"),
        (OutOfMemory(Memory(10 * GIGA, 9 * GIGA), 4 * GIGA), 1000, 1, "--data.batch-size 256 .* --accumulate 4 with"),
        # The same memory for parts of 512 out of 1,024.
        (OutOfMemory(Memory(10 * GIGA, 9 * GIGA), 4 * GIGA), 1024, 2, "--data.batch-size 128 .* --accumulate 8 with"),
        (OutOfMemory(Memory(10 * GIGA, GIGA), 4 * GIGA), 64, 1, "weights and data alone are too large"),
        (OutOfMemory(), 64, 1, "out of memory: --data.batch-size 32 should fit, or --accumulate 2"),
        (OutOfMemory(), 1, 1, "weights and data alone are too large"),
        (OutOfMemory(Memory(2 * GIGA, GIGA), GIGA, training=False), 64, 1, r"\(2.0 GB needed, 1.0 GB there\) in evaluation"),
    ],
)
def test_the_message_names_a_size_that_fits(error, batch, parts, message):

    assert re.search(message, error.explain("some/id", batch, parts))


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
    with pytest.raises(UserError, match=r"out of memory \(.* 0.1 GB there\).*--data.batch-size \d+ should fit"):
        train(dataclasses.replace(lenet, data=data, seeds=1, steps=2), tmp_path, Reporter(Console(quiet=True)))
