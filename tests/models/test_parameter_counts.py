"""Every model has as many parameters as its report says."""

import jax
import numpy as np
import pytest

from jaxnets import models, registry
from jaxnets.config.model import CNNConfig, LeNetConfig, ResNetConfig
from jaxnets.data import catalog
from jaxnets.tasks import task as tasks
from jaxnets.training import engine

EXPERIMENTS = [e for e in registry.all_experiments().values() if "parameters" in e.reported]


@pytest.mark.parametrize("experiment", EXPERIMENTS, ids=lambda e: e.id)
def test_count_equals_the_reported_one(experiment):
    task = tasks.build(experiment, catalog.get(experiment.dataset).element_spec())
    assert engine.count_parameters(experiment, task) == experiment.reported["parameters"]


# Each architecture once, from small weights: large Gaussian ones overflow in evaluation before anything is trained.
SMALL_RESNET = ResNetConfig(blocks=(1, 2), width=8)
MODELS = {type(e.model).__name__: e.model for e in EXPERIMENTS if e.dataset == "cifar10"} | {"ResNetConfig": SMALL_RESNET}


@pytest.mark.parametrize("config", [*MODELS.values(), LeNetConfig(batch_norm=True), CNNConfig()], ids=str)
def test_logits_have_one_column_a_class_and_follow_the_images(config):
    model = models.build(config, {"classes": 7})
    images = np.random.default_rng(0).normal(size=(3, 32, 32, 3)).astype(np.float32)
    variables = jax.jit(lambda key: model.init(key, images, train=False))(jax.random.key(1))
    apply = jax.jit(lambda images: model.apply(variables, images, train=False))
    logits = np.asarray(apply(images))
    assert logits.shape == (3, 7)
    # In evaluation an image's logits do not depend on its neighbors.
    np.testing.assert_allclose(logits[1:2], apply(images[1:2]), rtol=1e-5, atol=1e-5)
