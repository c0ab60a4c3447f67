"""Compares a device with this machine's CPU and with what `jaxnets plan` expects of it, within five minutes.

    python scripts/self_check.py [h100|a100|…|cpu] [--steps 20]

Three nets train on synthetic data, on the device and on the CPU, from the same weights on the same batches: their losses
must agree to 2 %. Then memory and seconds of a step stand beside the estimate. Exit status 1 where losses differ or memory
is more than estimated by a tenth.
"""

import argparse
import time
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxnets import registry
from jaxnets.config import Experiment
from jaxnets.data import catalog
from jaxnets.training import accelerators, engine, estimate

NETS = ("cifar10/lenet/bn", "mnist_rows/gru_128", "nist36/mlp")
"""A CNN with BatchNorm, a recurrent net, a dense one."""
TOLERANCE = 0.02
"""Of a loss, relative: products in TF32 or bfloat16 round at 1e-3, and training carries it on."""


class Trained(NamedTuple):
    """A few steps on a device."""

    losses: np.ndarray
    """[steps]."""
    seconds: float
    """Of a step, the first call left out, in which it is compiled."""
    peak: int
    """Bytes, as the compiler states them."""


def short(id_: str) -> Experiment:
    """The experiment with one seed, on its synthetic data."""
    experiment = replace(registry.all_experiments()[id_], seeds=1)
    return replace(experiment, data=replace(experiment.data, source=experiment.data.synthetic))


def train(experiment: Experiment, dataset: Any, device: jax.Device, steps: int) -> Trained:
    """The first `steps` steps, and then as many again to take their time."""
    built = engine.build(experiment, dataset, devices=[device])
    with jax.default_device(device):
        state = built.init()
        indices = jax.tree.map(lambda x: x[:, :steps], built.epoch_indices(state.key, 0))
        state, metrics = built.train(state, indices)
        losses = np.asarray(metrics["loss"].value)[0]
        started = time.perf_counter()
        jax.block_until_ready(built.train(state, indices))
        return Trained(losses, (time.perf_counter() - started) / steps, built.costs.peak_bytes)


def furthest(ours: np.ndarray, theirs: np.ndarray) -> float:
    """The largest relative difference of two series of losses.

    >>> round(furthest(np.array([1.0, 2.02]), np.array([1.0, 2.0])), 4)
    0.01
    """
    return float(np.max(np.abs(ours - theirs) / np.abs(theirs)))


def check(id_: str, on: str, steps: int) -> bool:
    """Prints a line on one net; whether all is well."""
    experiment = short(id_)
    dataset = catalog.open_data(experiment.data)
    ours = train(experiment, dataset, jax.devices()[0], steps)
    theirs = train(experiment, dataset, jax.devices("cpu")[0], steps)
    planned = estimate.estimate(experiment, dataset, on)
    apart = furthest(ours.losses, theirs.losses)
    agrees, fits = apart <= TOLERANCE, ours.peak <= 1.1 * planned.needed.total
    print(
        f"{id_}: losses {'agree' if agrees else 'DIFFER'} to {100 * apart:.2g} %; {ours.peak / 1e6:,.0f} MB, estimated "
        f"{planned.needed.total / 1e6:,.0f}{'' if fits else ': MORE'}; {1e3 * ours.seconds:.3f} ms a step, estimated "
        f"{1e3 * planned.fastest:.3f} to {1e3 * planned.slowest:.3f}, on the CPU {1e3 * theirs.seconds:.3f}",
        flush=True,
    )
    return agrees and fits


def main() -> int:
    """Checks all nets. Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("on", nargs="?", default=accelerators.CPU, choices=[*accelerators.KNOWN, accelerators.CPU])
    parser.add_argument("--steps", type=int, default=20)
    options = parser.parse_args()
    print(f"{jax.devices()[0].device_kind} against its estimate as {options.on}", flush=True)
    return 0 if all([check(id_, options.on, options.steps) for id_ in NETS]) else 1


if __name__ == "__main__":
    raise SystemExit(main())
