"""Experiments as data: frozen dataclasses, their checks, and their JSON form.

A config file yields `Experiment`s. The command line overrides any field by its dotted path. The result is validated and
saved in the run folder. Each builder gets its part: the pipeline `data`, the model `model`, the optimizer `optim`. Nothing
here imports jax, so listing experiments is quick.
"""

from jaxnets.config.data import Augment, BagOfWordsData, DataConfig, ImageData, NameData, PairData, ReviewData, TextData
from jaxnets.config.experiment import Experiment, validate, validate_optim, without_description
from jaxnets.config.fast_cnn import FastCNNConfig
from jaxnets.config.fields import field_at, parse_field, with_field, with_fields
from jaxnets.config.loss import Loss
from jaxnets.config.model import (
    AutoencoderConfig,
    CharRNNConfig,
    CNNConfig,
    Init,
    LanguageModelConfig,
    LeNetConfig,
    LinearConfig,
    MLPConfig,
    ModelConfig,
    ResNet50Config,
    ResNetConfig,
    RowRNNConfig,
    SentimentRNNConfig,
    SmallCNNConfig,
    TranslatorConfig,
    TutorialNetConfig,
)
from jaxnets.config.optim import TRACED, Optim, Spsa
from jaxnets.config.serialize import differences, from_json, to_json

__all__ = [
    "TRACED",
    "Augment",
    "AutoencoderConfig",
    "BagOfWordsData",
    "CNNConfig",
    "CharRNNConfig",
    "DataConfig",
    "Experiment",
    "FastCNNConfig",
    "ImageData",
    "Init",
    "LanguageModelConfig",
    "LeNetConfig",
    "LinearConfig",
    "Loss",
    "MLPConfig",
    "ModelConfig",
    "NameData",
    "Optim",
    "PairData",
    "ResNet50Config",
    "ResNetConfig",
    "ReviewData",
    "RowRNNConfig",
    "SentimentRNNConfig",
    "SmallCNNConfig",
    "Spsa",
    "TextData",
    "TranslatorConfig",
    "TutorialNetConfig",
    "differences",
    "field_at",
    "from_json",
    "parse_field",
    "to_json",
    "validate",
    "validate_optim",
    "with_field",
    "with_fields",
    "without_description",
]
