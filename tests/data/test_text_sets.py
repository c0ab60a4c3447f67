"""The sets of text: what their rules yield on the real files, and files that are not what they should be."""

import gzip
import zipfile

import pytest

from jaxnets.data import corpora, imdb, mnist, names, pairs, store, text
from jaxnets.errors import UserError


@pytest.fixture
def manual(tmp_path, monkeypatch):
    """An empty manual directory, and a data folder of the test's own."""
    monkeypatch.setenv("JAXNETS_DATA", str(tmp_path / "prepared"))
    folder = tmp_path / "manual"
    folder.mkdir()
    return folder


def test_names_from_an_archive(manual):
    with zipfile.ZipFile(manual / "data.zip", "w") as archive:
        archive.writestr("data/names/Irish.txt", "O'Néill\nBrady\n" * 10)
        archive.writestr("data/names/Greek.txt", "Galanos\n\nж\n" * 10)
        archive.writestr("data/eng-fra.txt", "")
    found = store.Dataset("names", *names.prepare_national(manual))
    vocabulary = text.Vocabulary(tuple(found.meta["tokens"]))
    train = found.splits["train"]
    nationality = found.meta["categories"]
    spelled = {
        ("".join(vocabulary.decode(token)), nationality[number])
        for token, number in zip(train["token"], train["category"], strict=True)
    }
    assert spelled == {("O'Neill", "Irish"), ("Brady", "Irish"), ("Galanos", "Greek")}


def write_reviews(folder, parts=("train", "test")):
    for split in parts:
        for opinion, word in (("pos", "great"), ("neg", "dull")):
            (folder / "aclImdb" / split / opinion).mkdir(parents=True)
            for i in range(20):
                path = folder / "aclImdb" / split / opinion / f"{i}_{i % 10}.txt"
                path.write_text(f"What a {word} film.<br />{'Really. ' * i}")


def test_reviews_from_a_folder(manual):
    write_reviews(manual)
    found = store.Dataset("imdb", *imdb.prepare(manual))
    assert {split: found.examples(split) for split in found.splits} == {"train": 36, "validation": 4, "test": 40}
    tokens, labels = found.splits["test"]["token"], found.splits["test"]["label"]
    great = found.meta["tokens"].index("great")
    assert ((tokens == great).any(1) == (labels == 1)).all()
    found = store.Dataset("imdb_40k", *imdb.prepare_40k(manual))
    assert {split: found.examples(split) for split in found.splits} == {"train": 64, "validation": 8, "test": 8}


@pytest.mark.parametrize(
    ("prepare", "files", "message"),
    [
        (pairs.prepare, {"eng-fra.txt": b"Go.\tVa !\n\nRun!"}, r"line 3: no tab and no French sentence after 'Run!'"),
        (pairs.prepare, {"eng-fra.txt": "Été\tx".encode("latin-1")}, r"not UTF-8 text \(byte 0\)"),
        (pairs.prepare, {"eng-fra.txt": b" \n"}, "is empty; fetch it again"),
        (pairs.prepare, {"data.zip": b"PK"}, "truncated or damaged"),
        (names.prepare_surnames, {}, r"holds none of us\.txt.*fetch https"),
        (names.prepare_surnames, {"us.txt": b"\xff\xfe"}, "not UTF-8"),
        (names.prepare_national, {"data/names/A.txt": b""}, "is empty"),
        (corpora.prepare_wikitext2, {"wikitext-2/train.txt": b"a b"}, r"holds none of wikitext-2/valid\.txt"),
        (mnist.prepare, {"train-images-idx3-ubyte.gz": gzip.compress(b"\0\0\x08\x03")}, "truncated or damaged"),
        (imdb.prepare, {"aclImdb_v1.tar.gz": b"\x1f\x8b"}, "truncated or damaged"),
    ],
)
def test_bad_files_are_told_in_one_line(manual, prepare, files, message):
    for name, content in files.items():
        (manual / name).parent.mkdir(parents=True, exist_ok=True)
        (manual / name).write_bytes(content)
    with pytest.raises(UserError, match=message) as found:
        prepare(manual)
    assert "\n" not in str(found.value)


def test_reviews_that_lack_a_split(manual):
    write_reviews(manual, parts=("train",))
    with pytest.raises(UserError, match="lacks reviews in test/pos or test/neg"):
        imdb.prepare(manual)
