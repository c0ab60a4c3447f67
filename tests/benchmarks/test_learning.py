"""PyTorch's side of training parity: the examples, losses, updates and initial values are ours, written independently."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: its side of the benchmarks is not tested")

from benchmarks import data, training_parity  # noqa: E402
from benchmarks.torch import learning, twins, weights  # noqa: E402
from jaxnets import registry  # noqa: E402
from jaxnets.config import Augment, Init, LanguageModelConfig, LeNetConfig, Loss, Optim, with_fields  # noqa: E402
from jaxnets.optim.schedules import learning_rate  # noqa: E402
from jaxnets.pipeline import augment  # noqa: E402
from jaxnets.training import engine  # noqa: E402
from jaxnets.training.loop import train_epoch  # noqa: E402

torch.set_num_threads(1)  # Threads that wait for each other spin; other tests may need the cores.

_SMALL = {"data.batch_size": 8, "epochs": 3, "seeds": 1, "select": "last", "eval_batch_size": 7}
_BLACK_AND_WHITE = data.images(8, (8, 8, 1), classes=36)
CASES = {
    "images": ("cifar10/lenet/bn", data.images(8), {"data.normalize": "standard"}),
    "gray images": ("cifar10/gray_cnn/plain", data.images(8), {"model.width": 4}),
    "autoencoding": ("nist36/autoencoder", _BLACK_AND_WHITE, {"optim.name": "adamw", "optim.weight_decay": 0.1}),
    "schedule": ("nist36/mlp", _BLACK_AND_WHITE, {"optim.schedule": "cosine", "optim.warmup_epochs": 1.0}),
    "names": ("names/conditional_rnn", data.names(8, categories=3), {"model.hidden": 16}),
    "text": ("text/char_lm", data.running_text(20, 60), {"model.hidden": 16, "data.window": 1, "model.layers": 1}),
    "reviews": ("imdb/lstm", data.reviews(8), {"model.hidden": 16, "data.max_length": 30, "optim.clip": 0.1}),
    "pairs": ("translate/gru", data.pairs(8), {"model.hidden": 16, "optim.name": "rmsprop"}),
}


def make(name):
    """(experiment without dropout, data whose test split is its training split)."""
    id_, make_data, changes = CASES[name]
    experiment = with_fields(registry.all_experiments()[id_], {**_SMALL, **changes})
    rates = {f.name for f in dataclasses.fields(experiment.model) if f.name.startswith("dropout")}
    zero = {rate: (0.0, 0.0) if isinstance(getattr(experiment.model, rate), tuple) else 0.0 for rate in rates}
    dataset = make_data()
    train = dataset.splits["train"]
    splits = {"train": train, "validation": train, "test": train}
    return dataclasses.replace(experiment, model=dataclasses.replace(experiment.model, **zero)), dataset._replace(
        splits=splits
    )


@pytest.mark.parametrize("name", CASES)
def test_the_same_weights_learn_the_same(name, monkeypatch):
    """With one batch an epoch, or windows of one word, there is no order; so losses agree epoch by epoch, and at the end."""
    experiment, dataset = make(name)
    built = engine.build(experiment, dataset)
    state, losses = built.init(), []
    first = jax.tree.map(lambda x: np.asarray(x[0]), (state.params, state.model_state))
    form, _ = twins.build_module(experiment.model, built.task.sizes, built.task.sample_inputs[0].shape[1:])
    for epoch in range(experiment.epochs):
        total = weight = 0.0
        for progress in train_epoch(built, state, epoch):
            state = progress.state
            for _, metrics in progress.metrics:
                total, weight = total + metrics["loss"].total.sum(), weight + metrics["loss"].weight.sum()
        losses.append(total / weight)
    measured, _ = built.evaluate("test", state.variables, False)

    monkeypatch.setattr(learning, "initialize", lambda module, config: weights.copy_to_torch(*first, form, module))
    theirs = learning.train(experiment, dataset, seed=0)
    np.testing.assert_allclose(losses, theirs["train_loss"], rtol=2e-4)
    assert losses[-1] != pytest.approx(losses[0], rel=1e-3)  # Learning, and by so much that agreement means something.
    for metric, mean in measured.items():
        assert float(mean.value[0]) == pytest.approx(theirs[metric], rel=1e-3), metric


@pytest.mark.parametrize(
    "config",
    [
        LeNetConfig(),
        LeNetConfig(init=Init("kaiming_normal", gain=2**0.5, dense_std=0.01, bias=0.01)),
        LeNetConfig(init=Init("normal", std=1.0, bias=0.1)),
        LeNetConfig(init=Init("xavier_uniform", bias=0.0)),
        LanguageModelConfig(embedding=32, hidden=32, tied=True),
    ],
    ids=lambda config: f"{type(config).__name__} {config.init.scheme}",
)
def test_initial_values_spread_as_ours(config):
    """Of the tensors with 600 values and more, in 4 draws: standard errors of a deviation are at most 1.5 %."""
    from jaxnets import models

    is_image = isinstance(config, LeNetConfig)
    sizes, shape = ({"classes": 10}, (32, 32, 3)) if is_image else ({"vocab_size": 50}, (4,))
    model = models.build(config, sizes)
    inputs = jnp.zeros((1, *shape), jnp.float32 if is_image else jnp.int32)
    init = jax.jit(lambda key: model.init(key, inputs, train=False))
    found: dict[str, list] = {}
    for seed in range(4):
        variables = init(jax.random.key(seed))
        torch.manual_seed(seed)
        form, module = twins.build_module(config, sizes, shape)
        learning.initialize(module, config)
        for name, ours, theirs in weights.pairs({"params": variables["params"]}, form, module):
            found.setdefault(name, []).append((np.asarray(ours).ravel(), theirs.numpy().ravel()))
    for name, draws in found.items():
        ours, theirs = (np.concatenate(side) for side in zip(*draws, strict=True))
        if ours.size >= 2400:
            assert ours.std() == pytest.approx(theirs.std(), rel=0.06), name
        if "bias" in name and config.init.bias is not None and "bn" not in name:
            np.testing.assert_array_equal(ours, theirs, err_msg=name)


def test_rates_are_ours():
    config = Optim(lr=1.0, schedule="cosine", warmup_epochs=2)
    ours = learning_rate(config, 1.0, 50, 5)
    np.testing.assert_allclose([learning.rate(config, 50, 5)(k) for k in range(51)], [ours(k) for k in range(51)], atol=1e-6)


def test_gray_is_ours_up_to_rounding():
    images = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), np.uint8)
    difference = learning.gray(images).astype(int) - np.asarray(augment.to_gray(jnp.asarray(images))).astype(int)
    assert np.abs(difference).max() <= 1
    assert np.mean(difference != 0) < 0.02


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"loss": Loss(label_smoothing=0.1)}, "loss"),
        ({"optim": Optim(ema=0.9)}, "optim.ema"),
        ({"optim": Optim(schedule="linear")}, "optim.schedule"),
        ({"steps": 3}, "steps"),
    ],
)
def test_what_is_not_implemented_is_refused(changes, named):
    experiment, dataset = make("images")
    with pytest.raises(ValueError, match=f"PyTorch's side does not implement {named}"):
        learning.train(dataclasses.replace(experiment, **changes), dataset, seed=0)


@pytest.mark.parametrize("name", training_parity.FAMILIES)
def test_every_family_can_be_trained_there(name):
    """All of its settings are implemented: nothing is trained."""
    experiment = training_parity.experiment_of(training_parity.FAMILIES[name])
    learning._refuse_what_is_missing(experiment)
    if isinstance(getattr(experiment.data, "augment", None), Augment):
        learning.make_augment(experiment.data.augment)
