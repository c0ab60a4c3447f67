"""The MLP and the autoencoder: loss and gradients equal those of PyTorch twins with copied weights."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: agreement with PyTorch is not tested")

from benchmarks.torch import dense, weights  # noqa: E402
from jaxnets import models, tasks  # noqa: E402
from jaxnets.model_config import AutoencoderConfig, MlpConfig  # noqa: E402

IMAGES = np.random.default_rng(0).uniform(size=(8, 32, 32, 1)).astype(np.float32)
LABELS = np.arange(8) % 5
MASK = np.array([1, 1, 1, 1, 1, 1, 0, 0], np.float32)


def cross_entropy(outputs):
    return torch.nn.functional.cross_entropy(outputs[:6], torch.tensor(LABELS[:6]))


def squared_error(outputs):
    return (outputs - torch.tensor(IMAGES.transpose(0, 3, 1, 2))).square()[:6].sum() / 6


CLASSES = {"classes": 5}
CLASSIFY = CLASSES, lambda config: dense.mlp(config, 5), tasks.classify("image"), cross_entropy
CASES = {
    "mlp": (MlpConfig(hidden=(128,)), *CLASSIFY),
    "deep": (MlpConfig(hidden=(9, 7), activation="tanh"), *CLASSIFY),
    "autoencoder": (AutoencoderConfig(), {}, dense.autoencoder, tasks.reconstruct(), squared_error),
}


@pytest.mark.parametrize("case", CASES)
def test_twins(case):
    config, sizes, make_twin, task, torch_loss = CASES[case]
    rng = np.random.default_rng(1)
    model = models.build(config, sizes)
    params = model.init(jax.random.key(0), jnp.asarray(IMAGES), train=False)["params"]
    params = jax.tree.map(lambda x: jnp.asarray(x + 0.05 * rng.normal(size=x.shape), jnp.float32), params)
    twin = make_twin(config).double()
    weights.copy_to_torch(params, {}, twin)
    batch = {"image": jnp.asarray(IMAGES), "label": jnp.asarray(LABELS), "mask": jnp.asarray(MASK)}

    def loss_fn(params):
        return task.metrics(model.apply({"params": params}, batch["image"], train=True), batch)["loss"].value

    loss, grads = jax.value_and_grad(loss_fn)(params)
    theirs = torch_loss(twin(torch.tensor(IMAGES.transpose(0, 3, 1, 2)).double()))
    theirs.backward()
    assert float(loss) == pytest.approx(theirs.item(), rel=1e-5)
    pairs = list(weights.gradients(grads, twin))
    assert len(pairs) == len(jax.tree.leaves(params))
    for name, ours, expected in pairs:
        assert np.linalg.norm(ours - expected) <= 1e-5 * np.linalg.norm(expected), name
