"""The sets of text: what their rules yield on the real files, and files that are not what they should be."""

import gzip
import struct
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


def test_names_from_an_archive(manual, monkeypatch):
    monkeypatch.setattr(names, "_NATIONALITIES", ("Greek", "Irish"))
    with zipfile.ZipFile(manual / "data.zip", "w") as archive:
        archive.writestr("data/names/Irish.txt", "O'Néill\nBrady\n" * 10)
        archive.writestr("data/names/Greek.txt", "Galanos\n\nж\n" * 10)
        archive.writestr("data/eng-fra.txt", "")
        for hidden in ("data/names/._Irish.txt", "__MACOSX/data/names/._Greek.txt"):
            archive.writestr(hidden, b"\0\5\x16\7")
        archive.writestr("data/names/README.txt", "These are names.")
    found = store.Dataset("names", *names.prepare_national(manual))
    assert found.meta["categories"] == ["Greek", "Irish"]
    assert found.meta["left_out"] == ["lists of other names: 1 (README)"]
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


def digits(images=20, labels=20, side=28, label=3):
    """MNIST's four files, unpacked."""
    pixels = struct.pack(">4B3I", 0, 0, 8, 3, images, side, side) + bytes(images * side**2)
    names = struct.pack(">4BI", 0, 0, 8, 1, labels) + bytes([label] * labels)
    kinds = {"images-idx3-ubyte": pixels, "labels-idx1-ubyte": names}
    return {f"{part}-{kind}": content for part in ("train", "t10k") for kind, content in kinds.items()}


@pytest.mark.parametrize("form", [lambda content: content, gzip.compress])
def test_digits_packed_or_not(manual, monkeypatch, form):
    monkeypatch.setattr(mnist, "_SIZES", {"validation": 5})
    for name, content in digits().items():
        (manual / (name + ".gz" * (form is gzip.compress))).write_bytes(form(content))
    found = store.Dataset("mnist", *mnist.prepare(manual))
    assert {split: found.examples(split) for split in found.splits} == {"train": 15, "validation": 5, "test": 20}


def test_a_third_column_is_no_sentence(manual):
    lines = [f"I am {'x' * i}.\tJe suis {'y' * i}." for i in range(1, 21)]
    for lines_now in (lines, [f"{line}\tCC-BY 2.0 (France) #{i}" for i, line in enumerate(lines)]):
        (manual / "eng-fra.txt").write_text("\n".join(lines_now))
        found = pairs.prepare(manual)
        assert set(found.meta["source_tokens"]) == {"<start>", "<end>", "je", "suis", "."} | {"y" * i for i in range(1, 21)}
    assert found.meta["left_out"] == ["further columns of lines: 20 (1, 2, 3, …)"]


@pytest.mark.parametrize(
    ("prepare", "files", "message"),
    [
        (pairs.prepare, {"eng-fra.txt": b"Go.\tVa !\n\nRun!"}, r"line 3: no tab and no French sentence after 'Run!'"),
        (pairs.prepare, {"eng-fra.txt": "Été\tx".encode("latin-1")}, r"not UTF-8 text \(byte 0\)"),
        (pairs.prepare, {"eng-fra.txt": b" \n"}, "is empty; fetch it again"),
        (pairs.prepare, {"data.zip": b"PK"}, "truncated or damaged"),
        (names.prepare_surnames, {}, r"holds none of us\.txt.*fetch https"),
        (names.prepare_surnames, {"us.txt": b"\xff\xfe"}, "not UTF-8"),
        (names.prepare_national, {"data/names/A.txt": b""}, r"lacks names/Arabic\.txt, Chinese\.txt, Czech\.txt, …; fetch"),
        (
            names.prepare_surnames,
            {"us.txt": "Анна\nБорис\n".encode()},
            "only 0 of the examples can be used",
        ),
        (names.prepare_surnames, {"us.txt": b"A\nB\nC\nD\nE\n"}, "5 of .* makes 4 train, 0 validation, 1 test; each split"),
        (pairs.prepare, {"eng-fra.txt": b"Go.\tVa !\nRun!\tCours !"}, "none of the everything examples can be used"),
        (corpora.prepare_wikitext2, {"wikitext-2/train.txt": b"a b"}, r"holds none of wikitext-2/valid\.txt"),
        (mnist.prepare, digits(images=20, labels=19), r"images \[20, 28, 28\] and labels \[19\] do not belong together"),
        (mnist.prepare, digits(side=27), r"images \[20, 27, 27\] and labels \[20\] do not belong together"),
        (mnist.prepare, digits(label=10), "labels from 10 to 10, where there are 10 classes"),
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
