"""Published data sets that are damaged, or hold something else."""

import gzip
import io
import pickle
import tarfile
import zipfile

import numpy as np
from PIL import Image

from jaxnets.data import catalog
from tests.reliability import damage
from tests.reliability.arguments import pick
from tests.reliability.trials import Trial


def png(rng, side=12):
    """A picture of noise."""
    content = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, (side, side, 3), np.uint8)).save(content, "PNG")
    return content.getvalue()


class _Evil:
    def __reduce__(self):
        return (open, ("never", "w"))


def _tar(members):
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return content.getvalue()


def _zip(members):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return content.getvalue()


def archive(rng, places):
    """Published files that are damaged, or hold something else."""
    names = [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]
    other = {b"data": np.zeros((10_000, 3), np.uint8), b"labels": [0] * 10_000}
    pickles = [pickle.dumps(value) for value in (_Evil(), other, [], np.arange(3))]
    batch = pick(rng, (*pickles, b"", b"\x80\x04" + b"(" * 1000 + b"."))
    reviews = {
        f"aclImdb/{split}/{side}/{i}_{score}.txt": b"fine <br /> film"
        for split in ("train", "test")
        for side, score in (("pos", 9), ("neg", 2))
        for i in range(3)
    }
    idx = lambda *shape: (
        b"\0\0\x08" + bytes([len(shape)]) + b"".join(n.to_bytes(4, "big") for n in shape) + bytes(int(np.prod(shape)))
    )
    good = {
        "cifar10": ("cifar-10-python.tar.gz", _tar({f"cifar-10-batches-py/{name}": batch for name in names})),
        "imdb": ("aclImdb_v1.tar.gz", _tar(reviews)),
        "names": ("data.zip", _zip({"data/names/Arabic.txt": b"Abc\nDef\n", "data/names/Greek.txt": b"Xyz"})),
        "eng_fra": ("data.zip", _zip({"data/eng-fra.txt": b"I am.\tJe suis.\nGo.\tVa !\n"})),
        "mnist": ("train-images-idx3-ubyte.gz", gzip.compress(idx(3, 28, 28))),
        "tiny_imagenet": (
            "tiny-imagenet-200.zip",
            _zip({"tiny-imagenet-200/wnids.txt": b"n01\n", "tiny-imagenet-200/train/n01/images/n01_0.JPEG": png(rng)}),
        ),
    }
    name = pick(rng, sorted(set(good) & set(catalog.SETS)))
    file, content = good[name]
    raw = places.folder / "raw"
    raw.mkdir()
    if name == "mnist":
        for other in ("train-labels-idx1-ubyte.gz", "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"):
            (raw / other).write_bytes(gzip.compress(idx(3, 28, 28) if "images" in other else idx(3)))
    (raw / file).write_bytes(content)
    what = damage.to_file(rng, raw / file) if rng.random() < 0.8 else "of another content"
    places.use_store(places.folder / "store")
    return Trial(
        "published files", f"{name}: {what}", ["data", "prepare", name, "--manual-dir", str(raw)], True, (name, file)
    )
