"""Loss and gradients equal those of PyTorch twins with copied weights."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: agreement with PyTorch is not tested")

from benchmarks.torch import twins, weights  # noqa: E402
from jaxnets import models, registry  # noqa: E402
from jaxnets.config import FastCNNConfig  # noqa: E402
from jaxnets.config.model import Init, ResNetConfig  # noqa: E402
from jaxnets.nn.layers import Dropout  # noqa: E402
from jaxnets.tasks import classification  # noqa: E402
from jaxnets.training import state  # noqa: E402

TASK = classification.objective("image")
# One of each architecture; the initialization makes no difference here. ResNets are narrow ones of every kind. The full
# ResNet-34, which is slow, has one test.
CONFIGS = {
    **{e.id: e.model for e in registry.select(["cifar10"]) if not isinstance(e.model, ResNetConfig)},
    "narrow resnet": ResNetConfig(blocks=(1, 2), width=8),
    "narrow resnet, dropout and remat": ResNetConfig(blocks=(1, 2), width=8, dropout=0.1, remat=True),
}
_ARCHITECTURES = [dataclasses.replace(config, init=Init()) for config in CONFIGS.values()]
CONFIGS = {name: config for i, (name, config) in enumerate(CONFIGS.items()) if _ARCHITECTURES[i] not in _ARCHITECTURES[:i]}


def relative(ours, theirs, scale):
    """Error relative to the tensor's norm. A bias before BatchNorm has no effect, so its gradients are only rounding errors:
    norms below a millionth of the largest gradient count as 0."""
    if max(np.linalg.norm(ours), np.linalg.norm(theirs)) < 1e-6 * scale:
        return 0
    return np.linalg.norm(ours - theirs) / np.linalg.norm(theirs)


def make(config, seed=0, batch=16, noise=0.1):
    """Our model and its twin with the same random weights, biases and statistics, and a batch.

    `noise` is the standard deviation of what is added to all parameters, so that none has a special value. The twin computes
    in float64, so only our rounding is measured.
    """
    sizes, rng = {"classes": 10}, np.random.default_rng(seed)
    model = models.build(config, sizes)
    init = jax.jit(lambda key: model.init(key, jnp.zeros((1, 32, 32, 3)), train=False))
    variables = jax.tree.map(np.asarray, dict(init(jax.random.key(seed))))
    jitter = lambda x: (x + noise * rng.normal(size=x.shape)).astype(np.float32)
    params = jax.tree.map(jitter, variables.pop("params"))
    variables = jax.tree.map(lambda x: np.abs(jitter(x)) + np.float32(0.1), variables)
    form, twin = twins.build_module(config, sizes, (32, 32, 3))
    weights.copy_to_torch(params, variables, form, twin.double())
    images = rng.normal(size=(batch, 32, 32, 3)).astype(np.float32).astype(np.float64)  # Exact in both precisions.
    labels = rng.integers(0, 10, batch)
    return model, params, variables, (form, twin), images, labels


def batch_of(images, labels):
    return {"image": images.astype(np.float32), "label": labels.astype(np.int32), "mask": np.ones(len(labels), np.float32)}


def compare(config, train, tolerance=1e-5, **options):
    model, params, variables, (form, twin), images, labels = make(config, **options)

    def loss_fn(params, variables, batch):
        outputs, updated = model.apply(
            {"params": params, **variables},
            batch["image"],
            train=train,
            rngs={"dropout": jax.random.key(0)},
            mutable=list(variables) if train else [],
        )
        return TASK.metrics(outputs, batch)["loss"].value, updated

    run = jax.jit(jax.value_and_grad(loss_fn, has_aux=True))
    (loss, updated), grads = run(params, variables, batch_of(images, labels))
    twin.train(train)
    theirs = torch.nn.functional.cross_entropy(twin(torch.tensor(images.transpose(0, 3, 1, 2))), torch.tensor(labels))
    theirs.backward()
    assert abs(float(loss) - theirs.item()) <= tolerance * abs(theirs.item())
    pairs = list(weights.gradients(grads, form, twin))
    assert len(pairs) == len(jax.tree.leaves(params))
    scale = max(np.linalg.norm(g) for _, _, g in pairs)
    for name, ours, expected in pairs:
        assert relative(ours, expected, scale) <= tolerance, name
    return updated, (form, twin), len(labels)


# Of the others `make test` compares outputs in this mode, in test_export.py, and the gradients of training.
QUICK = ("cifar10/lenet/bn", "cifar10/gray_cnn/best")


@pytest.mark.parametrize("name", [pytest.param(name, marks=[] if name in QUICK else [pytest.mark.slow]) for name in CONFIGS])
def test_evaluation_mode(name):
    compare(CONFIGS[name], train=False)


def without_dropout(config):
    zero = lambda value: tuple(0.0 for _ in value) if isinstance(value, tuple) else 0.0
    rates = {f.name: zero(getattr(config, f.name)) for f in dataclasses.fields(config) if f.name.startswith("dropout")}
    return dataclasses.replace(config, **rates)


def narrow(config):
    """In half a million windows some two numbers differ by a rounding error alone, and the gradient may go to either."""
    return dataclasses.replace(config, widths=(4, 8, 8)) if isinstance(config, FastCNNConfig) else config


@pytest.mark.parametrize("name", CONFIGS)
def test_training_mode(name):
    updated, twin, _ = compare(narrow(without_dropout(CONFIGS[name])), train=True)
    means = {name: pair for name, *pair in weights.pairs(updated, *twin) if name.endswith("running_mean")}
    assert set(means) == {name for name, _ in twin[1].named_buffers() if name.endswith("running_mean")}
    for ours, theirs in means.values():
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_resnet34():
    """The full network in evaluation mode. In training mode its BatchNorms amplify rounding errors beyond comparison."""
    compare(ResNetConfig(), train=False, batch=4, noise=0.01)


def test_running_variance_differs_by_the_bessel_factor():
    """Ours averages the biased variance, PyTorch the unbiased one; nothing else differs."""
    config = without_dropout(registry.all_experiments()["cifar10/lenet/super"].model)
    _, _, variables, _, _, _ = make(config)
    updated, (_, twin), batch = compare(config, train=True)
    first = next(m for m in twin.modules() if isinstance(m, torch.nn.BatchNorm2d))
    count = batch * 28 * 28
    before = np.asarray(variables["batch_stats"]["BatchNorm_0"]["var"])
    ours = np.asarray(updated["batch_stats"]["BatchNorm_0"]["var"]) - 0.9 * before
    theirs = first.running_var.numpy() - 0.9 * before
    np.testing.assert_allclose(theirs, ours * count / (count - 1), rtol=1e-3)


@pytest.mark.parametrize("name", [name for name, config in CONFIGS.items() if without_dropout(config) != config])
def test_dropout_is_in_the_same_places_with_the_same_rates(name, monkeypatch):
    """With dropout replaced by a factor of 1 - rate on both sides, training passes agree."""
    monkeypatch.setattr(Dropout, "__call__", lambda self, x, *, train: x * (1 - self.rate / (2 if self.spatial else 1)))
    monkeypatch.setattr(torch.nn.Dropout, "forward", lambda self, x: x * (1 - self.p))
    monkeypatch.setattr(torch.nn.Dropout2d, "forward", lambda self, x: x * (1 - self.p / 2))
    compare(CONFIGS[name], train=True)


def test_a_training_step_updates_both_sides_alike():
    """One update by Adam from copied weights gives the same weights."""
    experiment = registry.all_experiments()["cifar10/lenet/plain"]
    from jaxnets.optim import optimizer
    from jaxnets.training.step import make_train_step

    model, params, variables, (form, twin), images, labels = make(experiment.model)
    tx = optimizer.build(experiment.optim, 1, 1)
    rule = jax.jit(tx.init)(params)
    start = state.TrainState(np.int32(0), params, variables, rule, jax.random.key(0), carry=(), failed_at=np.int32(-1))
    batch = batch_of(images, labels)
    after, _ = jax.jit(make_train_step(model, TASK, tx))(start, batch)
    rule = torch.optim.Adam(twin.parameters(), lr=experiment.optim.lr)
    torch.nn.functional.cross_entropy(twin(torch.tensor(images.transpose(0, 3, 1, 2))), torch.tensor(labels)).backward()
    rule.step()
    for name, array, tensor in weights.pairs({"params": after.params}, form, twin):
        np.testing.assert_allclose(array, tensor, rtol=1e-4, atol=2e-6, err_msg=name)
