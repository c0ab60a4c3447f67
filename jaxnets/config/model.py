"""Model configs: the hyper-parameters of each architecture. The Linen modules that read them are in jaxnets.models."""

import dataclasses
from collections.abc import Iterator
from typing import Any, ClassVar, Literal

CellName = Literal["rnn", "lstm", "gru"]
_WIDTHS = ("filters", "dense", "hidden", "embedding", "layers", "blocks", "width", "convolutions")


@dataclasses.dataclass(frozen=True)
class Init:
    """How weights and biases start (formulas in jaxnets.nn.init)."""

    scheme: Literal["torch", "xavier_normal", "xavier_uniform", "kaiming_normal", "normal"] = "torch"
    """"torch" is what torch.nn layers do by default: weights and biases uniform in ±1/sqrt(fan_in)."""
    gain: float = 1.0
    """Factor of the Xavier and Kaiming schemes, by the activation: sqrt(2) for ReLU."""
    std: float = 1.0
    """Standard deviation of the "normal" scheme."""
    dense_std: float | None = None
    """Standard deviation of dense layers' weights, normal, in place of the scheme; None: as the scheme says."""
    bias: float | None = None
    """A constant for every bias. None: 0, or the torch rule under the "torch" scheme."""


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """Base of all model configs: the hyper-parameters of an architecture, and the Linen module that reads them."""

    target: ClassVar[Any] = ""
    """The module: "package.module:Class", imported when the model is built, or the class itself."""
    task: ClassVar[str] = ""
    """The module of the task that the model is made for, where it is not the data's."""
    from_torch: ClassVar[str] = ""
    """The function that reads weights in PyTorch's layout, for models that can start from such:
    "package.module:function"."""
    weights_are_images: ClassVar[bool] = False
    """Whether the first layer's weights can be drawn, an image a unit."""

    init: Init = Init()

    def bad_fields(self) -> Iterator[tuple[str, Any]]:
        """Fields whose values cannot work, with the value."""
        if not self.init.std > 0:
            yield "init.std", self.init.std
        if self.init.dense_std is not None and not self.init.dense_std > 0:
            yield "init.dense_std", self.init.dense_std
        if not self.init.gain > 0:
            yield "init.gain", self.init.gain
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            values = value if isinstance(value, tuple) else (value,)
            if "dropout" in field.name and not all(0 <= rate < 1 for rate in values):
                yield field.name, value
            if field.name in _WIDTHS and not all(width >= 1 for width in values):
                yield field.name, value


@dataclasses.dataclass(frozen=True)
class LeNetConfig(ModelConfig):
    """Two 5×5 convolutions with average pooling, then dense layers (report S4 §2.4)."""

    target: ClassVar[Any] = "jaxnets.models.lenet:LeNet"

    activation: Literal["tanh", "leaky_relu"] = "tanh"
    batch_norm: bool = False
    """BatchNorm after each activation, also in the dense part."""
    dropout_input: float = 0.0
    dropout_conv: tuple[float, float] = (0.0, 0.0)
    """Rates after each convolution's activation (and BatchNorm)."""
    dropout_dense: float = 0.0
    dense: tuple[int, ...] = (120, 84)


@dataclasses.dataclass(frozen=True)
class TutorialNetConfig(ModelConfig):
    """The PyTorch tutorial's CIFAR-10 net: LeNet's shape with ReLU and max-pooling (report S0 §1)."""

    target: ClassVar[Any] = "jaxnets.models.lenet:TutorialNet"


@dataclasses.dataclass(frozen=True)
class SmallCNNConfig(ModelConfig):
    """Three padded convolutions with BatchNorm, under 50,000 parameters (report S1 Q1)."""

    target: ClassVar[Any] = "jaxnets.models.small_cnn:SmallCNN"

    filters: tuple[int, int, int] = (16, 32, 64)
    dense: int = 16


@dataclasses.dataclass(frozen=True)
class CNNConfig(ModelConfig):
    """Convolutions, each with ReLU and 2×2 max-pooling, then dense layers (report S3 Q1)."""

    target: ClassVar[Any] = "jaxnets.models.cnn:CNN"

    width: int = 32
    """Filters of the first convolution; each further one has twice as many."""
    convolutions: int = 2
    kernel: int = 3
    batch_norm: bool = False
    """BatchNorm before each ReLU."""
    dropout_conv: float = 0.0
    """After each pooling."""
    dense: int = 128
    dropout_dense: float = 0.0

    def bad_fields(self) -> Iterator[tuple[str, Any]]:
        """Also kernels that have no middle."""
        yield from super().bad_fields()
        if self.kernel < 1 or self.kernel % 2 == 0:
            yield "kernel", self.kernel


@dataclasses.dataclass(frozen=True)
class MLPConfig(ModelConfig):
    """Dense layers on the pixels of an image (report S2 Q3)."""

    target: ClassVar[Any] = "jaxnets.models.mlp:MLP"
    weights_are_images: ClassVar[bool] = True

    hidden: tuple[int, ...] = (128,)
    activation: Literal["sigmoid", "tanh", "relu"] = "sigmoid"


@dataclasses.dataclass(frozen=True)
class AutoencoderConfig(ModelConfig):
    """Images through a narrow layer and back (report S2 Q5)."""

    target: ClassVar[Any] = "jaxnets.models.autoencoder:Autoencoder"
    task: ClassVar[str] = "jaxnets.tasks.autoencoding"

    hidden: tuple[int, ...] = (32, 32, 32)
    """Widths of the dense layers between the pixels and the pixels."""
    filters: tuple[int, ...] = ()
    """Of convolutions that halve the image on its way in, and double it on its way out."""


@dataclasses.dataclass(frozen=True)
class ResNetConfig(ModelConfig):
    """Residual blocks of two 3×3 convolutions (report S4 §2.5)."""

    target: ClassVar[Any] = "jaxnets.models.resnet:ResNet"

    blocks: tuple[int, ...] = (3, 4, 6, 3)
    """In each stage."""
    width: int = 64
    """Channels of the first stage; each further stage has twice as many."""
    dropout: float = 0.0
    """Share of channels dropped after each BatchNorm that is not on a shortcut."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Type of activations and of products. Parameters, statistics and the loss are always float32."""
    remat: bool = False
    """Recompute each block's inside in the backward pass: less memory for a third more work."""


@dataclasses.dataclass(frozen=True)
class ResNet50Config(ModelConfig):
    """Bottleneck blocks for photographs (He et al. 2015; report S2 Q6.1.4)."""

    target: ClassVar[Any] = "jaxnets.models.resnet50:ResNet50"
    from_torch: ClassVar[str] = "jaxnets.models.resnet50:from_torch"

    weights: str = "hub"
    """What to start from: a safetensors file in the layout of torchvision and timm; "hub": ImageNet weights, downloaded on
    first use; "none": random weights. A last layer for another number of classes is left random."""
    blocks: tuple[int, ...] = (3, 4, 6, 3)
    """In each stage."""
    width: int = 64
    """Channels inside the first stage's blocks; each further stage has twice as many."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Type of activations and of products. Parameters, statistics and the loss are always float32."""
    remat: bool = False
    """Recompute each block's inside in the backward pass: less memory for a third more work."""

    def bad_fields(self) -> Iterator[tuple[str, Any]]:
        """Also an empty name of a file."""
        yield from super().bad_fields()
        if not self.weights:
            yield "weights", self.weights


@dataclasses.dataclass(frozen=True)
class LinearConfig(ModelConfig):
    """One dense layer."""

    target: ClassVar[Any] = "jaxnets.models.linear:Linear"


@dataclasses.dataclass(frozen=True)
class RowRNNConfig(ModelConfig):
    """A recurrent net that reads an image row by row (report S3 Q3)."""

    target: ClassVar[Any] = "jaxnets.models.row_rnn:RowRNN"

    cell: CellName = "lstm"
    hidden: int = 128


@dataclasses.dataclass(frozen=True)
class CharRNNConfig(ModelConfig):
    """Spells names letter by letter (reports S4 §6.8 and S1 Q2)."""

    target: ClassVar[Any] = "jaxnets.models.char_rnn:CharRNN"

    cell: Literal["linear", "gru", "lstm"] = "linear"
    """"linear" is the reports' own cell, whose state is a linear map of the state and the letter before."""
    hidden: int = 128
    dropout: float = 0.1
    conditional: bool = False
    """Whether the category of the name is an input."""


@dataclasses.dataclass(frozen=True)
class LanguageModelConfig(ModelConfig):
    """Predicts the next token of running text (reports S0 §2, S4 §6.9 and §6.10)."""

    target: ClassVar[Any] = "jaxnets.models.language_model:LanguageModel"

    cell: CellName = "lstm"
    embedding: int = 256
    hidden: int = 256
    layers: int = 2
    dropout: float = 0.0
    """On the embeddings, between layers, and before the head."""
    tied: bool = False
    """Whether the head's weights are the embedding's; needs embedding = hidden."""

    def bad_fields(self) -> Iterator[tuple[str, Any]]:
        """Also a tied head that does not fit."""
        yield from super().bad_fields()
        if self.tied and self.embedding != self.hidden:
            yield "tied", f"{self.tied} where embedding is {self.embedding} and hidden {self.hidden}"


@dataclasses.dataclass(frozen=True)
class SentimentRNNConfig(ModelConfig):
    """Tells good reviews from bad ones (report S4 §6.11)."""

    target: ClassVar[Any] = "jaxnets.models.sentiment_rnn:SentimentRNN"

    cell: CellName = "lstm"
    embedding: int = 64
    hidden: int = 256
    layers: int = 2
    dropout: float = 0.3
    """Before the last layer."""
    dropout_inner: float = 0.0
    """On the embeddings and between recurrent layers."""
    pool: Literal["last", "mean_max"] = "last"
    """What of the recurrent outputs is classified: the last one, or their mean and maximum over the words."""


@dataclasses.dataclass(frozen=True)
class TranslatorConfig(ModelConfig):
    """Encoder and decoder (report S4 §6.12)."""

    target: ClassVar[Any] = "jaxnets.models.translator:Translator"

    cell: CellName = "gru"
    hidden: int = 256
    """Also the width of the embeddings."""
    dropout: float = 0.0
    attention: bool = False
    """Luong's dot-product attention over the encoder's outputs."""
