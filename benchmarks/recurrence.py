"""Compares ways to write a recurrence: loss and gradients of one layer over the rows of MNIST digits, timed in turn.

python -m benchmarks.recurrence [--json-file FILE]

    native       the C++ kernels: one call for all time steps; on CPUs
    scan         lax.scan with a custom gradient, in which the weights' gradient is one product after the scan; on CPUs
    packed       the same with one stored array for all results of a step; on accelerators
    cudnn        the LSTM of NVIDIA's library, from the same weights; on GPUs
    autodiff     lax.scan differentiated by JAX, which sums the weights' gradient step by step
    inside       autodiff with the product of the inputs inside the scan
    unrolled     autodiff with the scan unrolled by seven steps
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
from jax.experimental import rnn as cudnn_rnn

from benchmarks import harness
from benchmarks.facts import facts
from jaxnets.nn import kernels
from jaxnets.nn.cells import CELLS, CellName
from jaxnets.nn.rnn import rnn_scan

STEPS, BATCH, INPUTS = 28, 64, 28
Array = jax.Array
Params = dict[str, Array]


def ours(cell: CellName, params: Params, x: Array) -> Array:
    """Outputs [T, N, H] by jaxnets.nn.rnn, for inputs [T, N, INPUTS]."""
    zeros = jnp.zeros((BATCH, params["w"].shape[0]))
    gx = (x.reshape(-1, INPUTS) @ params["wx"]).reshape(STEPS, BATCH, -1)
    return rnn_scan(cell, gx, params["w"], params["b"], zeros, zeros, jnp.full(BATCH, STEPS))[0]


def autodiff(cell: CellName, params: Params, x: Array, inside: bool = False, unroll: int = 1) -> Array:
    """The same outputs by a scan that JAX differentiates.

    Args:
      cell: name of the cell.
      params: "wx" [INPUTS, G·H], "w" [H, G·H] and "b" [G·H], for G gates.
      x: [T, N, INPUTS].
      inside: multiply the inputs by their weights inside the scan.
      unroll: steps of the scan to unroll.
    """
    zeros = jnp.zeros((BATCH, params["w"].shape[0]))
    items = x if inside else (x.reshape(-1, INPUTS) @ params["wx"]).reshape(STEPS, BATCH, -1)

    def body(state: tuple[Array, Array], item: Array) -> tuple[tuple[Array, Array], Array]:
        gx = item @ params["wx"] if inside else item
        h, c, _ = CELLS[cell].forward(gx, state[0] @ params["w"] + params["b"][None], *state)
        return (h, c), h

    return lax.scan(body, (zeros, zeros), items, unroll=unroll)[1]


def cudnn(cell: CellName, params: Params, x: Array) -> Array:
    """The same outputs of an LSTM by cuDNN, which has the batch before the time. It cannot even be traced without a GPU."""
    hidden = params["w"].shape[0]
    zeros = jnp.zeros((1, BATCH, hidden))
    lengths = jnp.full(BATCH, STEPS, jnp.int32)
    return cudnn_rnn.lstm(x.swapaxes(0, 1), zeros, zeros, cudnn_weights(params), lengths, INPUTS, hidden, 1, 0.0, False)[
        0
    ].swapaxes(0, 1)


def cudnn_weights(params: Params) -> Array:
    """One vector of the kernels, transposed, and both biases, the first of them 0; its gates are in our order."""
    parts = params["wx"].T, params["w"].T, jnp.zeros_like(params["b"]), params["b"]
    return jnp.concatenate([part.reshape(-1) for part in parts])


def candidate(run: Callable[..., Array], cell: CellName, hidden: int, native: bool) -> harness.Candidate:
    """One step computes the loss and its gradients, by native kernels or without them."""
    keys, gates = jax.random.split(jax.random.key(0), 4), CELLS[cell].gates
    shapes = {"wx": (INPUTS, gates * hidden), "w": (hidden, gates * hidden), "b": (gates * hidden,)}
    params = {name: 0.1 * jax.random.normal(key, shape) for key, (name, shape) in zip(keys, shapes.items(), strict=False)}
    x = jax.random.normal(keys[3], (STEPS, BATCH, INPUTS))
    loss = lambda params, x: jnp.square(run(cell, params, x)).mean()
    compiled: list[Callable[..., Any]] = []  # In the first run, so that a form that fails is left out.

    def repeat(steps: int) -> None:
        if not compiled:
            with mock.patch.object(kernels, "is_supported", kernels.is_supported if native else lambda *arrays: False):
                compiled.append(jax.jit(jax.value_and_grad(loss)).lower(params, x).compile())
        for _ in range(steps):
            loss_and_gradients = compiled[0](params, x)
        jax.block_until_ready(loss_and_gradients)

    return harness.Candidate(repeat)


def measure(cell: CellName, hidden: int, rounds: int) -> dict[str, Any]:
    """A row with the milliseconds of every form."""
    platform = jax.default_backend()
    own = {"native": (ours, True), "scan": (ours, False)} if platform == "cpu" else {"packed": (ours, False)}
    forms = {
        **own,
        **({"cudnn": (cudnn, False)} if cell == "lstm" and platform == "gpu" else {}),
        "autodiff": (autodiff, False),
        "inside": (functools.partial(autodiff, inside=True), False),
        "unrolled": (functools.partial(autodiff, unroll=7), False),
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
    """Times every cell at two widths, prints a line for each, and appends the rows to a file."""
    if jax.default_backend() != "gpu":
        print(f"cudnn is left out: it needs a GPU, and JAX has found a {jax.default_backend()} here", flush=True)
    for cell in ("rnn", "lstm", "gru"):
        for hidden in (128, 256):
            row = measure(cell, hidden, rounds)
            print(row["workload"], ", ".join(f"{name} {ms:.2f} ms" for name, ms in row["milliseconds"].items()), flush=True)
            if json_file:
                harness.append(json_file, row)


if __name__ == "__main__":
    tyro.cli(main)
