"""What is measured: for each workload our training step and its PyTorch twin in several forms, on the same batch."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxnets import catalogue, models, optim, state, tasks
from jaxnets.config import Experiment
from jaxnets.model_config import RowsNetConfig
from jaxnets.step import make_step

Run = Callable[[int], None]


class Workload(NamedTuple):
    """A training step to time."""

    name: str
    experiment: Experiment
    batch: int
    shape: tuple[int, int, int]
    """Of an image, [H, W, C]."""


def _image(name: str, id_: str, batch: int, shape: tuple[int, int, int] = (32, 32, 3)) -> Workload:
    return Workload(name, catalogue.all_experiments()[id_], batch, shape)


WORKLOADS = {
    workload.name: workload
    for workload in (
        _image("lenet", "cifar10/lenet/plain", 128),
        _image("lenet_bn", "cifar10/lenet/bn", 128),
        _image("small_cnn", "cifar10/small_cnn", 128),
        _image("resnet34", "cifar10/resnet34/plain", 32),
        *(
            _image(f"rows_{cell}_{hidden}", f"mnist_rows/{cell}_{hidden}", 64, (28, 28, 1))
            for cell in ("rnn", "lstm", "gru")
            for hidden in (128, 256)
        ),
    )
}


def make_batch(workload: Workload) -> dict[str, np.ndarray]:
    """Normal images [N, H, W, C] and random labels."""
    rng = np.random.default_rng(0)
    images = rng.normal(size=(workload.batch, *workload.shape)).astype(np.float32)
    return {"image": images, "label": rng.integers(0, 10, workload.batch).astype(np.int32)}


def ours(workload: Workload) -> Run:
    """Our step, one call a step."""
    experiment = workload.experiment
    model, task = models.build(experiment.model, {"classes": 10}), tasks.classify("image")
    tx = optim.build(experiment.optim, 1000, 100, jax.random.key(0))
    batch = jax.tree.map(jnp.asarray, make_batch(workload)) | {"mask": jnp.ones(workload.batch)}
    step = jax.jit(make_step(model, task, tx), donate_argnums=0)
    current = [state.create(jax.random.key(0), model, tx, task.inputs(batch))]

    def run(steps: int) -> None:
        for _ in range(steps):
            current[0], _ = step(current[0], batch)
        jax.block_until_ready(current[0])

    return run


def torch_forms(workload: Workload) -> dict[str, Run]:
    """The twin eager; with fused Adam and channels-last memory; and compiled."""
    import torch

    from benchmarks.torch import convnets, recurrent

    batch = make_batch(workload)
    images = torch.tensor(batch["image"].transpose(0, 3, 1, 2).copy())
    labels = torch.tensor(batch["label"], dtype=torch.long)
    rules = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}

    def form(fused: bool, compiled: bool) -> Run:
        model = workload.experiment.model
        twin = recurrent.RowsNet if isinstance(model, RowsNetConfig) else convnets.build
        module, x = twin(model, 10), images
        if fused:
            module, x = module.to(memory_format=torch.channels_last), images.to(memory_format=torch.channels_last)
        config = workload.experiment.optim
        rule = rules[config.name](module.parameters(), lr=config.lr, fused=fused or None)
        call = torch.compile(module) if compiled else module

        def run(steps: int) -> None:
            for _ in range(steps):
                rule.zero_grad()
                torch.nn.functional.cross_entropy(call(x), labels).backward()
                rule.step()

        return run

    return {
        "torch eager": form(fused=False, compiled=False),
        "torch fused": form(fused=True, compiled=False),
        "torch compile": form(fused=False, compiled=True),
    }
