"""Programs that are too large: noticed before they run, explained with a size that would fit."""

import contextlib
import dataclasses
import os
import re
import resource
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from jaxnets import config, registry
from jaxnets.data import catalog
from jaxnets.data.store import Dataset
from jaxnets.errors import UserError
from jaxnets.runs.progress import Reporter
from jaxnets.runs.train import train
from jaxnets.training import memory, parallel
from jaxnets.training.memory import Memory, OutOfMemory

GIGA = 10**9


LENET = registry.all_experiments()["cifar10/lenet/plain"]
LARGE = Memory(10 * GIGA, 9 * GIGA)  # 9 GB grow with the batch; of 4 GB, 3 are left for them: a third.


def sized(batch, grad_accumulation_steps=1, **changes):
    data = dataclasses.replace(LENET.data, batch_size=batch)
    return dataclasses.replace(LENET, data=data, grad_accumulation_steps=grad_accumulation_steps, **changes)


@pytest.mark.parametrize(
    ("error", "experiment", "message"),
    [
        (OutOfMemory(LARGE, 4 * GIGA), sized(1024), "--data.batch-size 256 should fit, or --grad-accumulation-steps 4 with"),
        (OutOfMemory(LARGE, 4 * GIGA), sized(1000), "--data.batch-size 256 should fit, or --grad-accumulation-steps 4 with"),
        (OutOfMemory(LARGE, 2 * GIGA), sized(1024), "--data.batch-size 32 should fit"),  # Half of a ninth.
        # The same memory for parts of 512 out of 1,024.
        (
            OutOfMemory(LARGE, 4 * GIGA),
            sized(1024, 2),
            "--data.batch-size 128 --grad-accumulation-steps 1 should fit, or --grad-accumulation-steps 8",
        ),
        (OutOfMemory(Memory(10 * GIGA, GIGA), 4 * GIGA), sized(64), "weights and data alone are too large; try fewer seeds"),
        (OutOfMemory(Memory(10 * GIGA, GIGA), 4 * GIGA), sized(64, grid={"optim.lr": (1.0,)}), "fewer settings or seeds"),
        (OutOfMemory(), sized(64), "out of memory: --data.batch-size 32 should fit, or --grad-accumulation-steps 2"),
        (OutOfMemory(), sized(1), "weights and data alone are too large"),
        (OutOfMemory(Memory(2 * GIGA, GIGA), GIGA, training=False), sized(64), r"\(2.0 GB needed, 1.0 GB available\)"),
        (OutOfMemory(), registry.all_experiments()["text/char_lm"], "--data.batch-size 16 should fit$"),
    ],
)
def test_the_message_names_a_size_that_fits_and_is_allowed(error, experiment, message):
    explanation = error.explain(experiment)
    assert re.search(message, explanation)
    batch, parts = re.search(r"batch-size (\d+)", explanation), re.search(r"or --grad-accumulation-steps (\d+)", explanation)
    if batch:
        smaller = dataclasses.replace(experiment.data, batch_size=int(batch[1]))
        config.validate(dataclasses.replace(experiment, data=smaller, grad_accumulation_steps=1))
    if parts:
        config.validate(dataclasses.replace(experiment, grad_accumulation_steps=int(parts[1])))


def test_the_runtimes_own_error_is_understood():
    import jax

    with pytest.raises(OutOfMemory), memory.watched():
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 7 bytes.")
    with pytest.raises(jax.errors.JaxRuntimeError, match="INTERNAL"), memory.watched():
        raise jax.errors.JaxRuntimeError("INTERNAL: something else")


@pytest.mark.parametrize(
    ("files", "limit"),
    [
        ({}, None),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "max\n"}, None),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "5000\n"}, 5000),
        ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/memory.max": "7\n", "sys/fs/cgroup/a/b/memory.max": "8\n"}, 7),
        ({"proc/self/cgroup": "4:memory:/docker/1\n", "sys/fs/cgroup/memory/memory.limit_in_bytes": "6000\n"}, 6000),
        ({"proc/self/cgroup": "1:cpu:/\n", "sys/fs/cgroup/memory.max": "9\n"}, None),
    ],
)
def test_a_containers_limit_is_the_limit(tmp_path, files, limit):
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert memory.host_limit(tmp_path) == (limit or machine)


def test_a_processs_own_limit_is_the_limit(monkeypatch):
    monkeypatch.setattr(resource, "getrlimit", lambda which: (10_000, 10_000))
    assert memory.host_limit() == 1


def test_addresses_that_the_compiler_needs_are_asked_for_first(monkeypatch):
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    for left, enough in ((500, False), (2000, True)):
        monkeypatch.setattr(resource, "getrlimit", lambda which, left=left: (taken + left * 10**6, -1))
        with contextlib.nullcontext() if enough else pytest.raises(UserError, match=r"can map only \d+ MB more.*ulimit -v"):
            memory.check_addresses()
        assert memory.host_limit() <= max(1, (left - 600) * 10**6 + 50_000_000)
    monkeypatch.setattr(resource, "getrlimit", lambda which: (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    memory.check_addresses()


def test_a_run_that_cannot_fit_says_so_before_it_trains(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    splits = {
        split: {
            "image": rng.integers(0, 256, (examples, 32, 32, 3), np.uint8),
            "label": np.arange(examples, dtype=np.int32) % 10,
        }
        for split, examples in (("train", 2048), ("validation", 50), ("test", 50))
    }
    images = Dataset("noise", splits, {"class_names": list("abcdefghij"), "mean": [0.5] * 3, "std": [0.5] * 3})
    monkeypatch.setattr(catalog, "open_dataset", lambda name, synthetic: images)
    lenet = registry.all_experiments()["cifar10/lenet/plain"]
    data = dataclasses.replace(lenet.data, source="synthetic", batch_size=2048)
    large = dataclasses.replace(lenet, data=data, seeds=1, steps=2)
    with monkeypatch.context() as patch:
        patch.setattr(parallel, "memory_limit", lambda devices: 60_000_000)
        with pytest.raises(UserError, match=r"out of memory \(.* 60 MB available\).*--data.batch-size \d+ should fit"):
            train(large, tmp_path, Reporter(Console(quiet=True)))
    # The advice can be followed in the same folder.
    train(dataclasses.replace(large, grad_accumulation_steps=16), tmp_path, Reporter(Console(quiet=True)))
    assert (tmp_path / "summary.json").exists()
