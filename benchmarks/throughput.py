"""Time of a training step against PyTorch; see README.md in this folder.

python -m benchmarks.throughput [WORKLOAD ...] [--json-file FILE]
"""

import json
from pathlib import Path
from typing import Any

import tyro

from benchmarks import harness, workloads
from jaxnets import memory, parallel, record
from jaxnets.report.results import hardware


def measure(name: str, rounds: int) -> dict[str, Any]:
    """Measures one workload and returns its row."""
    workload = workloads.WORKLOADS[name]
    candidates = {"jaxnets": workloads.ours(workload)}
    environment = record.environment(parallel.describe_devices())
    try:
        import torch

        environment["versions"]["torch"] = torch.__version__
        candidates |= workloads.torch_forms(workload)
    except ImportError:
        print("torch is not installed: our side alone is measured")
    facts = {
        "device": environment["devices"]["platform"],
        "hardware": hardware(environment),
        "versions": environment["versions"],
        "commit": environment["commit"],
        "batch": workload.batch,
    }
    return harness.row(name, "train step", "jaxnets", harness.interleave(candidates, rounds), facts)


def main(
    names: tyro.conf.Positional[tuple[str, ...]] = (), json_file: Path | None = None, rounds: int = harness.ROUNDS
) -> None:
    """Measures workloads (all by default), prints a table, and appends rows to a file."""
    unknown = set(names) - set(workloads.WORKLOADS)
    if unknown:
        raise SystemExit(f"unknown workload {', '.join(sorted(unknown))}: choose from {', '.join(workloads.WORKLOADS)}")
    memory.reuse_freed_memory()  # For every candidate alike.
    rows = []
    for name in names or workloads.WORKLOADS:
        rows.append(measure(name, rounds))
        print(harness.table(rows[-1:]).splitlines()[-1], flush=True)
        if json_file:
            with json_file.open("a") as file:
                file.write(json.dumps(rows[-1]) + "\n")
    print(harness.table(rows))


if __name__ == "__main__":
    tyro.cli(main)
