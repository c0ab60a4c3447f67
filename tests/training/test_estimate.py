"""Estimates of training, on the device that is here."""

from dataclasses import replace

import jax
import pytest

from jaxnets import registry
from jaxnets.data import catalog
from jaxnets.errors import UserError
from jaxnets.training import accelerators, estimate, hlo
from jaxnets.training.memory import Memory, OutOfMemory

MLP = registry.all_experiments()["nist36/mlp"]


def of(experiment):
    return estimate.estimate(experiment, catalog.get(experiment.dataset).element_spec(), accelerators.CPU)


def test_an_experiment_in_numbers():
    one, two = of(replace(MLP, seeds=1)), of(replace(MLP, seeds=2))
    steps = one.steps_per_epoch
    batch, parameters = MLP.data.batch_size, 1024 * MLP.model.hidden[0] + MLP.model.hidden[0] * 36
    # Forward, the gradient of all weights, the gradient of the hidden layer.
    assert one.flops == 2 * batch * (2 * parameters + 36 * MLP.model.hidden[0])
    assert two.flops == 2 * one.flops
    assert two.kernels == pytest.approx(2 * one.kernels, rel=0.1)  # Seeds take turns on a CPU.
    assert one.launches_per_epoch == round(one.kernels * steps)
    assert one.epochs == MLP.epochs
    spec = catalog.get(MLP.dataset).element_spec()
    images = sum(spec.splits[split]["image"].nbytes for split in ("train", "validation"))
    assert images < one.needed.total < two.needed.total < 3 * images
    assert one.fits
    assert 0 < one.fastest < one.slowest


def test_nothing_is_left_in_the_cache_that_cannot_be_read_again(monkeypatch):
    """JAX would warn at the second reading, and a run would then empty the cache as damaged."""
    setting = lambda: jax.config.values["jax_persistent_cache_min_compile_time_secs"]
    before, seen, compile_ = setting(), [], jax.stages.Lowered.compile
    monkeypatch.setattr(jax.stages.Lowered, "compile", lambda self: seen.append(setting()) or compile_(self))
    of(replace(MLP, seeds=1))
    assert seen == [1e9]
    assert setting() == before


def test_time_lies_between_all_at_once_and_one_after_the_other():
    device = accelerators.KNOWN["h100"]
    costs = hlo.ProgramCosts(kernels=100, bytes=3.352e9, collective_bytes=4.5e8)
    fastest, slowest = estimate._seconds(device, 989.4e9, costs, "bfloat16")
    assert fastest == pytest.approx(1e-3)  # A millisecond of each.
    assert slowest == pytest.approx(1e-3 + 1e-3 + 2 * 1e-3 + 100 * 5e-6)
    assert estimate._seconds(device, 989.4e9, costs, "float32")[0] == pytest.approx(2e-3)


def test_what_a_tpus_compiler_says_of_memory_is_read():
    refused = RuntimeError("RESOURCE_EXHAUSTED: XLA:TPU compile permanent error. Used 20.10G of 15.75G hbm. Exceeded by 4G.")
    with pytest.raises(OutOfMemory) as found:
        estimate._raise_with_sizes(refused)
    assert found.value.memory == Memory(int(20.1 * 2**30))
    assert found.value.limit == int(15.75 * 2**30)
    estimate._raise_with_sizes(RuntimeError("INTERNAL: something else"))


def test_devices_that_cannot_share_the_work(monkeypatch):
    from jaxnets.training import parallel

    monkeypatch.setattr(accelerators, "devices", lambda name, count: list(parallel.make_mesh().devices.flat)[:count])
    odd = replace(MLP, seeds=3, data=replace(MLP.data, batch_size=31))
    with pytest.raises(UserError, match="neither 3 seeds nor batches of 31 can be shared by 4 devices evenly"):
        estimate.estimate(odd, catalog.get(MLP.dataset).element_spec(), accelerators.CPU, 4)
