"""A dozen training programs compiled for an H100 and for a TPU v5e, one and four of them, without either.

Bounds lie a tenth above what the compilers made of them: a change that costs launches or memory is seen. Steps are those of
a whole epoch in one call. `make test-accelerators` has the compilers; elsewhere this is skipped.
"""

import os
import subprocess
import sys

import jax
import pytest

from jaxnets import registry
from jaxnets.config import with_field
from jaxnets.data import catalog
from jaxnets.errors import UserError
from jaxnets.nn.cells import CELLS
from jaxnets.nn.rnn import rnn_scan
from jaxnets.training import accelerators, estimate, hlo, parallel

CHOSEN = {
    # (experiment, seeds, device): (split, kernels a step, megabytes of one device)
    ("cifar10/lenet/plain", 1, "h100"): ("seeds", 49, 164),
    ("cifar10/lenet/bn", 3, "h100"): ("seeds", 89, 190),
    ("cifar10/lenet/bn", 4, "h100:4"): ("seeds", 72, 167),
    ("cifar10/small_cnn", 1, "h100"): ("seeds", 93, 187),
    ("nist36/mlp", 1, "h100"): ("seeds", 25, 17),
    ("nist36/mlp", 1, "h100:4"): ("batch", 34, 17),
    ("nist36/autoencoder", 1, "h100"): ("seeds", 36, 17),
    ("mnist_rows/lstm_128", 1, "h100"): ("seeds", 199, 62),
    ("mnist_rows/gru_128", 1, "h100"): ("seeds", 197, 63),
    ("names/char_rnn", 1, "h100"): ("seeds", 133, 7),
    ("translate/gru", 1, "h100"): ("seeds", 214, 93),
    ("imdb/lstm", 1, "h100"): ("seeds", 1854, 230),
    ("nist36/mlp", 1, "v5e"): ("seeds", 36, 17),
    ("nist36/mlp", 1, "v5e:4"): ("batch", 56, 16),
}


compiles = pytest.mark.skipif(
    not os.environ.get("JAXNETS_TEST_ACCELERATORS"), reason="make test-accelerators compiles for GPUs and TPUs, in minutes"
)


@compiles
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


STEPS = 48
"""Of a recurrence: whole turns of its loops."""


def recurrence_kernels(cell, on, backward):
    """Kernels of a layer over STEPS time steps of two seeds, so that their axis must not cost kernels either."""
    if plugin := accelerators.missing(on):
        pytest.skip(f"{plugin} is not installed")
    batch, hidden = 64, 128
    gates = CELLS[cell].gates * hidden
    shapes = {"gx": (STEPS, batch, gates), "w": (hidden, gates), "b": (gates,), "h": (batch, hidden), "c": (batch, hidden)}
    layout = parallel.Layout("seeds", parallel.make_mesh(accelerators.devices(on)))
    described = lambda shape, dtype: parallel.shapes_of(jax.ShapeDtypeStruct((2, *shape), dtype), layout)
    args, lengths = {name: described(shape, "float32") for name, shape in shapes.items()}, described((batch,), "int32")
    function = lambda args, lengths: rnn_scan(cell, **args, lengths=lengths)[0]
    if backward:
        function = jax.grad(lambda args, lengths: (rnn_scan(cell, **args, lengths=lengths)[0] ** 2).sum())
    return hlo.program_costs(jax.jit(jax.vmap(function)).lower(args, lengths).compile().as_text()).kernels


@compiles
@pytest.mark.parametrize("cell", CELLS)
def test_a_time_step_of_a_recurrence_is_three_kernels_each_way_on_a_gpu(cell):
    # Beside the loops there are kernels that run once.
    assert recurrence_kernels(cell, "h100", backward=False) <= 3 * STEPS + 20
    assert recurrence_kernels(cell, "h100", backward=True) <= 6 * STEPS + 40


@compiles
@pytest.mark.parametrize(("cell", "kernels"), [("gru", 20), ("lstm", 19)])
def test_recurrences_compile_for_tpus(cell, kernels):
    """Launches are cheap there; the bound is a tenth above what its compiler makes of a time step both ways."""
    assert recurrence_kernels(cell, "v5e", backward=True) <= 1.1 * kernels * STEPS


@compiles
def test_several_processes_compile_for_tpus_at_once():
    if plugin := accelerators.missing("v5e"):
        pytest.skip(f"{plugin} is not installed")
    code = "from jaxnets.training import accelerators, process; process.without_accelerators(); accelerators.devices('v5e')"
    accelerators.devices("v5e")
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert other.returncode == 0, other.stderr


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
    assert 50 < device.tflops["float32"] <= device.tflops["bfloat16"] < 2000
    assert device.link < device.bandwidth
    assert (name, 4) == accelerators.parse(f"{name}:4")


def test_the_processor_of_this_machine_is_a_device_too():
    [device] = accelerators.devices(accelerators.CPU)
    assert device == jax.devices()[0]
    assert accelerators.parse("cpu") == ("cpu", 1)


@pytest.mark.parametrize(("instructions", "rate"), [("base", 0.096), ("avx2", 0.192), ("avx512", 0.384), (None, 0.192)])
def test_the_rate_of_a_processor_follows_its_registers(monkeypatch, instructions, rate):
    """Two products and sums of 4, 8 or 16 numbers a cycle, at 3 GHz, on each of two cores."""
    monkeypatch.setattr(accelerators.kernels, "instruction_set", lambda: instructions)
    monkeypatch.setattr(accelerators.parallel, "available_cores", lambda: 2)
    assert accelerators.get(accelerators.CPU).tflops["float32"] == pytest.approx(rate)


def test_unknown_devices_are_refused():
    with pytest.raises(UserError, match="unknown device 'cuda'"):
        accelerators.parse("cuda")
