"""Both data-parallel modes equal literal jax.pmap; seeds split over devices equal seeds in turn."""

import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxnets import models
from jaxnets.config.model import LeNetConfig
from jaxnets.errors import UserError
from jaxnets.nn import kernels
from jaxnets.pipeline import images
from jaxnets.tasks import classification
from jaxnets.training import parallel, state
from jaxnets.training.step import make_train_step

DEVICES = 4
OBJECTIVE = classification.objective("image")
CONFIG = LeNetConfig(batch_norm=True)
# Plain descent: Adam would hide a gradient that is too large by a factor.
TX = optax.with_extra_args_support(optax.sgd(0.1))


def one_device():
    return parallel.Layout("seeds", parallel.make_mesh(jax.devices()[:1]))


def batches(count, size=16):
    rng = np.random.default_rng(0)
    for _ in range(count):
        yield {
            "image": jnp.asarray(rng.normal(size=(size, 32, 32, 3)).astype(np.float32)),
            "label": jnp.asarray(rng.integers(0, 10, size).astype(np.int32)),
            # An uneven mask: the mean over the batch is not the mean of the devices' means.
            "mask": jnp.asarray((rng.random(size) < 0.7).astype(np.float32)),
        }


@jax.jit
def create(key):
    return state.create(key, models.build(CONFIG, {"classes": 10}), TX, (jnp.zeros((1, 32, 32, 3)),))


def start():
    return create(jax.random.key(0))


def whole_step():
    return make_train_step(models.build(CONFIG, {"classes": 10}), OBJECTIVE, TX)


def device_step():
    return make_train_step(models.build(CONFIG, {"classes": 10}, parallel.AXIS), OBJECTIVE, TX, axis_name=parallel.AXIS)


@pytest.fixture(scope="module")
def by_pmap():
    """Parameters, statistics and metrics after three steps of literal jax.pmap."""
    assert jax.device_count() == DEVICES
    step = jax.pmap(device_step(), axis_name=parallel.AXIS)
    current = jax.tree.map(lambda x: jnp.broadcast_to(x, (DEVICES, *x.shape)), start())
    for batch in batches(3):
        current, metrics = step(current, jax.tree.map(lambda x: x.reshape(DEVICES, -1, *x.shape[1:]), batch))
    first = jax.tree.map(lambda x: x[0], (current, metrics))
    return first[0].params, first[0].model_state, first[1]


def after_three(step):
    current = start()
    for batch in batches(3):
        current, metrics = step(current, batch)
    return current.params, current.model_state, metrics


@pytest.mark.filterwarnings("ignore:Some donated buffers were not usable")
@pytest.mark.parametrize("per_device", [False, True])
def test_data_parallel_equals_pmap(by_pmap, per_device):
    step = device_step() if per_device else whole_step()
    found = after_three(parallel.data_parallel(step, parallel.make_mesh(), per_device=per_device))
    chex.assert_trees_all_close(found, by_pmap, rtol=2e-4, atol=2e-6)


@pytest.mark.filterwarnings("ignore:Some donated buffers were not usable")
def test_a_batch_in_parts_stays_split_over_the_devices(monkeypatch):
    """Every device works on its own share of each part: the compiled step gathers no images."""
    # As on accelerators: the native kernels of CPUs, which never split a batch over devices, are opaque to the compiler.
    monkeypatch.setattr(kernels, "is_supported", lambda *arrays: False)
    model = models.build(LeNetConfig(), {"classes": 10})
    step = make_train_step(model, OBJECTIVE, TX, grad_accumulation_steps=2)
    fresh = jax.jit(lambda: state.create(jax.random.key(0), model, TX, (jnp.zeros((1, 32, 32, 3)),)))
    [batch] = batches(1)
    split = parallel.data_parallel(step, parallel.make_mesh()).lower(fresh(), batch).compile()
    assert "all-gather" not in split.as_text()
    mine, _ = split(fresh(), jax.tree.map(lambda x, s: jax.device_put(x, s), batch, split.input_shardings[0][1]))
    alone, _ = jax.jit(step)(fresh(), batch)
    chex.assert_trees_all_close(mine.params, alone.params, rtol=2e-4, atol=2e-6)


def test_pmap_equals_one_device(by_pmap):
    chex.assert_trees_all_close(after_three(jax.jit(whole_step())), by_pmap, rtol=2e-4, atol=2e-6)


def test_seeds_split_over_devices_equal_seeds_in_turn():
    step = lambda own, shared: make_train_step(models.build(CONFIG, {"classes": 10}), OBJECTIVE, TX)(own, shared)
    states = jax.jit(jax.vmap(create))(state.replica_keys(0, 2 * DEVICES))
    batch = next(batches(1))
    split = parallel.compile_over_seeds(step, parallel.Layout("seeds", parallel.make_mesh()))(states, batch)
    turns = parallel.compile_over_seeds(step, one_device())(states, batch)
    chex.assert_trees_all_close(split[0].params, turns[0].params, rtol=1e-5, atol=1e-6)


def test_layouts():
    assert parallel.choose_layout(8, 128).split == "seeds"
    assert parallel.choose_layout(8, 128).mesh.size == DEVICES
    # Three seeds do not divide over four devices of one CPU, and splitting batches there gains nothing.
    assert parallel.choose_layout(3, 128).split == "seeds"
    assert [parallel.choose_layout(seeds, 128).mesh.size for seeds in (1, 2, 3, 5, 6)] == [1, 2, 3, 1, 3]


@pytest.mark.parametrize(
    ("cores", "seeds", "devices"),
    [(2, [1], 1), (2, [4], 2), (2, [3], 3), (2, [1, 3], 3), (2, [3, 1], 3), (2, [2, 3, 5], 5), (4, [8, 6], 6)],
)
def test_the_run_of_most_devices_decides_how_many_a_cpu_has(cores, seeds, devices, monkeypatch):
    """Every run of a call finds as many as it would find alone, whatever the order."""
    configured = {}
    monkeypatch.setattr(parallel, "available_cores", lambda: cores)
    monkeypatch.setattr(jax.config, "update", configured.__setitem__)
    parallel.split_cpu(*seeds)
    assert configured == {"jax_num_cpu_devices": devices}


@dataclasses.dataclass(frozen=True)
class FakeDevice:
    platform: str
    id: int
    process_index: int = 0


def test_layouts_on_accelerators(monkeypatch):
    gpus = [FakeDevice("cuda", i) for i in range(4)]
    assert parallel.choose_layout(3, 128, gpus).split == "batch"
    assert parallel.choose_layout(3, 128, gpus).platform == "cuda"
    assert parallel.choose_layout(3, 127, gpus).mesh.size == 1
    monkeypatch.setattr(parallel, "describe_devices", lambda: {"platform": "gpu", "kind": "X100", "count": 4})
    assert parallel.device_line(parallel.choose_layout(3, 128, gpus)) == "4 × X100"
    assert parallel.device_line(parallel.choose_layout(3, 127, gpus)).startswith("1 × X100 (3 more idle")
    assert parallel.steps_per_call(351, "cuda") == 351


@pytest.mark.parametrize("platform", ["cpu", "cuda"])
def test_layouts_over_processes(platform):
    """No process is left idle, and on CPUs too the batch is split: their devices are of several hosts."""
    devices = [FakeDevice(platform, i, process_index=i // 2) for i in range(4)]
    assert parallel.choose_layout(8, 127, devices).split == "seeds"
    assert parallel.choose_layout(3, 128, devices).split == "batch"
    with pytest.raises(UserError, match="neither 3 seeds nor batches of 127 divide by the 4 devices of 2 processes"):
        parallel.choose_layout(3, 127, devices)


def test_batch_parallel_trains_like_one_device():
    """The layout "batch" of a run: seeds mapped, batches split over the mesh."""
    from jaxnets.config import ImageData
    from jaxnets.pipeline import loaders
    from jaxnets.training.step import multi_step

    plain = images.Normalization((0.0,) * 3, (1.0,) * 3)
    train = loaders.train_batches(8, 32, images.image_batches(ImageData("x"), plain))
    rng = np.random.default_rng(0)
    arrays = {
        "image": jnp.asarray(rng.integers(0, 256, (32, 32, 32, 3)).astype(np.uint8)),
        "label": jnp.asarray(rng.integers(0, 10, 32).astype(np.int32)),
    }
    run = multi_step(whole_step(), train)
    create_all = jax.jit(jax.vmap(create))
    fresh = lambda: create_all(state.replica_keys(0, 2))
    indices = jax.vmap(lambda key: train.epoch_indices(key, 0))(fresh().key)
    layout = parallel.Layout("batch", parallel.make_mesh())
    split, _ = parallel.compile_over_seeds(run, layout, batch_arg=1)(fresh(), indices, arrays)
    alone, _ = parallel.compile_over_seeds(run, one_device())(fresh(), indices, arrays)
    chex.assert_trees_all_close(split.params, alone.params, rtol=2e-4, atol=2e-6)


def test_steps_per_call_divides_the_epoch_where_it_can():
    k = parallel.steps_per_call(351, "cpu")
    if kernels.backend() == "xla":
        assert k == 1  # XLA's convolutions are slower inside a loop.
    else:
        assert k == 27
        assert parallel.steps_per_call(353, "cpu") == 32
