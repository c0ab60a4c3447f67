"""A dozen training programs compiled for an H100 and for a TPU v5e, one and four of them, without either.

Bounds lie a tenth above what the compilers made of them: a change that costs launches or memory is seen. Steps are those of
a whole epoch in one call. `make test-accelerators` has the compilers; elsewhere this is skipped.
"""

import os

import jax
import pytest

from jaxnets import registry
from jaxnets.config import with_field
from jaxnets.data import catalog
from jaxnets.errors import UserError
from jaxnets.training import accelerators, estimate

CHOSEN = {
    # (experiment, seeds, device): (split, kernels a step, megabytes of one device)
    ("cifar10/lenet/plain", 1, "h100"): ("seeds", 79, 162),
    ("cifar10/lenet/bn", 3, "h100"): ("seeds", 126, 178),
    ("cifar10/lenet/bn", 4, "h100:4"): ("seeds", 128, 163),
    ("cifar10/small_cnn", 1, "h100"): ("seeds", 132, 195),
    ("nist36/mlp", 1, "h100"): ("seeds", 32, 17),
    ("nist36/mlp", 1, "h100:4"): ("batch", 42, 17),
    ("nist36/autoencoder", 1, "h100"): ("seeds", 47, 16),
    ("mnist_rows/lstm_128", 1, "h100"): ("seeds", 369, 62),
    ("mnist_rows/gru_128", 1, "h100"): ("seeds", 364, 60),
    ("names/char_rnn", 1, "h100"): ("seeds", 193, 7),
    ("translate/gru", 1, "h100"): ("seeds", 326, 93),
    ("imdb/lstm", 1, "h100"): ("seeds", 3638, 230),
    ("nist36/mlp", 1, "v5e"): ("seeds", 51, 17),
    ("nist36/mlp", 1, "v5e:4"): ("batch", 56, 16),
}


@pytest.mark.skipif(
    not os.environ.get("JAXNETS_TEST_ACCELERATORS"), reason="make test-accelerators compiles for GPUs and TPUs, in minutes"
)
@pytest.mark.parametrize(("id_", "seeds", "on"), CHOSEN, ids=lambda value: str(value))
def test_programs_compile_within_bounds(id_, seeds, on):
    name, count = accelerators.parse(on)
    if plugin := accelerators.missing(name):
        pytest.skip(f"{plugin} is not installed")
    split, kernels, megabytes = CHOSEN[id_, seeds, on]
    experiment = with_field(registry.all_experiments()[id_], "seeds", seeds)
    found = estimate.estimate(experiment, catalog.get(experiment.dataset).element_spec(), name, count)
    assert found.split == split
    assert found.kernels <= 1.1 * kernels
    assert found.needed.total <= 1.1e6 * megabytes
    assert found.fits
    # What is split is shared, and is exchanged where that is needed.
    assert (found.collective_bytes > 0) == (split == "batch")


def test_a_card_is_described_by_what_xla_asks():
    text = accelerators._target(accelerators.KNOWN["a100"], accelerators.KNOWN["a100"].gpu)
    for fact in (
        "core_count: 108",
        "cuda_compute_capability { major: 8 minor: 0 }",
        'platform_name: "CUDA"',
        "runtime_version",
    ):
        assert fact in text
    assert text.count("{") == text.count("}")


@pytest.mark.parametrize("name", accelerators.KNOWN)
def test_figures_are_of_the_right_size(name):
    """Gigabytes, terabytes a second, and products in bfloat16 at least as fast as in float32."""
    device = accelerators.get(name)
    assert 1.5e10 < device.memory < 2e11
    assert 5e11 < device.bandwidth < 1e13
    assert 50 < device.tera["float32"] <= device.tera["bfloat16"] < 2000
    assert device.link < device.bandwidth
    assert (name, 4) == accelerators.parse(f"{name}:4")


def test_the_processor_of_this_machine_is_a_device_too():
    [device] = accelerators.devices(accelerators.CPU)
    assert device == jax.devices()[0]
    assert accelerators.parse("cpu") == ("cpu", 1)
    with pytest.raises(UserError, match="unknown device 'cuda'"):
        accelerators.parse("cuda")
