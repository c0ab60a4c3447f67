"""Sets that TFDS has prepared: read from its folder, or one line on how to get them there."""

import io
from typing import ClassVar

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from jaxnets.config import ImageData, TextData
from jaxnets.data import catalog
from jaxnets.errors import UserError

RNG = np.random.default_rng(1)
SPLITS = {
    name: RNG.integers(0, 256, (count, 7, 5, 1), np.uint8) for name, count in (("train", 40), ("test", 8), ("extra", 2))
}


class _Info(tfds.core.DatasetInfo):
    def initialize_from_bucket(self):
        """Nothing is looked up online."""


class SmallDigits(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Like mnist: PNG files, a class for each of four digits."""

    VERSION = tfds.core.Version("1.2.0")
    image: ClassVar = tfds.features.Image(shape=(7, 5, 1))
    splits: ClassVar = SPLITS

    def _info(self):
        features = {"image": self.image, "label": tfds.features.ClassLabel(names=["zero", "one", "two", "three"])}
        return _Info(builder=self, features=tfds.features.FeaturesDict(features), disable_shuffling=True)

    def _split_generators(self, dl_manager):
        return {name: self._generate_examples(images) for name, images in self.splits.items()}

    def _generate_examples(self, images):
        for i, pixels in enumerate(images):
            file = io.BytesIO()
            Image.fromarray(pixels[..., 0]).save(file, "png")
            file.seek(0)
            yield i, {"image": file, "label": i % 4}


class Unlabeled(SmallDigits, skip_registration=True):
    """The label has another name."""

    def _info(self):
        features = {"image": self.image, "digit": tfds.features.ClassLabel(num_classes=4)}
        return _Info(builder=self, features=tfds.features.FeaturesDict(features), disable_shuffling=True)

    def _generate_examples(self, images):
        for i, example in super()._generate_examples(images):
            yield i, {"image": example["image"], "digit": example["label"]}


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    monkeypatch.setenv("JAXNETS_DATA", str(tmp_path / "store"))
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds"))
    return tmp_path / "tfds"


def prepare(kind, folder, file_format="array_record"):
    tfds.disable_progress_bar()
    kind(data_dir=folder, file_format=file_format).download_and_prepare()


def test_a_prepared_set(folders):
    prepare(SmallDigits, folders)
    dataset = catalog.open_data(ImageData(source="tfds:small_digits"))
    assert dataset.meta["class_names"] == ["zero", "one", "two", "three"]
    assert [dataset.examples(split) for split in ("train", "validation", "test")] == [36, 4, 8]
    assert (dataset.splits["test"]["image"] == SPLITS["test"]).all()
    assert (dataset.splits["test"]["label"] == np.arange(8) % 4).all()
    both = np.concatenate([dataset.splits[split]["image"] for split in ("train", "validation")])
    assert sorted(both.reshape(40, -1).tolist()) == sorted(SPLITS["train"].reshape(40, -1).tolist())
    assert dataset.meta["left_out"] == ["other splits: 1 (extra)"]
    squares = catalog.open_data(ImageData(source="tfds:small_digits:1.2.0", size=4))
    assert squares.splits["train"]["image"].shape == (36, 4, 4, 1)


def test_a_set_that_is_not_prepared_is_one_line():
    with pytest.raises(UserError) as error:
        catalog.open_data(ImageData(source="tfds:fashion_mnist"))
    assert "\n" not in str(error.value)
    assert "t.builder('fashion_mnist', file_format='array_record').download_and_prepare()" in str(error.value)


def test_sets_of_another_kind_are_refused(folders):
    prepare(Unlabeled, folders)
    with pytest.raises(UserError, match="its features are digit, image; image and label are needed"):
        catalog.open_data(ImageData(source="tfds:unlabeled"))
    with pytest.raises(UserError, match="for experiments on pictures alone"):
        catalog.open_data(TextData(source="tfds:unlabeled"))
