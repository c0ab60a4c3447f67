"""One network by two update rules, several seeds each: curves with bands, and test accuracies with error bars.

    python examples/error_bars.py [FOLDER]

All seeds of a run are trained at once, in one program. The data are letters drawn by jaxnets, so nothing is downloaded.
"""

import sys
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

import jaxnets

RULES: dict[str, dict[str, Any]] = {
    "SGD": {"optim.name": "sgd", "optim.lr": 0.1, "optim.momentum": 0.9},
    "Adam": {"optim.name": "adam", "optim.lr": 1e-3},
}


def main(folder: Path, seeds: int = 5, epochs: int = 8) -> None:
    """Trains, or reads what an earlier call has trained, and draws."""
    figure, (curves, bars) = plt.subplots(1, 2, figsize=(10, 4), width_ratios=(2, 1), layout="constrained")
    for place, (rule, changes) in enumerate(RULES.items()):
        options = {"data.source": "synthetic", **changes}
        result = jaxnets.train("nist36/mlp", out=folder / rule, quiet=True, seeds=seeds, epochs=epochs, **options)

        accuracy = 100 * result.history["validation_accuracy"]  # [epochs, seeds]
        mean, spread = accuracy.mean(1), accuracy.std(1, ddof=1)
        epoch = np.arange(1, len(accuracy) + 1)
        curves.plot(epoch, mean, label=rule)
        curves.fill_between(epoch, mean - spread, mean + spread, alpha=0.3)

        test = result.summary["final"]["test"]["accuracy"]  # of the weights with the best validation result
        bars.errorbar(place, 100 * test["mean"], 100 * test["std"], fmt="o", capsize=6)
        bars.plot(place + np.linspace(0.1, 0.2, seeds), [100 * value for value in test["values"]], ".", color="gray")
        print(f"{rule}: {100 * test['mean']:.1f} ± {100 * test['std']:.1f} % of the test images, {test['n']} seeds")

    figure.suptitle(f"mean ± standard deviation over {seeds} seeds")
    curves.set(xlabel="epoch", ylabel="validation accuracy in %")
    curves.legend()
    bars.set(xticks=range(len(RULES)), xticklabels=list(RULES), xlim=(-0.5, len(RULES) - 0.5), ylabel="test accuracy in %")
    figure.savefig(folder / "error_bars.png", dpi=120)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "runs/examples"))
