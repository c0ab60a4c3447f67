"""ResNet-50 from a file that PyTorch wrote: logits, loss, gradients and BatchNorm's statistics."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: agreement with PyTorch is not tested")

from safetensors.torch import save_file  # noqa: E402

from benchmarks.torch import twins, weights  # noqa: E402
from jaxnets import models  # noqa: E402
from jaxnets.config.model import ResNet50Config  # noqa: E402
from jaxnets.models import pretrained  # noqa: E402
from jaxnets.tasks import losses  # noqa: E402
from jaxnets.training import state  # noqa: E402

NARROW = ResNet50Config(blocks=(1, 2), width=8)


def make(tmp_path, config, classes, side):
    """A twin with random weights, biases and statistics, our model with its weights from a file, and images."""
    torch.manual_seed(0)
    form, twin = twins.build_module(config, {"classes": classes}, (side, side, 3))
    with torch.no_grad():
        for module in twin.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.weight.uniform_(0.5, 1)
                module.bias.normal_(std=0.1)
                module.running_mean.normal_(std=0.1)
                module.running_var.uniform_(0.5, 2)
    save_file(twin.state_dict(), tmp_path / "resnet50.safetensors")
    config = ResNet50Config(blocks=config.blocks, width=config.width, weights=str(tmp_path / "resnet50.safetensors"))
    model = models.build(config, {"classes": classes})
    like = jax.eval_shape(lambda key: model.init(key, jnp.zeros((1, side, side, 3)), train=False), jax.random.key(0))
    images = np.random.default_rng(0).normal(size=(4, side, side, 3)).astype(np.float32)
    variables = pretrained.load(model, like, (side, side, 3), seeds=1).shared
    return (form, twin), model, variables, like, images


def theirs(twin, images):
    return twin(torch.tensor(images.transpose(0, 3, 1, 2)).to(next(twin.parameters()).dtype))


@pytest.mark.parametrize(("config", "side"), [(ResNet50Config(), 64), (NARROW, 96), (NARROW, 51)], ids=str)
def test_logits_in_evaluation_mode(tmp_path, config, side):
    (_, twin), model, variables, like, images = make(tmp_path, config, 1000, side)
    assert jax.tree.structure(variables) == jax.tree.structure(like)
    if config.width == 64:
        assert state.parameter_count(variables["params"]) == sum(p.numel() for p in twin.parameters()) == 25_557_032
    ours = jax.jit(lambda variables, images: model.apply(variables, images, train=False))(variables, images)
    with torch.no_grad():
        expected = theirs(twin.eval(), images).numpy()
    assert np.linalg.norm(ours - expected) <= 1e-4 * np.linalg.norm(expected)
    np.testing.assert_allclose(ours, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())


def test_training_mode(tmp_path):
    (form, twin), model, variables, _, images = make(tmp_path, NARROW, 5, 64)
    labels = np.array([0, 3, 1, 4])
    params, stats = variables["params"], {"batch_stats": variables["batch_stats"]}

    def loss_fn(params):
        logits, updated = model.apply({"params": params, **stats}, images, train=True, mutable=["batch_stats"])
        return losses.cross_entropy(logits, jnp.asarray(labels), jnp.ones(4)).value, updated

    (loss, updated), grads = jax.jit(jax.value_and_grad(loss_fn, has_aux=True))(params)
    twin.double().train()
    expected = torch.nn.functional.cross_entropy(theirs(twin, images), torch.tensor(labels))
    expected.backward()
    np.testing.assert_allclose(loss, expected.item(), rtol=1e-5)
    pairs = list(weights.gradients(grads, form, twin))
    assert len(pairs) == len(jax.tree.leaves(params))
    for name, own, wanted in pairs:
        assert np.linalg.norm(own - wanted) <= 1e-4 * np.linalg.norm(wanted), name
    means = [pair for name, *pair in weights.pairs(updated, form, twin) if name.endswith("running_mean")]
    assert len(means) == 2 + 3 * 3 + 1
    for own, wanted in means:
        np.testing.assert_allclose(own, wanted, rtol=1e-4, atol=1e-5)
