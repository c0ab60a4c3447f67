"""Data sets: where they come from by name, and how each is obtained."""

import difflib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from jaxnets.data import (
    cifar10,
    corpora,
    element_specs,
    emnist36,
    glyphs36,
    imdb,
    mnist,
    names,
    nist36,
    pairs,
    shapes,
    store,
    sun,
    tiny_imagenet,
    toy_text,
)
from jaxnets.data.store import Dataset
from jaxnets.errors import UserError


class DatasetBuilder(NamedTuple):
    """A set that can be prepared."""

    about: str
    prepare: Callable[[Path | None], Path]
    """Makes the arrays from a folder of files fetched by hand, or without one; returns where they are."""
    element_spec: Callable[[str], Dataset] | None = None
    """Shapes and names of the set by its name, known beforehand. None for a set drawn or written by our own code: that needs
    no download, so it is prepared whenever it is first used."""
    download: str = ""
    """Size of the download; empty for a set that is not published for download."""
    files: str = ""
    """What a manual directory must hold instead."""

    @property
    def made_here(self) -> bool:
        """Whether our own code makes it."""
        return self.element_spec is None


SETS: dict[str, DatasetBuilder] = {
    "cifar10": DatasetBuilder(
        "60,000 color photographs of 32×32 pixels in 10 classes (Krizhevsky 2009)",
        cifar10.prepare,
        lambda name: element_specs.images(name, cifar10.CLASS_NAMES, (45_000, 5_000, 10_000), (32, 32, 3)),
        "170 MB",
        "cifar-10-binary.tar.gz, cifar-10-python.tar.gz, cifar-10-batches-bin/ or cifar-10-batches-py/",
    ),
    "tiny_imagenet": DatasetBuilder(
        "110,000 color photographs of 64×64 pixels in 200 classes (Stanford CS231n 2015)",
        tiny_imagenet.prepare,
        lambda name: element_specs.images(name, [str(i) for i in range(200)], (100_000, 10_000), (64, 64, 3)),
        "248 MB",
        "tiny-imagenet-200.zip or tiny-imagenet-200/",
    ),
    "sun8": DatasetBuilder(
        "1,577 photographs of scenes of 8 classes, 224×224 pixels (Xiao et al. 2010)",
        sun.prepare,
        lambda name: element_specs.images(name, sun.CLASS_NAMES, sun.SIZES, (sun.SIDE, sun.SIDE, 3)),
        files=sun.FILES,
    ),
    "mnist": DatasetBuilder(
        "70,000 handwritten digits of 28×28 pixels (LeCun, Cortes and Burges 1998)",
        mnist.prepare,
        lambda name: element_specs.images(name, mnist.CLASS_NAMES, mnist.SIZES, (28, 28, 1)),
        "12 MB",
        "the four *-ubyte.gz files, or a folder mnist/ of them",
    ),
    "nist36": DatasetBuilder(
        "16,200 handwritten capitals and digits of 32×32 pixels (course material of CMU 16-720)",
        nist36.prepare,
        lambda name: element_specs.images(name, nist36.CLASS_NAMES, nist36.SIZES, (32, 32, 1)),
        files="nist36_train.mat, nist36_valid.mat and nist36_test.mat",
    ),
    "emnist36": DatasetBuilder(
        "16,200 letters and digits of EMNIST (Cohen et al. 2017) and MNIST in NIST36's form",
        emnist36.prepare,
        lambda name: element_specs.images(name, nist36.CLASS_NAMES, nist36.SIZES, (32, 32, 1)),
        "574 MB",
        "EMNIST's gzip.zip or a folder emnist/ of its letters, and MNIST's four *-ubyte.gz files or a folder mnist/ of them",
    ),
    "emnist36_large": DatasetBuilder(
        "172,800 of them",
        emnist36.prepare_large,
        lambda name: element_specs.images(name, nist36.CLASS_NAMES, (144_000, 14_400, 14_400), (32, 32, 1)),
        "574 MB",
        "the same as for emnist36",
    ),
    "letters36": DatasetBuilder(
        "emnist36_large, and 43,200 drawn capitals and digits",
        emnist36.prepare_letters,
        lambda name: element_specs.images(name, nist36.CLASS_NAMES, (180_000, 18_000, 18_000), (32, 32, 1)),
        "574 MB",
        "the same as for emnist36",
    ),
    "names": DatasetBuilder(
        "20,074 names of 18 nationalities (PyTorch tutorials)",
        names.prepare_national,
        lambda name: element_specs.spelled_names(name, categories=18),
        "3 MB",
        "data.zip, data/ or names/",
    ),
    "surnames": DatasetBuilder(
        "88,799 surnames of the United States (smashew/NameDatabases)",
        names.prepare_surnames,
        element_specs.spelled_names,
        "1 MB",
        "us.txt, or a names.txt of your own with one name a line",
    ),
    "shakespeare_letters": DatasetBuilder(
        "Tiny Shakespeare (Karpathy 2015): 1,115,394 characters",
        corpora.prepare_shakespeare_letters,
        lambda name: element_specs.corpus(name, 66, "letters"),
        "1 MB",
        "input.txt or tinyshakespeare/",
    ),
    "shakespeare_words": DatasetBuilder(
        "Tiny Shakespeare by words: 21,949 types",
        corpora.prepare_shakespeare_words,
        lambda name: element_specs.corpus(name, 21_949, "plain_words"),
        "1 MB",
        "input.txt or tinyshakespeare/",
    ),
    "wikitext2": DatasetBuilder(
        "WikiText-2 (Merity et al. 2016): two million words of encyclopedia articles, 28,783 types",
        corpora.prepare_wikitext2,
        lambda name: element_specs.corpus(name, 28_783, "wiki_words"),
        "13 MB",
        "train.txt, valid.txt and test.txt, or wikitext-2/",
    ),
    "imdb": DatasetBuilder(
        "50,000 film reviews, half of them for the test, as their publishers split them (Maas et al. 2011)",
        imdb.prepare,
        lambda name: element_specs.reviews(name, (22_500, 2_500, 25_000)),
        "84 MB",
        "aclImdb_v1.tar.gz or aclImdb/",
    ),
    "imdb_40k": DatasetBuilder(
        "the same reviews, 40,000 of them for training (report S4)",
        imdb.prepare_40k,
        lambda name: element_specs.reviews(name, (40_000, 5_000, 5_000)),
        "84 MB",
        "aclImdb_v1.tar.gz or aclImdb/",
    ),
    "eng_fra": DatasetBuilder(
        "10,599 pairs of short French and English sentences (Tatoeba, PyTorch tutorials)",
        pairs.prepare,
        lambda name: element_specs.sentence_pairs(name, 10_599, 4_345, 2_803),
        "3 MB",
        "data.zip, data/ or eng-fra.txt",
    ),
    "shapes10": DatasetBuilder("14,000 color images of 32×32 pixels in 10 classes of shapes", shapes.prepare_10),
    "shapes200": DatasetBuilder("12,000 color images of 64×64 pixels in 200 classes of shapes and hues", shapes.prepare_200),
    "glyphs36": DatasetBuilder("10,800 capitals and digits of 32×32 pixels, drawn from fonts", glyphs36.prepare),
    "toy_names": DatasetBuilder("3,000 names of six invented peoples", toy_text.prepare_names),
    "toy_letters": DatasetBuilder("2,400 sentences of a small grammar, by letters", toy_text.prepare_letters),
    "toy_words": DatasetBuilder("12,000 sentences of a small grammar, by words", toy_text.prepare_words),
    "toy_reviews": DatasetBuilder("3,000 short reviews of films that do not exist", toy_text.prepare_reviews),
    "toy_pairs": DatasetBuilder("2,224 pairs of French and English sentences", toy_text.prepare_pairs),
}


def get(name: str) -> DatasetBuilder:
    """The set called `name`, or UserError naming the nearest one."""
    if name not in SETS:
        near = difflib.get_close_matches(name, SETS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known sets: {', '.join(SETS)}"
        raise UserError(f"unknown data set {name!r}: {hint}")
    return SETS[name]


def instructions(name: str) -> str:
    """What a user does to have a set, in one line."""
    data_set = get(name)
    if data_set.made_here:
        return "nothing to do: jaxnets makes it in seconds when it is first used"
    if not data_set.download:
        return f"`jaxnets data prepare {name} --manual-dir DIR` reads it from DIR, which holds {data_set.files}"
    return (
        f"`jaxnets data prepare {name}` downloads it ({data_set.download}); with `--manual-dir DIR` it is read from DIR, "
        f"which holds {data_set.files}"
    )


def element_spec(name: str) -> Dataset:
    """The set's shapes and names: from the prepared set where there is one."""
    make_spec = get(name).element_spec
    if make_spec is None or store.is_prepared(name):
        return open_dataset(name)
    return make_spec(name)


def open_dataset(name: str, synthetic: str | None = None) -> Dataset:
    """The prepared set; one that is made here is made first if need be. `synthetic` is only for the message."""
    data_set = get(name)
    if not store.is_prepared(name):
        if not data_set.made_here:
            instead = f". Or try `--data.source synthetic` ({synthetic}, no download)" if synthetic else ""
            raise UserError(f"data set {name} is not prepared. {instructions(name)}{instead}")
        data_set.prepare(None)
    return store.load(name)
