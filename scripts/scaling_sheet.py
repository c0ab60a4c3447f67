"""Works out what data-parallel ResNet-34 would do on 8, 64 and 256 devices, by programs for 8 of them and published rates.

    python scripts/scaling_sheet.py [h100|v5e|…] [--batch-sizes 4,16,128,1024]

Needs the compiler of `jaxnets plan`, and half a minute or more for each batch size. Prints the table of
docs/accelerators.md. Nothing is run.
"""

import argparse
import math
from dataclasses import replace

from jaxnets import registry
from jaxnets.data import catalog
from jaxnets.training import accelerators, estimate, process
from jaxnets.training.accelerators import Accelerator

EXPERIMENT = "cifar10/resnet34/super"
DEVICES = (8, 64, 256)
HEADER = (
    *("images each", "devices", "batch", "steps an epoch", "GB", "MB exchanged", "exchanges", "ms a step"),
    *("images a second", "% of its rate alone"),
)
WAITS = (10e-6, 30e-6)
"""Seconds that an exchange of little takes among joined devices, and over a network: assumptions."""


def exchange_seconds(device: Accelerator, count: int, size: float, times: float = 0) -> float:
    """Seconds of all-reducing `size` bytes over `count` devices, in `times` exchanges.

    Joined devices reduce among themselves, each its share with those of the other hosts, and then exchange the result; every
    stage is a ring, which passes (n - 1) / n of its bytes on twice.

    >>> device = accelerators.KNOWN["h100"]._replace(link=100e9, network=10e9, joined=8)
    >>> round(1e3 * exchange_seconds(device, 8, 1e9), 2)  # 2 · 7/8 · 1 GB at 100 GB/s
    17.5
    >>> round(1e3 * exchange_seconds(device, 16, 1e9), 2)  # and 2 · 1/2 · 1/8 GB at 10 GB/s
    30.0
    """
    joined = min(count, device.joined)
    hosts = math.ceil(count / joined)
    ring = lambda n: 2 * (n - 1) / n
    wait = WAITS[hosts > 1] if count > 1 else 0
    return size * (ring(joined) / device.link + ring(hosts) / joined / device.network) + times * wait


def rows(name: str, local: int) -> list[list[str]]:
    """A row for each number of devices, with `local` images on each."""
    device = accelerators.get(name)
    experiment = registry.all_experiments()[EXPERIMENT]
    experiment = replace(
        experiment,
        seeds=1,
        data=replace(experiment.data, batch_size=8 * local),
        model=replace(experiment.model, dtype="bfloat16"),
    )
    spec = catalog.spec_of(experiment.data)
    found = estimate.estimate(experiment, spec, name, 8)
    fastest, slowest = found.flops / (1e12 * device.tflops["bfloat16"]), found.kernels * device.kernel_seconds
    traffic = found.bytes / device.bandwidth
    alone = max(fastest, traffic), fastest + traffic + slowest
    table = []
    for count in DEVICES:
        size = found.collective_bytes
        quick = max(alone[0], exchange_seconds(device, count, size))
        slow = alone[1] + exchange_seconds(device, count, size, found.collectives)
        table.append(
            [
                f"{local:,}",
                f"{count}",
                f"{count * local:,}",
                f"{spec.examples('train') / (count * local):,.1f}",
                f"{found.needed.total / 1e9:.1f}",
                f"{size / 1e6:.0f}",
                f"{found.collectives:.0f}",
                f"{1e3 * quick:.1f}–{1e3 * slow:.1f}",
                f"{count * local / slow:,.0f}–{count * local / quick:,.0f}",
                f"{100 * alone[1] / slow:.0f}–{100 * alone[0] / quick:.0f}",
            ]
        )
    return table


def main() -> None:
    """Prints a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("on", nargs="?", default="h100", choices=list(accelerators.KNOWN))
    parser.add_argument("--batch-sizes", default="4,16,128,1024")
    options = parser.parse_args()
    process.without_accelerators()
    header = (
        "images each|devices|batch|steps an epoch|GB|MB exchanged|exchanges|ms a step|images a second|% of its rate alone"
    )
    print(f"| {header.replace('|', ' | ')} |\n|{' --: |' * len(header.split('|'))}")
    for local in options.batch_sizes.split(","):
        for row in rows(options.on, int(local)):
            print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
