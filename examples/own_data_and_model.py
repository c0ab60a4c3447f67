"""Data and a model of your own: striped pictures, and a Linen module that tells which way the stripes run.

    python examples/own_data_and_model.py [FOLDER]

In place of the .npz file a folder of pictures will do, with a folder for each class.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import jax
import matplotlib.pyplot as plt
import numpy as np
from flax import linen as nn

import jaxnets
from jaxnets.config import Experiment, ImageData, ModelConfig, Optim


def draw(number: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Noisy stripes: uint8 pictures [number, 24, 24, 1] and labels [number]."""
    rng, label, (y, x) = np.random.default_rng(seed), np.arange(number) % 3, np.mgrid[:24, :24]
    across = np.stack([y, x, (x + y) / 2**0.5])[label]
    waves = np.sin(across * rng.uniform(0.8, 1.5, (number, 1, 1)) + rng.uniform(0, 6, (number, 1, 1)))
    return np.clip(rng.normal(128 + 60 * waves, 80), 0, 255).astype(np.uint8)[..., None], label


class Stripes(nn.Module):
    """Pictures [N, H, W, 1] in [0, 1] -> logits [N, classes]. Layers may be Flax's own or those of jaxnets.nn."""

    config: Any
    classes: int
    axis_name: str | None = None

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> jax.Array:
        x = nn.relu(jaxnets.nn.Conv(self.config.filters, 5, self.config.init)(images))
        return nn.Dense(self.classes, name="head")(x.mean((1, 2)))


@dataclass(frozen=True)
class StripesConfig(ModelConfig):
    """Hyper-parameters of Stripes."""

    target: ClassVar[Any] = Stripes
    filters: int = 16


def main(folder: Path, number: int = 2000, epochs: int = 12) -> None:
    """Trains, loads the trained net, and asks it about new pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    image, label = draw(number, seed=0)
    np.savez(folder / "stripes.npz", image=image, label=label, class_names=("horizontal", "vertical", "diagonal"))
    data, model = ImageData(str(folder / "stripes.npz"), batch_size=50), StripesConfig()
    mine = Experiment("mine/stripes", "", "", data, model, Optim("adam", lr=0.01), epochs=epochs)
    net = jaxnets.load(jaxnets.train(mine, out=folder).folder)
    new, _ = draw(6, seed=1)
    _, axes = plt.subplots(1, 6, figsize=(10, 2), layout="constrained")
    for ax, image, p in zip(axes, new, net(new), strict=True):  # p: probabilities [3]
        ax.imshow(image, cmap="gray")
        ax.set(title=f"{net.meta['class_names'][p.argmax()]} {p.max():.0%}", xticks=[], yticks=[])
    plt.savefig(folder / "own_data_and_model.png", dpi=120)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "runs/examples"))
