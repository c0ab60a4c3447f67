"""SPSA by itself, on a loss without a gradient: a simulator in NumPy, whose engine is on or off.

    python examples/spsa_alone.py [FOLDER]

A lander falls from 50 m. Its engine burns while it falls faster than a + b · √height. SPSA finds a and b that land softly.
"""

import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax
from jax.typing import ArrayLike

import jaxnets


def fall(parameters: ArrayLike, seconds: float = 0.05) -> np.ndarray:
    """Heights in m and speeds in m/s, positive downwards, until the lander is on the ground: [steps, 2]."""
    a, b = np.asarray(parameters).tolist()
    height, speed = 50.0, 0.0
    flight: list[tuple[float, float]] = []
    while height > 0 and len(flight) < 600:
        burning = speed > a + b * height**0.5
        speed += (1.6 - 4.0 * burning) * seconds  # the moon's gravity and the engine's thrust, in m/s²
        height -= speed * seconds
        flight.append((height, speed))
    return np.array(flight)


def cost(parameters: ArrayLike) -> np.float32:
    """The speed at the end, the height if it is still in the air, and 0.005 for each step of the flight."""
    flight = fall(parameters)
    return np.float32(abs(flight[-1, 1]) + max(flight[-1, 0], 0) + 0.005 * len(flight))


def loss(parameters: jax.Array) -> jax.Array:
    """The cost as jax sees it. spsa maps it over the perturbations; NumPy takes one after the other."""
    return jax.pure_callback(cost, jax.ShapeDtypeStruct((), jnp.float32), parameters, vmap_method="sequential")


def main(folder: Path, steps: int = 300) -> None:
    """Descends, and draws the cost of every step and the flights before and after."""
    folder.mkdir(parents=True, exist_ok=True)
    start = parameters = jnp.array([3.0, 0.2])
    rule = jaxnets.spsa(jax.random.key(0), a=0.5, big_a=steps / 10, c=0.2, num_perturbations=4)
    state, losses, update = rule.init(start), [], jax.jit(lambda state, x: rule.update(None, state, x, value_fn=loss))
    for _ in range(steps):
        losses.append(loss(parameters))
        updates, state = update(state, parameters)
        parameters = optax.apply_updates(parameters, updates)
    print(f"a, b = {np.round(parameters, 2)}: cost {losses[0]:.2f} before, {loss(parameters):.2f} after")
    _, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    left.plot(losses)
    left.set(xlabel="step", ylabel="cost")
    right.plot(*fall(start).T[::-1], *fall(parameters).T[::-1])
    right.set(xlabel="speed in m/s", ylabel="height in m")
    right.legend(["before", "after"])
    plt.savefig(folder / "spsa_alone.png", dpi=120)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "runs/examples"))
