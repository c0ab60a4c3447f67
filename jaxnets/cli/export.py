"""`jaxnets export`."""

import dataclasses
from pathlib import Path
from typing import Annotated, Literal

import tyro

from jaxnets.cli.parse import keep_inputs, optional, parse, shown_as


@dataclasses.dataclass(frozen=True)
class ExportOptions:
    """Writes a trained net for use without jaxnets."""

    run: tyro.conf.Positional[Annotated[Path, shown_as("RUN")]]
    """The folder of a run, for example runs/cifar10/lenet/bn, or the name of a net that comes with jaxnets (see `jaxnets
    nets`)."""
    out: Annotated[Path | None, optional("FOLDER")] = None
    """The folder to write to. Default: RUN/export."""
    format: Literal["pytorch", "onnx"] = "pytorch"
    """pytorch: weights.safetensors, and a model.py in plain PyTorch that loads them; onnx: model.onnx, for nets that look at
    images."""
    replica: int = 0
    """Which of the run's replicas to export, counted from 0; a run trains one per seed."""


def export(args: list[str]) -> int:
    """Writes the files and prints their paths. Returns exit status 0."""
    options = parse(ExportOptions, "export", args)
    from jaxnets.export import to_onnx, to_pytorch
    from jaxnets.runs import load, shipped  # Slow imports, which the help text does not need.

    keep_inputs("--out", options.out, [shipped.locate(options.run)])
    write = {"pytorch": to_pytorch.export, "onnx": to_onnx.export}[options.format]
    for path in write(load.load(options.run, options.replica), options.out or options.run / "export"):
        print(path)
    return 0
