"""An experiment's programs from shapes alone: lowered and compiled for devices that this process need not have."""

from typing import Any

import jax

from jaxnets.training import parallel, state
from jaxnets.training.engine import Programs


def train_arguments(programs: Programs, seeds: int, steps: int | None = None) -> tuple[Any, Any, Any]:
    """What `programs.train` is called with, as shapes: (state, indices of `steps` steps, training arrays).

    By default the steps are those of one call: of a whole epoch but on CPUs.
    """
    keys = _shapes(programs, jax.eval_shape(lambda: state.replica_keys(0, seeds)))
    swept = _shapes(programs, dict(programs.hyperparams))
    initial = _shapes(programs, jax.eval_shape(programs.create, keys, swept, {}, {}))
    epoch = jax.ShapeDtypeStruct((), "int32")
    if steps is None:
        steps = parallel.steps_per_call(programs.task.train_loader.steps, programs.layout.platform)
    indices = jax.eval_shape(programs.epoch_indices, keys, parallel.shapes_of(epoch, programs.layout, shared=True))
    of_steps = jax.tree.map(lambda x: jax.ShapeDtypeStruct((seeds, steps, *x.shape[2:]), x.dtype), indices)
    return initial, _shapes(programs, of_steps), arrays(programs, "train")


def evaluate_arguments(programs: Programs, seeds: int, split: str = "validation") -> tuple[Any, Any]:
    """What `programs.evaluate(split, …)` is called with, as shapes: (variables, arrays of the split)."""
    initial, _, _ = train_arguments(programs, seeds, 1)
    return initial.variables, arrays(programs, split)


def arrays(programs: Programs, split: str) -> Any:
    """The arrays of a split, as shapes."""
    return parallel.shapes_of(dict(programs.task.arrays[split]), programs.layout, shared=True)


def _shapes(programs: Programs, tree: Any) -> Any:
    return parallel.shapes_of(tree, programs.layout)
