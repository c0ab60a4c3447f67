"""Data configs: where examples come from and how they become batches."""

import dataclasses
from typing import ClassVar, Literal


@dataclasses.dataclass(frozen=True)
class Augment:
    """Random changes to training images, made on the device in the order of the fields."""

    crop_padding: int = 0
    """Pixels added on every side before a crop of the original size is taken at random."""
    crop_fill: Literal["black", "edge"] = "black"
    """What those pixels are: 0, or as the nearest of the image."""
    flip: bool = False
    """Mirror left to right with probability one half."""
    brightness: float = 0.0
    """Multiply by a factor drawn from [1 - x, 1 + x]."""
    contrast: float = 0.0
    """Blend with the image's mean gray by a factor drawn from [1 - x, 1 + x]."""
    saturation: float = 0.0
    """Blend with the image's gray version by a factor drawn from [1 - x, 1 + x]."""
    cutout: int = 0
    """Side of a square of pixels, centered anywhere, that is made black."""


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """Base of all data configs: which data set, and the task that it is made for."""

    task: ClassVar[str] = ""
    """The module of the task (see jaxnets.tasks), where the model does not name another."""
    independent: ClassVar[bool] = True
    """Whether the examples of a batch have nothing to do with each other, so that it can be worked off in parts."""

    source: str
    """Name of a prepared data set, or "synthetic" for a stand-in that needs no download."""
    synthetic: str = ""
    """The data set that "synthetic" stands for."""
    batch_size: int = 64


@dataclasses.dataclass(frozen=True)
class ImageData(DataConfig):
    """Labeled images: where they come from and how they become batches."""

    task: ClassVar[str] = "jaxnets.tasks.classification"

    synthetic: str = "shapes10"
    batch_size: int = 128
    drop_last: bool = True
    """Leave out the last, partial batch of an epoch. Otherwise it is filled up from the epoch's first examples."""
    normalize: Literal["unit", "symmetric", "standard", "imagenet"] = "unit"
    """Pixel range: unit [0, 1], symmetric [-1, 1], standard (per channel: mean 0 and std 1 over the training split), or
    imagenet (by ImageNet's mean and std, as weights trained there expect)."""
    shrink: int = 1
    """Take the means of squares of so many pixels a side: 2 makes 32×32 of 64×64."""
    gray: bool = False
    """Take the luma of color images."""
    augment: Augment = Augment()


@dataclasses.dataclass(frozen=True)
class NameData(DataConfig):
    """Names, a row each, spelled in letters."""

    task: ClassVar[str] = "jaxnets.tasks.char_lm"

    synthetic: str = "toy_names"


@dataclasses.dataclass(frozen=True)
class TextData(DataConfig):
    """Running text, read on from batch to batch."""

    task: ClassVar[str] = "jaxnets.tasks.language_model"
    independent: ClassVar[bool] = False

    synthetic: str = "toy_words"
    batch_size: int = 20
    """Places of the text that are read at once."""
    window: int = 35
    """Tokens of each place in a batch. Gradients go back to its start, the state comes from the window before."""


@dataclasses.dataclass(frozen=True)
class ReviewData(DataConfig):
    """Labeled texts."""

    task: ClassVar[str] = "jaxnets.tasks.sentiment"

    synthetic: str = "toy_reviews"
    batch_size: int = 50
    vocab_size: int = 1000
    """Number of most frequent words that are kept; all others are dropped."""
    max_length: int = 200
    """Number of words kept of a review: its last ones, where opinions are summed up."""


@dataclasses.dataclass(frozen=True)
class PairData(DataConfig):
    """Sentences in two languages."""

    task: ClassVar[str] = "jaxnets.tasks.translation"

    synthetic: str = "toy_pairs"
    teacher_forcing: tuple[float, float] = (1.0, 1.0)
    """Share of the true words among those that the decoder sees, in the first epoch and in the last; in between, along a
    line. The others are its own predictions."""


@dataclasses.dataclass(frozen=True)
class BagOfWordsData(DataConfig):
    """Labeled images, of which the visual words are counted in the regions of a pyramid (see
    jaxnets.pipeline.visual_words).
    """

    task: ClassVar[str] = "jaxnets.tasks.bag_of_words"

    synthetic: str = "shapes10"
    dictionary_size: int = 200
    """Size of the dictionary."""
    levels: int = 3
    """Of the pyramid; the finest has 2^(levels - 1) regions along each side."""
    cell_sizes: tuple[int, ...] = (4, 6, 8)
    """Sides, in pixels, of a descriptor's 4×4 cells: one descriptor of each size at every place, where it fits."""
    spacing: int = 8
    """Pixels between neighboring places."""
    color_weight: float = 0.5
    """Weight of a place's mean color against the directions of its edges."""
    dictionary_samples: int = 40_000
    """Descriptors that the dictionary is learned from."""
    kmeans_iterations: int = 15
    """Of k-means."""
