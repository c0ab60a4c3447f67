"""Ways to write a recurrence, timed in turn: loss and gradients of one layer over the rows of MNIST digits.

python -m benchmarks.recurrence [--json-file FILE]

    native       the C++ kernels: one call for all time steps
    scan         lax.scan with the gradient written out, its weights' gradient one product behind the scan
    autodiff     lax.scan differentiated by JAX, so that the weights' gradient is summed step by step
    inside       the same with the input's product inside the scan
    unrolled     autodiff, seven steps of the scan unrolled
"""

import datetime
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp
import tyro
from jax import lax

from benchmarks import harness
from benchmarks.facts import facts
from jaxnets.nn import kernels
from jaxnets.nn.rnn import CELLS, CellName, rnn_scan

STEPS, BATCH, INPUTS = 28, 64, 28
Array = jax.Array
Params = dict[str, Array]


def ours(cell: CellName, params: Params, x: Array) -> Array:
    """Outputs [T, N, H] by jaxnets.nn.recurrent."""
    zeros = jnp.zeros((BATCH, params["w"].shape[0]))
    gx = (x.reshape(-1, INPUTS) @ params["wx"]).reshape(STEPS, BATCH, -1)
    return rnn_scan(cell, gx, params["w"], params["b"], zeros, zeros, jnp.full(BATCH, STEPS))[0]


def plain(cell: CellName, params: Params, x: Array, inside: bool = False, unroll: int = 1) -> Array:
    """The same by a scan that JAX differentiates."""
    zeros = jnp.zeros((BATCH, params["w"].shape[0]))
    items = x if inside else (x.reshape(-1, INPUTS) @ params["wx"]).reshape(STEPS, BATCH, -1)

    def body(state: tuple[Array, Array], item: Array) -> tuple[tuple[Array, Array], Array]:
        gx = item @ params["wx"] if inside else item
        h, c, _ = CELLS[cell].forward(gx, state[0] @ params["w"] + params["b"][None], *state)
        return (h, c), h

    return lax.scan(body, (zeros, zeros), items, unroll=unroll)[1]


def candidate(run: Callable[..., Array], cell: CellName, hidden: int, native: bool) -> harness.Candidate:
    """A function that computes loss and gradients so many times."""
    keys, gates = jax.random.split(jax.random.key(0), 4), CELLS[cell].gates
    shapes = {"wx": (INPUTS, gates * hidden), "w": (hidden, gates * hidden), "b": (gates * hidden,)}
    params = {name: 0.1 * jax.random.normal(key, shape) for key, (name, shape) in zip(keys, shapes.items(), strict=False)}
    x = jax.random.normal(keys[3], (STEPS, BATCH, INPUTS))
    loss = lambda params, x: jnp.square(run(cell, params, x)).mean()
    with mock.patch.object(kernels, "is_supported", kernels.is_supported if native else lambda *arrays: False):
        compiled = jax.jit(jax.value_and_grad(loss)).lower(params, x).compile()

    def repeat(steps: int) -> None:
        for _ in range(steps):
            found = compiled(params, x)
        jax.block_until_ready(found)

    return harness.Candidate(repeat)


def measure(cell: CellName, hidden: int, rounds: int) -> dict[str, Any]:
    """One row: milliseconds of every form."""
    forms = {
        "native": (ours, True),
        "scan": (ours, False),
        "autodiff": (plain, False),
        "inside": (functools.partial(plain, inside=True), False),
        "unrolled": (functools.partial(plain, unroll=7), False),
    }
    timings = harness.interleave(
        {name: candidate(run, cell, hidden, native) for name, (run, native) in forms.items()}, rounds
    )
    return {
        "kind": "formulations",
        "date": datetime.date.today().isoformat(),
        "workload": f"{cell}_{hidden}",
        "milliseconds": {name: round(1e3 * t.median, 4) for name, t in timings.items()},
        "spread": {name: round(t.spread, 4) for name, t in timings.items()},
        "n": rounds,
        **facts(),
    }


def main(json_file: Path | None = None, rounds: int = harness.ROUNDS) -> None:
    """Measures every cell at two widths, prints a line each, and appends rows to a file."""
    for cell in ("rnn", "lstm", "gru"):
        for hidden in (128, 256):
            row = measure(cell, hidden, rounds)
            print(row["workload"], ", ".join(f"{name} {ms:.2f} ms" for name, ms in row["milliseconds"].items()), flush=True)
            if json_file:
                harness.append(json_file, row)


if __name__ == "__main__":
    tyro.cli(main)
