"""Model configs: the hyper-parameters of each architecture. The Linen modules that use them are in jaxnets.models."""

import dataclasses
from collections.abc import Iterator
from typing import Any, ClassVar, Literal

HUB, NO_WEIGHTS = "hub", "none"
"""Values of `ModelConfig.weights` that are no path: the published weights, and random ones."""
CellName = Literal["rnn", "lstm", "gru"]
_WIDTHS = ("filters", "dense", "hidden", "embedding", "layers", "blocks", "width", "widths", "convolutions")
_WIDEST = 2**24
"""Arrays of products of larger ones have more than the 2^64 elements that can be drawn at random."""


@dataclasses.dataclass(frozen=True)
class Init:
    """Initialization of weights and biases (formulas in jaxnets.nn.init)."""

    scheme: Literal["torch", "xavier_normal", "xavier_uniform", "kaiming_normal", "normal"] = "torch"
    """Distribution of the weights. torch is the default of torch.nn: weights and biases uniform in ±1/sqrt(fan_in)."""
    gain: float = 1.0
    """Factor of the Xavier and Kaiming schemes, above 0. It depends on the activation: sqrt(2) for ReLU."""
    std: float = 1.0
    """Standard deviation of the normal scheme, above 0."""
    dense_std: float | None = None
    """If given, the weights of dense layers are normal with this standard deviation, above 0, whatever the scheme."""
    bias: float | None = None
    """Constant value of all biases. None: 0, or uniform as the weights under the torch scheme."""
    identity: bool = False
    """Convolutions of odd side pass on their inputs: of C input channels the first C filters are replaced by those that copy
    a channel each, as `torch.nn.init.dirac_` makes them. Filters beyond C follow the scheme."""


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """Base of all model configs. A subclass adds the hyper-parameters of its architecture and names its Linen module."""

    target: ClassVar[Any] = ""
    """The Linen module: "package.module:Class", which is imported when the model is built, or the class itself."""
    task: ClassVar[str] = ""
    """The task's module, if the model is made for another task than the one its data names."""
    has_published_weights: ClassVar[bool] = False
    """Whether "hub" means something as `weights`."""
    weights_are_images: ClassVar[bool] = False
    """Whether the first layer's weights can be drawn as one image a unit."""

    init: Init = Init()
    """Initialization of weights and biases."""
    weights: str = NO_WEIGHTS
    """Initial weights: a safetensors file, of a run of the same net, in which each seed finds its own, or in the layout of
    PyTorch (see `jaxnets export`); "none": random weights. A last layer for another number of classes stays random."""

    def bad_fields(self) -> Iterator[tuple[str, Any]]:
        """(name, value) of every field with an invalid value."""
        if not self.init.std > 0:
            yield "init.std", self.init.std
        if self.init.dense_std is not None and not self.init.dense_std > 0:
            yield "init.dense_std", self.init.dense_std
        if not self.init.gain > 0:
            yield "init.gain", self.init.gain
        if not self.weights or (self.weights == HUB and not self.has_published_weights):
            yield "weights", self.weights
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            values = value if isinstance(value, tuple) else (value,)
            if "dropout" in field.name and not all(0 <= rate <= 1 - 2**-16 for rate in values):  # See nn.Dropout.
                yield field.name, value
            if field.name in _WIDTHS and not all(1 <= width <= _WIDEST for width in values):
                yield field.name, value


@dataclasses.dataclass(frozen=True)
class LeNetConfig(ModelConfig):
    """LeNet: two 5×5 convolutions with average pooling, then dense layers (report S4 §2.4)."""

    target: ClassVar[Any] = "jaxnets.models.lenet:LeNet"

    activation: Literal["tanh", "leaky_relu"] = "tanh"
    """Nonlinearity of all hidden layers."""
    batch_norm: bool = False
    """BatchNorm after each activation, in the dense part too."""
    dropout_input: float = 0.0
    """Dropout rate of the input image, in [0, 1)."""
    dropout_conv: tuple[float, float] = (0.0, 0.0)
    """Dropout rates after the two convolution blocks' activation and BatchNorm, each in [0, 1)."""
    dropout_dense: float = 0.0
    """Dropout rate after each hidden dense layer, in [0, 1)."""
    dense: tuple[int, ...] = (120, 84)
    """Units of the hidden dense layers; () for none."""


@dataclasses.dataclass(frozen=True)
class TutorialNetConfig(ModelConfig):
    """The PyTorch tutorial's CIFAR-10 net: LeNet's shape with ReLU and max-pooling (report S0 §1)."""

    target: ClassVar[Any] = "jaxnets.models.lenet:TutorialNet"


@dataclasses.dataclass(frozen=True)
class SmallCNNConfig(ModelConfig):
    """Three padded convolutions with BatchNorm and two dense layers, under 50,000 parameters (report S1 Q1)."""

    target: ClassVar[Any] = "jaxnets.models.small_cnn:SmallCNN"

    filters: tuple[int, int, int] = (16, 32, 64)
    """Filters of each convolution."""
    dense: int = 16
    """Units of the hidden dense layer."""


@dataclasses.dataclass(frozen=True)
class CNNConfig(ModelConfig):
    """Convolutions, each with ReLU and 2×2 max-pooling, then two dense layers (report S3 Q1)."""

    target: ClassVar[Any] = "jaxnets.models.cnn:CNN"

    width: int = 32
    """Filters of the first convolution; each further one has twice as many."""
    convolutions: int = 2
    """Number of convolutions, at least 1."""
    kernel: int = 3
    """Side of the convolution kernels, an odd number."""
    batch_norm: bool = False
    """BatchNorm after each convolution, before its ReLU."""
    dropout_conv: float = 0.0
    """Dropout rate after each pooling, in [0, 1)."""
    dense: int = 128
    """Units of the hidden dense layer."""
    dropout_dense: float = 0.0
    """Dropout rate before the last layer, in [0, 1)."""

    def bad_fields(self) -> Iterator[tuple[str, Any]]:
        """Adds kernels without a central pixel."""
        yield from super().bad_fields()
        if self.kernel < 1 or self.kernel % 2 == 0:
            yield "kernel", self.kernel


@dataclasses.dataclass(frozen=True)
class MLPConfig(ModelConfig):
    """A multilayer perceptron on the pixels of an image (report S2 Q3)."""

    target: ClassVar[Any] = "jaxnets.models.mlp:MLP"
    weights_are_images: ClassVar[bool] = True

    hidden: tuple[int, ...] = (128,)
    """Units of each hidden layer."""
    activation: Literal["sigmoid", "tanh", "relu"] = "sigmoid"
    """Nonlinearity of the hidden layers."""


@dataclasses.dataclass(frozen=True)
class AutoencoderConfig(ModelConfig):
    """An autoencoder: images through a narrow layer and back (report S2 Q5)."""

    target: ClassVar[Any] = "jaxnets.models.autoencoder:Autoencoder"
    task: ClassVar[str] = "jaxnets.tasks.autoencoding"

    hidden: tuple[int, ...] = (32, 32, 32)
    """Units of each dense layer between the input and the reconstruction."""
    filters: tuple[int, ...] = ()
    """Filters of convolutions that halve the image in the encoder and double it in the decoder; () for dense layers only."""


@dataclasses.dataclass(frozen=True)
class ResNetConfig(ModelConfig):
    """ResNet with residual blocks of two 3×3 convolutions; by default ResNet-34 for small images (report S4 §2.5)."""

    target: ClassVar[Any] = "jaxnets.models.resnet:ResNet"

    blocks: tuple[int, ...] = (3, 4, 6, 3)
    """Residual blocks in each stage."""
    width: int = 64
    """Channels of the first stage; each further stage has twice as many as the one before."""
    dropout: float = 0.0
    """Spatial dropout: share of channels dropped after each BatchNorm except those of shortcuts, in [0, 1)."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Type of activations and matrix products. Parameters, BatchNorm's statistics and the loss are always float32."""
    remat: bool = False
    """Recompute the activations inside each block in the backward pass: less memory for about a third more work."""


@dataclasses.dataclass(frozen=True)
class ResNet50Config(ModelConfig):
    """ResNet-50: bottleneck blocks for photographs of about 224×224 pixels (He et al. 2015; report S2 Q6.1.4)."""

    target: ClassVar[Any] = "jaxnets.models.resnet50:ResNet50"
    has_published_weights: ClassVar[bool] = True

    weights: str = HUB
    """Initial weights: a safetensors file, of a run or in the layout of torchvision and timm; "hub": ImageNet weights,
    downloaded on first use; "none": random weights. A last layer for another number of classes stays random."""
    blocks: tuple[int, ...] = (3, 4, 6, 3)
    """Residual blocks in each stage."""
    width: int = 64
    """Inner channels of the first stage's blocks; each further stage has twice as many as the one before."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Type of activations and matrix products. Parameters, BatchNorm's statistics and the loss are always float32."""
    remat: bool = False
    """Recompute the activations inside each block in the backward pass: less memory for about a third more work."""


@dataclasses.dataclass(frozen=True)
class LinearConfig(ModelConfig):
    """Linear classifier: one dense layer."""

    target: ClassVar[Any] = "jaxnets.models.linear:Linear"


@dataclasses.dataclass(frozen=True)
class RowRNNConfig(ModelConfig):
    """A recurrent network that reads an image row by row (report S3 Q3)."""

    target: ClassVar[Any] = "jaxnets.models.row_rnn:RowRNN"

    cell: CellName = "lstm"
    """Kind of recurrent cell."""
    hidden: int = 128
    """Units of the recurrent layer."""


@dataclasses.dataclass(frozen=True)
class CharRNNConfig(ModelConfig):
    """A recurrent network that spells names letter by letter (reports S4 §6.8 and S1 Q2)."""

    target: ClassVar[Any] = "jaxnets.models.char_rnn:CharRNN"

    cell: Literal["linear", "gru", "lstm"] = "linear"
    """Kind of recurrent cell. linear is the reports' cell: its next state is a linear map of the letter and the state."""
    hidden: int = 128
    """Units of the recurrent layer."""
    dropout: float = 0.1
    """Dropout rate of the outputs, in [0, 1)."""
    conditional: bool = False
    """Whether the name's category is an input."""


@dataclasses.dataclass(frozen=True)
class LanguageModelConfig(ModelConfig):
    """A recurrent language model of running text (reports S0 §2, S4 §6.9 and §6.10)."""

    target: ClassVar[Any] = "jaxnets.models.language_model:LanguageModel"

    cell: CellName = "lstm"
    """Kind of recurrent cell."""
    embedding: int = 256
    """Width of the token embeddings."""
    hidden: int = 256
    """Units of each recurrent layer."""
    layers: int = 2
    """Number of recurrent layers."""
    dropout: float = 0.0
    """Dropout rate on the embeddings, between layers and before the head, in [0, 1)."""
    tied: bool = False
    """Use the embedding matrix as the head's weights. Requires embedding = hidden."""

    def bad_fields(self) -> Iterator[tuple[str, Any]]:
        """Adds a tied head whose width does not match."""
        yield from super().bad_fields()
        if self.tied and self.embedding != self.hidden:
            yield "tied", f"{self.tied} where embedding is {self.embedding} and hidden {self.hidden}"


@dataclasses.dataclass(frozen=True)
class SentimentRNNConfig(ModelConfig):
    """A recurrent classifier of reviews as positive or negative (report S4 §6.11)."""

    target: ClassVar[Any] = "jaxnets.models.sentiment_rnn:SentimentRNN"

    cell: CellName = "lstm"
    """Kind of recurrent cell."""
    embedding: int = 64
    """Width of the word embeddings."""
    hidden: int = 256
    """Units of each recurrent layer."""
    layers: int = 2
    """Number of recurrent layers."""
    dropout: float = 0.3
    """Dropout rate before the last layer, in [0, 1)."""
    dropout_inner: float = 0.0
    """Dropout rate on the embeddings and between recurrent layers, in [0, 1)."""
    pool: Literal["last", "mean_max"] = "last"
    """What is classified: the last recurrent output, or the outputs' mean and maximum over the words."""


@dataclasses.dataclass(frozen=True)
class TranslatorConfig(ModelConfig):
    """A recurrent encoder and decoder for translation (report S4 §6.12)."""

    target: ClassVar[Any] = "jaxnets.models.translator:Translator"

    cell: CellName = "gru"
    """Kind of recurrent cell."""
    hidden: int = 256
    """Units of the encoder and of the decoder, and width of the embeddings."""
    dropout: float = 0.0
    """Dropout rate on the embeddings and before the head, in [0, 1)."""
    attention: bool = False
    """Dot-product attention over the encoder's outputs (Luong et al. 2015)."""
