"""`jaxnets theory`."""

import dataclasses
from pathlib import Path
from typing import Annotated

from jaxnets.cli.parse import SEED, Limits, parse


@dataclasses.dataclass(frozen=True)
class TheoryOptions:
    """Checks numerically: the shift invariance of softmax, vanishing gradients, and the symmetry of zero initialization."""

    depth: Annotated[int, Limits(1, 1000)] = 12
    """Hidden layers of the nets whose gradients are compared."""
    seed: Annotated[int, SEED] = 0
    """Seed of the random weights and inputs."""
    out: Path = Path("runs")
    """The plot is written to OUT/theory.png."""


def theory(args: list[str]) -> int:
    """Prints the results, writes a plot of gradient norms by layer, and returns exit status 0."""
    options = parse(TheoryOptions, "theory", args)
    import jax

    from jaxnets.analysis import theory
    from jaxnets.analysis.report import plots
    from jaxnets.analysis.report.gradients import by_layer
    from jaxnets.training import process

    process.prepare()
    key = jax.random.key(options.seed)
    print("Softmax does not change if the same number is added to all its inputs (largest change in 10,000 outputs):")
    for shift, (ours, naive) in theory.softmax_shifts(key).items():
        print(f"  {shift:6g} added: {ours:.1e}; computed as exp(x) / sum exp(x): {naive:.1e}")
    print("\nThe derivatives of sigmoid and tanh are bounded, so gradients shrink from layer to layer:")
    norms = {name: theory.gradient_norms(name, options.depth, key) for name in theory.SATURATING}
    for name, by_depth in norms.items():
        slope, at = theory.steepest(name)
        ratio = by_depth[0] / by_depth[-1]
        print(f"  {name:7s} largest slope {slope:.2f} (at {abs(at):.2f}); first layer's gradient / last's: {ratio:.1e}")
    print("\nUnits that start equal stay equal (32 hidden units, 200 steps of gradient descent):")
    for zero, start in ((True, "zero"), (False, "Xavier")):
        units, loss = theory.distinct_units(zero, key)
        print(f"  from {start} weights: {units} different unit{'s' if units > 1 else ''}, loss {loss:.3f}")
    print(f"\nplot: {plots.save(by_layer(norms), options.out / 'theory.png', dpi=110)}")
    return 0
