"""An experiment that is trained within seconds."""

import dataclasses

from jaxnets import registry

BASE = registry.all_experiments()["cifar10/lenet/super"]
# Images of 16 by 16 pixels; 40 steps an epoch, 20 in each call of the compiled program.
SMALL = dataclasses.replace(
    BASE,
    data=dataclasses.replace(BASE.data, source="synthetic", batch_size=10, shrink=2),
    model=dataclasses.replace(BASE.model, dense=(84,)),
    epochs=3,
    seeds=2,
    eval_batch_size=100,
)
