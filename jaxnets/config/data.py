"""Data configs: which data set an experiment uses, and how its examples become batches."""

import dataclasses
from typing import ClassVar, Literal

from jaxnets.config.fields import name_of


@dataclasses.dataclass(frozen=True)
class Augment:
    """Random augmentation of training images, applied on the device in the order of the fields. Off by default."""

    crop_padding: int = 0
    """Random crop: pixels added on every side before a window of the original size is cut out at random. 0: no crop."""
    crop_fill: Literal["black", "edge", "reflect"] = "black"
    """Value of the added pixels: black (0), that of the nearest pixel of the image (edge), or the image mirrored at its
    border (reflect)."""
    flip: bool = False
    """Mirror each image left to right with probability 1/2."""
    alternate: bool = False
    """With flip: only the first epoch decides at random. After it an image is mirrored in every second epoch, so that any
    two epochs in a row show it both ways (Jordan 2024)."""
    brightness: float = 0.0
    """Strength x in [0, 1): multiplies each image by a factor drawn from [1 - x, 1 + x]."""
    contrast: float = 0.0
    """Strength x in [0, 1): scales each image's difference from its mean gray by a factor drawn from [1 - x, 1 + x]."""
    saturation: float = 0.0
    """Strength x in [0, 1): scales each image's difference from its gray version by a factor drawn from [1 - x, 1 + x]."""
    cutout: int = 0
    """Side, in pixels, of a black square centered on a random pixel (DeVries and Taylor 2017). 0: no square."""
    function: str = ""
    """A change of your own: a function "module:name" from a key and images in [0, 1] [N, H, W, C] to images of the same
    shape; in a config file, the function itself."""
    mixup: float = 0.0
    """Classifiers: blend images and labels with those of another example of the batch, in a share drawn from Beta(x, x) for
    each batch (Zhang et al. 2018). 0: no blending."""
    cutmix: float = 0.0
    """Classifiers: paste a rectangle from another image of the batch, of an area drawn from Beta(x, x) for each batch, and
    blend labels by area (Yun et al. 2019). With mixup too, a batch takes either with probability 1/2. 0: no pasting."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "function", name_of(self.function))


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """Base of all data configs. A subclass names the task that its data is made for."""

    task: ClassVar[str] = ""
    """The task's module (see jaxnets.tasks), unless the model names another one."""
    independent: ClassVar[bool] = True
    """Whether the examples of a batch are independent of each other, so that a batch can be split into microbatches."""

    reader: ClassVar[str] = ""
    """The module that reads a source of the user's own for this kind of data (see jaxnets.data.own)."""

    source: str
    """Name of a prepared data set (see `jaxnets data status`); "synthetic" for a stand-in that needs no download; the path
    of a file or folder of your own; or tfds:NAME for pictures that TFDS has prepared."""
    synthetic: str = ""
    """The data set that "synthetic" stands for."""
    batch_size: int = 64
    """Examples in a training batch, at least 1."""

    @property
    def dataset(self) -> str:
        """The data set in use: `source`, which is a name or a path, or the stand-in that "synthetic" means."""
        return self.synthetic if self.source == "synthetic" else self.source


@dataclasses.dataclass(frozen=True)
class ImageData(DataConfig):
    """Labeled images, for classification or reconstruction."""

    task: ClassVar[str] = "jaxnets.tasks.classification"
    reader: ClassVar[str] = "jaxnets.data.own.pictures"

    synthetic: str = "shapes10"
    batch_size: int = 128
    """Images in a training batch, at least 1."""
    drop_last: bool = True
    """Drop the last, incomplete batch of an epoch. Otherwise it is filled up with the epoch's first examples."""
    normalize: Literal["unit", "symmetric", "standard", "imagenet"] = "unit"
    """Pixel values: unit scales to [0, 1], symmetric to [-1, 1]; standard gives every channel mean 0 and standard deviation
    1 over the training split; imagenet uses ImageNet's mean and standard deviation, as its pretrained weights expect."""
    shrink: int = 1
    """Downscaling factor, at least 1: each square of this many pixels a side becomes its mean. 2 turns 64×64 into 32×32."""
    gray: bool = False
    """Convert color images to gray (ITU-R BT.601 luma), one channel."""
    eval_flip: bool = False
    """Classifiers: in the end, evaluate held-out splits on the average of the logits of each image and of its mirror image.
    The training split, and validation after each epoch, are evaluated on each image alone."""
    eval_shift: int = 0
    """Classifiers: likewise on the image, with weight 1/2, and on itself moved by this many pixels up and left, and down and
    right, reflected at the border, with weight 1/4 each. 0: on the image alone."""
    augment: Augment = Augment()
    """Random augmentation of training images."""
    size: int | None = None
    """For pictures of your own: the side, in pixels, of the squares that are cut from their middle and resized. None takes
    them as they are, if they all have one size."""


@dataclasses.dataclass(frozen=True)
class NameData(DataConfig):
    """Names, spelled letter by letter."""

    task: ClassVar[str] = "jaxnets.tasks.char_lm"
    reader: ClassVar[str] = "jaxnets.data.own.name_lists"

    synthetic: str = "toy_names"


@dataclasses.dataclass(frozen=True)
class TextData(DataConfig):
    """Running text: each batch continues where the one before ended (truncated backpropagation through time)."""

    task: ClassVar[str] = "jaxnets.tasks.language_model"
    reader: ClassVar[str] = "jaxnets.data.own.running_text"
    independent: ClassVar[bool] = False

    synthetic: str = "toy_words"
    batch_size: int = 20
    """Parallel streams: the text is cut into this many equal parts, which are read side by side."""
    window: int = 35
    """Tokens of each stream in a batch. The state is carried on from the window before; gradients stop at its boundary."""
    tokenizer: Literal["letters", "plain_words", "wiki_words"] | None = None
    """For a text of your own: letters; plain_words, lower-case and split at white space; or wiki_words, with punctuation
    split off too. None takes what the experiment's synthetic stand-in has, letters or plain_words."""


@dataclasses.dataclass(frozen=True)
class ReviewData(DataConfig):
    """Reviews with a label each."""

    task: ClassVar[str] = "jaxnets.tasks.sentiment"
    reader: ClassVar[str] = "jaxnets.data.own.labeled_texts"

    synthetic: str = "toy_reviews"
    batch_size: int = 50
    """Reviews in a training batch, at least 1."""
    vocab_size: int = 1000
    """Size of the vocabulary: the most frequent words. All other words are left out of the reviews."""
    max_length: int = 200
    """Longest review in words. Of a longer one only the last words are read, where opinions are summed up."""
    text_column: str = "text"
    """For a table of your own: the header of the column of texts."""
    label_column: str = "label"
    """For a table of your own: the header of the column of labels."""


@dataclasses.dataclass(frozen=True)
class PairData(DataConfig):
    """Pairs of sentences in two languages."""

    task: ClassVar[str] = "jaxnets.tasks.translation"
    reader: ClassVar[str] = "jaxnets.data.own.sentence_pairs"

    synthetic: str = "toy_pairs"
    teacher_forcing: tuple[float, float] = (1.0, 1.0)
    """Scheduled sampling: the share of true words among the decoder's inputs, in the first epoch and in the last, each in
    [0, 1] and linear in between. The other inputs are the decoder's own predictions."""
    max_length: int = 9
    """For pairs of your own: words and marks of the longest sentence. Longer pairs are left out."""


@dataclasses.dataclass(frozen=True)
class BagOfWordsData(DataConfig):
    """Labeled images as spatial pyramids: histograms of visual words in ever smaller regions (see
    jaxnets.pipeline.visual_words).
    """

    task: ClassVar[str] = "jaxnets.tasks.bag_of_words"
    reader: ClassVar[str] = "jaxnets.data.own.pictures"

    synthetic: str = "shapes10"
    dictionary_size: int = 200
    """Visual words in the dictionary, at least 1."""
    levels: int = 3
    """Levels of the pyramid, 1 to 6. The finest has 2^(levels - 1) regions along each side."""
    cell_sizes: tuple[int, ...] = (4, 6, 8)
    """Sides, in pixels, of the 4×4 cells of a descriptor. Every place has one descriptor of each size that fits."""
    spacing: int = 8
    """Pixels between neighboring places, at least 1."""
    color_weight: float = 0.5
    """Weight of a place's mean color relative to its edge directions, 0 or more."""
    dictionary_samples: int = 40_000
    """Descriptors that the dictionary is learned from, at least 1."""
    kmeans_iterations: int = 15
    """Iterations of k-means, at least 1."""
    size: int | None = None
    """For pictures of your own: the side, in pixels, of the squares that are cut from their middle and resized. None takes
    them as they are, if they all have one size."""
