"""The real data sets, each prepared once: the facts in its file, and what is known of it from elsewhere."""

import functools
import os
import subprocess
import sys

import numpy as np
import pytest

from jaxnets.data import catalog, corpora, imdb, store, text
from tests.data.facts import check_facts

pytestmark = pytest.mark.real_data
FILES = {
    "cifar10": ("cifar10",),
    "mnist": ("mnist",),
    "emnist36": ("emnist", "mnist"),
    "names": ("tutorial",),
    "surnames": ("names",),
    "shakespeare_letters": ("shakespeare",),
    "shakespeare_words": ("shakespeare",),
    "wikitext2": ("wikitext2",),
    "imdb": ("imdb",),
    "imdb_40k": ("imdb",),
    "eng_fra": ("tutorial",),
}
"""Set -> what to unpack of the real data. Nobody has all files of the other sets; the two large sets of letters are like
emnist36 and take longer."""


@pytest.fixture(scope="module")
def prepared(real_data, tmp_path_factory):
    """The set by its name."""
    folder = tmp_path_factory.mktemp("prepared")

    @functools.cache
    def prepare(name):
        [*folders] = (real_data(part) for part in FILES[name])
        catalog.prepare(name, folders[0])
        return store.load(name)

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAXNETS_DATA", str(folder))
        # Sets made of the same files read them once.
        for module in (imdb, corpora):
            patch.setattr(module, "to_arrays", functools.cache(module.to_arrays))
        yield prepare


def test_two_preparations_at_once_are_both_right(real_data, tmp_path):
    command = [sys.executable, "-m", "jaxnets", "data", "prepare", "names", "--manual-dir", str(real_data("tutorial"))]
    environment = {**os.environ, "JAXNETS_DATA": str(tmp_path)}
    both = [subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    assert [(one.communicate()[1], one.returncode) for one in both] == [("", 0)] * 2


@pytest.mark.parametrize("name", FILES)
def test_facts(name, prepared):
    source = prepared(name).meta.get("source")
    assert source == catalog.AS_PUBLISHED
    check_facts(name)


def test_the_channels_of_cifar10(prepared):
    cifar10 = prepared("cifar10")
    assert (np.bincount(cifar10.splits["test"]["label"]) == 1000).all()
    # Known of CIFAR-10's 50,000 training images: per-channel means .4914, .4822, .4465.
    np.testing.assert_allclose(cifar10.meta["mean"], [0.4914, 0.4822, 0.4465], atol=2e-3)
    np.testing.assert_allclose(cifar10.meta["std"], [0.2470, 0.2435, 0.2616], atol=2e-3)


def test_the_first_digits_of_mnist(prepared):
    mnist = prepared("mnist")
    assert mnist.splits["test"]["label"][:5].tolist() == [7, 2, 1, 0, 4]
    assert mnist.meta["mean"] == pytest.approx([0.1307], abs=1e-3)


def test_class_means_read_many_letters_of_emnist36(prepared):
    splits = prepared("emnist36").splits
    train, test = splits["train"], splits["test"]
    means = np.stack([train["image"][train["label"] == label].astype(float).mean(0).ravel() for label in range(36)])
    images = test["image"][::10].reshape(-1, means.shape[1]).astype(float)
    nearest = np.square(images[:, None] - means).sum(-1).argmin(1)
    assert (nearest == test["label"][::10]).mean() > 0.4


def test_a_sentence_and_its_translation(prepared):
    """Numbers as reported (S4 §6.12)."""
    eng_fra = prepared("eng_fra")
    assert sum(eng_fra.examples(split) for split in eng_fra.splits) == 10_599
    assert (len(eng_fra.meta["source_tokens"]), len(eng_fra.meta["target_tokens"])) == (4_345, 2_803)
    source, target = (text.Vocabulary(tuple(eng_fra.meta[f"{side}_tokens"])) for side in ("source", "target"))
    translations = {
        " ".join(source.decode(s)): " ".join(target.decode(t))
        for fields in eng_fra.splits.values()
        for s, t in zip(fields["source"], fields["target"], strict=True)
    }
    assert translations["je me rejouis de l entendre ."] == "i m glad to hear that ."


def test_a_korean_name(prepared):
    names = prepared("names")
    vocabulary = text.Vocabulary(tuple(names.meta["tokens"]))
    train = names.splits["train"]
    row = int(np.flatnonzero(train["category"] == names.meta["categories"].index("Korean"))[0])
    assert len("".join(vocabulary.decode(train["token"][row]))) == train["length"][row]
