"""tiny_imagenet/lenet: the seven LeNets on 200 classes (report S4 §4.2, table 2).

    jaxnets run tiny_imagenet/lenet                     all variants, 100 epochs, 3 seeds
    jaxnets run tiny_imagenet/lenet/super --epochs 10
    jaxnets run tiny_imagenet/lenet/super --data.source synthetic --epochs 5

The variants are those of cifar10/lenet but for the dense part, which is one layer from 400 inputs to 200 classes; this, and
BatchNorm behind the two convolutions alone, is what makes the reported parameter counts come out, for images of 32×32.
The publishers' validation images are the only labeled ones beside the training images. As nothing else is held out, the
last weights are evaluated, not the best.
"""

from collections.abc import Iterator
from dataclasses import replace

from jaxnets import registry
from jaxnets.config import Experiment

# (train, validation accuracy, GPU seconds, utilization, GB)
REPORTED = {
    "plain": (8.0, 9.65, 4507.04, 2, 1.76),
    "bn": (17.00, 9.78, 4518.99, 3, 1.79),
    "dropout": (4.01, 4.90, 4504.29, 3, 1.76),
    "bn_dropout": (10.12, 5.42, 4531.46, 3, 1.79),
    "l2": (8.13, 9.62, 4505.04, 3, 1.76),
    "super_badinit": (17.24, 8.36, 3973.02, 5, 1.79),
    "super": (11.82, 5.89, 3966.93, 5, 1.79),
}
INITIAL_LOSS = {"super": 5.321, "super_badinit": 36.066}


def experiments() -> Iterator[Experiment]:
    """The seven variants of table 2, and the best of cifar10/lenet."""
    for experiment in registry.family("cifar10_lenet").values():
        name = experiment.id.rpartition("/")[2]
        if name not in REPORTED and name != "best":
            continue
        model = replace(experiment.model, dense=())
        told = {"parameters": 83_116 if model.batch_norm else 83_072}
        if name in REPORTED:
            train, validation, seconds, utilization, memory = REPORTED[name]
            told |= {
                "epochs": 100,
                "train_accuracy": train,
                "validation_accuracy": validation,
                "gpu_seconds": seconds,
                "gpu_utilization": utilization,
                "gpu_memory_gb": memory,
            }
        if name in INITIAL_LOSS:
            told["initial_loss"] = INITIAL_LOSS[name]
        yield replace(
            experiment,
            id=f"tiny_imagenet/lenet/{name}",
            source="S4 §4.2, table 2",
            data=replace(experiment.data, source="tiny_imagenet", synthetic="shapes200", shrink=2),
            model=model,
            epochs=100,
            select="last",
            reported=told,
        )
