"""Every native CPU kernel against XLA's own code for the same function, on shapes from the workloads.

python -m benchmarks.kernels [NAME …] [--json FILE]

Both sides take turns within one process, as in all benchmarks. Each is compiled by itself and gets its operands in the
storage order that it asks for: inside a net nothing is transposed on either side.
"""

import dataclasses
import datetime
import functools
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from jax.experimental.layout import Format, Layout

from benchmarks import harness
from benchmarks.facts import choose_device, facts
from jaxnets.cli.parse import parse
from jaxnets.errors import UserError
from jaxnets.nn import kernels
from jaxnets.nn.cells import CELLS
from jaxnets.nn.conv import conv2d
from jaxnets.nn.layers import Dropout
from jaxnets.nn.pool import max_pool
from jaxnets.nn.rnn import rnn_scan

Array = jax.Array


class Case(NamedTuple):
    """A kernel and one shape of its operands."""

    kernel: str
    shape: str
    run: Callable[..., Any]
    operands: tuple[tuple[int, ...], ...]

    @property
    def name(self) -> str:
        return f"{self.kernel} {self.shape}"


def _gradient(function: Callable[..., Array], argnum: int) -> Callable[..., Array]:
    """(operands …, dy) -> the gradient of one operand; what only the others need is not computed."""

    def run(*operands: Array) -> Array:
        *operands, dy = operands
        return jax.vjp(function, *operands)[1](dy)[argnum]

    return run


def _convolutions(where: str, n: int, side: int, c_in: int, c_out: int, kernel: int, padding: int) -> list[Case]:
    out = side + 2 * padding - kernel + 1
    x, w, b, dy = (n, side, side, c_in), (kernel, kernel, c_in, c_out), (c_out,), (n, out, out, c_out)
    shape = f"{n}×{side}×{side}×{c_in}, {kernel}×{kernel} to {c_out} ({where})"
    conv = functools.partial(conv2d, padding=padding)
    return [
        Case("convolution", shape, conv, (x, w, b)),
        Case("convolution, input gradient", shape, _gradient(conv, 0), (x, w, b, dy)),
        Case("convolution, weight gradient", shape, _gradient(conv, 1), (x, w, b, dy)),
    ]


def _pools(where: str, n: int, side: int, channels: int) -> list[Case]:
    x, dy = (n, side, side, channels), (n, side // 2, side // 2, channels)
    shape = f"{n}×{side}×{side}×{channels}, 2×2 ({where})"
    return [
        Case("max-pooling", shape, max_pool, (x,)),
        Case("max-pooling, gradient", shape, _gradient(max_pool, 0), (x, dy)),
    ]


def _channels(where: str, n: int, side: int, channels: int) -> list[Case]:
    x = (n, side, side, channels)
    shape = f"{n}×{side}×{side}×{channels} ({where})"
    return [
        Case("channel moments", shape, kernels.channel_moments, (x,)),
        Case("channel sums", shape, kernels.channel_sums, (x, x, (channels,))),
    ]


def _recurrences(cell: str, hidden: int, steps: int = 28, n: int = 64) -> list[Case]:
    gates = CELLS[cell].gates * hidden
    operands = ((steps, n, gates), (hidden, gates), (gates,), (n, hidden), (n, hidden))
    run = lambda *a: rnn_scan(cell, *a, jnp.full(n, steps))[0]
    shape = f"{cell} {hidden}, {steps} steps of {n} rows (mnist_rows)"
    return [
        Case("recurrence", shape, run, operands),
        Case("recurrence, gradients", shape, lambda *a: jax.vjp(run, *a[:-1])[1](a[-1]), (*operands, (steps, n, hidden))),
    ]


def _dropout(where: str, *shape: int) -> Case:
    layer = Dropout(0.2)
    run = lambda x: layer.apply({}, x, train=True, rngs={"dropout": jax.random.key(0)})
    return Case("dropout", f"{'×'.join(map(str, shape))} ({where})", run, (shape,))


CASES = {
    case.name: case
    for case in (
        *_convolutions("lenet", 128, 32, 3, 6, 5, 0),
        *_convolutions("lenet", 128, 14, 6, 16, 5, 0),
        *_convolutions("resnet34", 32, 32, 64, 64, 3, 1),
        *_convolutions("resnet34", 32, 8, 256, 256, 3, 1),
        *_pools("tutorial net", 128, 28, 6),
        *_pools("small_cnn", 128, 32, 32),
        *_channels("lenet_bn", 128, 28, 6),
        *_channels("resnet34", 32, 32, 64),
        *_recurrences("rnn", 128),
        *_recurrences("lstm", 128),
        *_recurrences("gru", 256),
        _dropout("lenet_dropout", 128, 14, 14, 6),
        _dropout("word_lm", 20, 35, 200),
    )
}


def candidate(case: Case, native: bool) -> harness.Candidate:
    """Runs a case so many times."""
    auto, rng = Format(Layout.AUTO), np.random.default_rng(0)
    operands = [jnp.asarray(0.1 * rng.normal(size=shape), jnp.float32) for shape in case.operands]
    # A function of its own, as one that has been traced is not traced again.
    run = lambda *operands: case.run(*operands)
    with mock.patch.object(kernels, "backend", kernels.backend if native else lambda: "xla"):
        compiled = jax.jit(run, in_shardings=auto, out_shardings=auto).lower(*operands).compile()
    operands = jax.device_put(operands, list(compiled.input_formats[0]))

    def repeat(steps: int) -> None:
        for _ in range(steps):
            found = compiled(*operands)
        jax.block_until_ready(found)

    return harness.Candidate(repeat)


def measure(case: Case, rounds: int) -> dict[str, Any]:
    """One row. Above 1, `ratio` says how many times faster the kernel is."""
    timings = harness.interleave({"native": candidate(case, True), "xla": candidate(case, False)}, rounds)
    ratios = [x / n for x, n in zip(timings["xla"].rounds, timings["native"].rounds, strict=True)]
    return {
        "kind": "kernel",
        "date": datetime.date.today().isoformat(),
        "workload": case.name,
        "kernel": case.kernel,
        "shape": case.shape,
        "ratio": statistics.median(ratios),
        "ratios": [round(r, 4) for r in ratios],
        "noisy": any(t.spread > harness.NOISY for t in timings.values()),
        "milliseconds": {name: round(1e3 * t.median, 4) for name, t in timings.items()},
        "spread": {name: round(t.spread, 4) for name, t in timings.items()},
        "instruction_set": kernels.instruction_set(),
        "n": rounds,
        **facts(),
    }


@dataclasses.dataclass(frozen=True)
class KernelOptions:
    """Measures the native kernels against XLA."""

    names: tyro.conf.Positional[tuple[str, ...]] = ()
    """Beginnings of names, such as "recurrence"; all by default."""
    json: Annotated[Path | None, tyro.conf.arg(name="json")] = None
    """Adds a line for each case to this file."""
    rounds: int = harness.LEAST_ROUNDS
    """Turns of each side."""


def main(args: Sequence[str]) -> int:
    """Measures, and prints a line for each case."""
    options = parse(KernelOptions, "bench kernels", list(args))
    harness.check_rounds(options.rounds)
    chosen = [case for name, case in CASES.items() if name.startswith(options.names or "")]
    if not chosen:
        raise UserError(f"no case begins with {options.names[0]!r}: names begin with {', '.join(_kernels())}")
    choose_device("cpu")
    if kernels.backend() != "native":
        raise UserError("the CPU kernels were not compiled: install jaxnets where there is a C++ compiler")
    for case in chosen:
        row = measure(case, options.rounds)
        if options.json:
            harness.append(options.json, row)
        print(line(row), flush=True)
    return 0


def line(row: dict[str, Any]) -> str:
    """A row of a Markdown table."""
    ms = row["milliseconds"]
    ratio = f"{row['ratio']:.1f}{' (noisy)' if row['noisy'] else ''}"
    return f"| {row['kernel']} | {row['shape']} | {ms['native']:.2f} | {ms['xla']:.2f} | {ratio} |"


def _kernels() -> list[str]:
    return list(dict.fromkeys(case.kernel for case in CASES.values()))


if __name__ == "__main__":
    harness.start(main)
