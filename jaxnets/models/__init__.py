"""The models, as Linen modules, and `build`, which makes one from its configuration."""

from collections.abc import Mapping
from typing import Any

from flax import linen as nn

from jaxnets import model_config
from jaxnets.model_config import ModelConfig
from jaxnets.models.cnn import Cnn
from jaxnets.models.language_model import LanguageModel
from jaxnets.models.lenet import LeNet, TutorialNet
from jaxnets.models.linear import Linear
from jaxnets.models.mlp import Autoencoder, Mlp
from jaxnets.models.name_net import NameNet
from jaxnets.models.resnet import ResNet
from jaxnets.models.resnet50 import ResNet50
from jaxnets.models.rows_net import RowsNet
from jaxnets.models.sentiment_net import SentimentNet
from jaxnets.models.small_cnn import SmallCnn
from jaxnets.models.translator import Translator

_MODULES: dict[type, Any] = {
    model_config.LeNetConfig: LeNet,
    model_config.TutorialNetConfig: TutorialNet,
    model_config.SmallCnnConfig: SmallCnn,
    model_config.CnnConfig: Cnn,
    model_config.MlpConfig: Mlp,
    model_config.AutoencoderConfig: Autoencoder,
    model_config.ResNetConfig: ResNet,
    model_config.ResNet50Config: ResNet50,
    model_config.LinearConfig: Linear,
    model_config.RowsNetConfig: RowsNet,
    model_config.NameNetConfig: NameNet,
    model_config.LanguageModelConfig: LanguageModel,
    model_config.SentimentNetConfig: SentimentNet,
    model_config.TranslatorConfig: Translator,
}


def build(config: ModelConfig, sizes: Mapping[str, int], axis_name: str | None = None) -> nn.Module:
    """The module for `config`.

    `sizes` are the data's, such as {"classes": 10}; a module takes them by these names. `axis_name` is for layers that
    share statistics over the batch (see jaxnets.nn.layers.BatchNorm).
    """
    return _MODULES[type(config)](config=config, axis_name=axis_name, **sizes)
