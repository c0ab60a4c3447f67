"""Own texts, tables, pairs and names: what becomes of them, and one line for what cannot be used."""

import csv
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxnets.config import NameData, PairData, ReviewData, TextData
from jaxnets.data import catalog, store, text
from jaxnets.errors import UserError


@pytest.fixture(autouse=True)
def empty_store(tmp_path, monkeypatch):
    monkeypatch.setenv("JAXNETS_DATA", str(tmp_path / "store"))


def written(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def table(path, rows, header=("text", "label"), **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file, **options).writerows([header, *rows])
    return path


def reviews(number, labels=("neg", "pos")):
    return [(f"a {labels[i % len(labels)]} film, number {'x' * (i + 1)}", labels[i % len(labels)]) for i in range(number)]


def words(dataset, split, field="token", meta="tokens"):
    tokens = dataset.meta[meta]
    return [[tokens[n] for n in row if n] for row in dataset.splits[split][field]]


def opened(config):
    return catalog.open_data(config)


def refused(config):
    with pytest.raises(UserError) as error:
        opened(config)
    assert "\n" not in str(error.value)
    assert str(error.value).startswith("data.source")
    return str(error.value)


# Running text.

STORY = "the cat sat on the mat.\nit was a Good cat.\n" * 30


def test_a_text_is_cut_in_order(tmp_path):
    path = written(tmp_path / "story.txt", STORY)
    dataset = opened(TextData(source=str(path), synthetic="toy_letters"))
    assert dataset.meta["tokenizer"] == "letters"
    cut = {split: "".join(dataset.meta["tokens"][n] for n in fields["token"]) for split, fields in dataset.splits.items()}
    assert "".join(cut.values()) == STORY
    assert [len(part) / len(STORY) for part in cut.values()] == pytest.approx([0.8, 0.1, 0.1], abs=0.01)


def test_words_are_those_of_the_tokenizer(tmp_path):
    path = written(tmp_path / "story.txt", STORY)
    plain = opened(TextData(source=str(path)))
    assert plain.meta["tokenizer"] == "plain_words"
    assert "mat." in plain.meta["tokens"]
    wiki = opened(TextData(source=str(path), tokenizer="wiki_words"))
    assert {"mat", "."} <= set(wiki.meta["tokens"])
    assert plain.name != wiki.name


def test_a_folder_of_texts(tmp_path):
    for name in ("train", "valid", "test"):
        written(tmp_path / "t" / f"{name}.txt", f"{name} " * 50)
    dataset = opened(TextData(source=str(tmp_path / "t")))
    assert {split: dataset.examples(split) for split in dataset.splits} == {"train": 51, "validation": 51, "test": 51}
    (tmp_path / "t" / "valid.txt").unlink()
    dataset = opened(TextData(source=str(tmp_path / "t"), window=4))
    assert [dataset.examples(split) for split in ("train", "validation", "test")] == [46, 6, 51]


@pytest.mark.parametrize("end", ["\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_the_same_text_from_any_editor_is_the_same(tmp_path, end, mark):
    ours = opened(TextData(source=str(written(tmp_path / "a.txt", STORY)), synthetic="toy_letters"))
    half = len(STORY) // 2  # `cat` puts files with marks one after the other.
    theirs = written(tmp_path / "b.txt", mark + (STORY[:half] + mark + STORY[half:]).replace("\n", end))
    assert opened(TextData(source=str(theirs), synthetic="toy_letters")).meta["digest"] == ours.meta["digest"]


def test_bad_texts(tmp_path):
    assert "no such file or folder" in refused(TextData(source=str(tmp_path / "nothing.txt")))
    assert f"({tmp_path} is the last part that exists)" in refused(TextData(source=str(tmp_path / "no" / "such" / "a.txt")))
    commas = table(tmp_path / "commas.csv", [])
    commas.write_text(commas.read_text() + "good, they say,pos\n" * 3)
    assert "left out: lines with more fields than the header: 3 (2, 3, 4)" in refused(ReviewData(source=str(commas)))
    latin = written(tmp_path / "latin.txt", "é".encode("latin-1") * 100)
    assert "is not UTF-8 text (byte 0)" in refused(TextData(source=str(latin)))
    assert "is empty" in refused(TextData(source=str(written(tmp_path / "blank.txt", " \n"))))
    short = written(tmp_path / "short.txt", "only a few words\n" * 9)
    assert "the validation text has 7 tokens, and a window 35; give a longer text" in refused(TextData(source=str(short)))
    assert "give a .txt file" in refused(TextData(source=str(written(tmp_path / "a.csv", "text,label\n"))))
    (tmp_path / "folder").mkdir()
    assert "has no train.txt" in refused(TextData(source=str(tmp_path / "folder")))


# Labeled texts.


def test_a_table_is_split_by_class_and_every_text_is_in_one_split(tmp_path):
    rows = reviews(40)
    random.Random(0).shuffle(rows)
    dataset = opened(ReviewData(source=str(table(tmp_path / "r.csv", rows))))
    assert dataset.meta["class_names"] == ["neg", "pos"]
    for split, each in (("train", 16), ("validation", 2), ("test", 2)):
        assert np.bincount(dataset.splits[split]["label"]).tolist() == [each] * 2
    for row, label in zip(words(dataset, "train"), dataset.splits["train"]["label"], strict=True):
        assert row[:2] == [["neg", "pos"][label], "film"]
    numbers = {row[-1] for row in words(dataset, "train")}
    assert len(numbers) == 32  # The last word differs by review.


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.csv", {}),
        ("b.csv", {"delimiter": ";"}),
        ("c.csv", {"quoting": csv.QUOTE_ALL}),
        ("d.tsv", {"delimiter": "\t", "quoting": csv.QUOTE_NONE}),
    ],
)
def test_tables_of_every_form_come_out_the_same(tmp_path, name, options):
    rows = [(label, "ignored", review.replace(",", "")) for review, label in reviews(30, ("a", "b", "c"))]
    path = table(tmp_path / name, rows, ("stars", "id", "body"), **options)
    dataset = opened(ReviewData(source=str(path), text_column="body", label_column="stars"))
    assert dataset.meta["class_names"] == ["a", "b", "c"]
    reference = opened(ReviewData(source=str(table(tmp_path / "reference.csv", reviews(30, ("a", "b", "c"))))))
    assert dataset.meta["digest"] == reference.meta["digest"]


def test_texts_in_folders_and_tables_of_splits(tmp_path):
    for i, (review, label) in enumerate(reviews(20)):
        written(tmp_path / "f" / "train" / label / f"{i:02}.txt", review)
        written(tmp_path / "f" / "test" / label / f"{i:02}.txt", review)
    dataset = opened(ReviewData(source=str(tmp_path / "f")))
    assert [dataset.examples(split) for split in ("train", "validation", "test")] == [18, 2, 20]
    for name, number in (("train", 20), ("dev", 8), ("test", 6)):
        table(tmp_path / "t" / f"{name}.csv", reviews(number))
    dataset = opened(ReviewData(source=str(tmp_path / "t")))
    assert [dataset.examples(split) for split in ("train", "validation", "test")] == [20, 8, 6]


def test_lines_that_cannot_be_used_are_left_out_and_named(tmp_path):
    rows = [*reviews(20), ("", "pos"), ("fine", ""), ("1234 !", "neg"), ("short",)]
    rows += [("good, they say", "pos", "", " "), ("cut", " at a comma", "neg")]
    dataset = opened(ReviewData(source=str(table(tmp_path / "r.csv", rows))))
    assert dataset.meta["left_out"] == [
        "lines without text or label: 3 (22, 23, 25)",
        "lines with more fields than the header: 1 (27)",
        "texts without a word of a to z: 1 (1234 !)",
    ]
    assert sum(dataset.examples(split) for split in dataset.splits) == 21


def test_letters_of_own_texts_are_spelled_out_or_counted(tmp_path):
    """Reviews, pairs and names: ß and the like are read as ASCII, and what no cleaner keeps is told."""
    rows = [*reviews(20), *[("süß, weiß", "pos")] * 9, ("fine фильм", "neg")]
    dataset = opened(ReviewData(source=str(table(tmp_path / "r.csv", rows))))
    assert {"suss", "weiss"} <= set(dataset.meta["tokens"])
    assert dataset.meta["left_out"] == ["letters outside a to z, of texts: 1 (fine фильм)"]
    lines = [f"sœur {'ß' * (i + 1)}\tsister {'b' * (i + 1)}" for i in range(12)]
    lines += ["17 ans\tyears", "Straße да\troad"]
    dataset = opened(PairData(source=str(written(tmp_path / "p.tsv", "\n".join(lines)))))
    assert {"soeur", "ssss"} <= set(dataset.meta["source_tokens"])
    assert dataset.meta["left_out"] == ["digits and letters outside a to z, of lines: 2 (13, 14)"]
    assert dataset.meta["spelled_out"]
    listed = ["Łukasz", "O’Brien", "Jean\u00a0Weiß", "R2D2", "-", *["Dvořák"] * 9]
    dataset = opened(NameData(source=str(written(tmp_path / "names.txt", "\n".join(listed)))))
    vocabulary = text.Vocabulary(tuple(dataset.meta["tokens"]))
    found = {"".join(vocabulary.decode(row)) for fields in dataset.splits.values() for row in fields["token"]}
    assert found == {"Lukasz", "O'Brien", "Jean Weiss", "RD", "Dvorak"}
    assert dataset.meta["left_out"] == [
        "names without a letter of the alphabet: 1 (-)",
        "characters outside the alphabet, of names: 1 (R2D2)",
    ]


def test_bad_tables(tmp_path):
    wrong = table(tmp_path / "wrong.csv", reviews(9), ("review", "sentiment"))
    assert "there is no column 'text', only review, sentiment; choose with --data.text-column" in refused(
        ReviewData(source=str(wrong))
    )
    assert "no column 'label'" in refused(ReviewData(source=str(wrong), text_column="review"))
    one = table(tmp_path / "one.csv", reviews(9, ("pos",)))
    assert "there is only one class, 'pos'" in refused(ReviewData(source=str(one)))
    few = table(tmp_path / "few.csv", [*reviews(9), ("odd one", "other")])
    assert "class 'other' has 1 text to train on; it needs at least 3" in refused(ReviewData(source=str(few)))
    empty = table(tmp_path / "empty.csv", [])
    assert "the table has no line with a text and a label" in refused(ReviewData(source=str(empty)))
    latin = written(tmp_path / "latin.csv", "text,label\né,pos\n".encode("latin-1"))
    assert "is not UTF-8 text" in refused(ReviewData(source=str(latin)))
    cyrillic = table(tmp_path / "c.csv", [("хорошо", "a"), ("плохо", "b")] * 5)
    assert "has no text with a word of a to z" in refused(ReviewData(source=str(cyrillic)))
    assert "give a .csv or .tsv table" in refused(ReviewData(source=str(written(tmp_path / "a.txt", "a"))))
    for name, labels in (("train", "ab"), ("test", "ac")):
        table(tmp_path / "t" / f"{name}.csv", reviews(20, labels))
    assert "class c of test is not among those of train" in refused(ReviewData(source=str(tmp_path / "t")))


# Pairs.


def test_pairs_are_a_partition(tmp_path):
    lines = [f"Le mot {'a' * (i + 1)} !\tthe word {'b' * (i + 1)}!\tby somebody" for i in range(30)]
    dataset = opened(PairData(source=str(written(tmp_path / "p.tsv", "\n".join(lines)))))
    assert [dataset.examples(split) for split in ("train", "validation", "test")] == [24, 3, 3]
    source, target = (text.Vocabulary(tuple(dataset.meta[f"{side}_tokens"])) for side in ("source", "target"))
    decoded = {
        (" ".join(source.decode(a)), " ".join(target.decode(b)))
        for fields in dataset.splits.values()
        for a, b in zip(fields["source"], fields["target"], strict=True)
    }
    assert decoded == {(f"le mot {'a' * (i + 1)} !", f"the word {'b' * (i + 1)} !") for i in range(30)}


def test_pairs_that_cannot_be_used_are_left_out_and_named(tmp_path):
    lines = [f"mot {'a' * (i + 1)}\tword {'b' * (i + 1)}" for i in range(12)]
    lines[11] += "\tby somebody\tin 2020"
    lines += ["", "mot a\tword b", "да\tyes", f"{'mot ' * 10}\tword"]
    path = written(tmp_path / "p.tsv", "\n".join(lines))
    dataset = opened(PairData(source=str(path)))
    assert dataset.meta["left_out"] == [
        "lines without a word of a to z: 1 (15)",
        "lines that are too long: 1 (16)",
        "lines that repeat a pair: 1 (14)",
        "further columns of lines: 1 (12)",
    ]
    assert dataset.meta["max_length"] == 9
    longer = opened(PairData(source=str(path), max_length=10))
    assert longer.splits["train"]["source"].shape[1] == 11
    assert len(longer.meta["left_out"]) == 3


def test_bad_pairs(tmp_path):
    untabbed = written(tmp_path / "u.tsv", "un\tone\n\ndeux two\n")
    assert "line 3: no tab and no translation after 'deux two'" in refused(PairData(source=str(untabbed)))
    few = written(tmp_path / "f.tsv", "un\tone\n" * 20)
    message = refused(PairData(source=str(few)))
    assert "only 1 pair can be used, 10 are needed; left out: lines that repeat a pair: 19 (2, 3, 4, …)" in message
    assert "give a file of pairs" in refused(PairData(source=str(tmp_path)))


# Names.


@given(number=st.integers(10, 80))
def test_names_are_a_partition(tmp_path_factory, number):
    folder = tmp_path_factory.mktemp("names")
    listed = [f"Name{chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(number)]
    dataset = opened(NameData(source=str(written(folder / "names.txt", "\n".join(listed)))))
    assert dataset.meta["categories"] == ["names"]
    vocabulary = text.Vocabulary(tuple(dataset.meta["tokens"]))
    spelled = ["".join(vocabulary.decode(row)) for fields in dataset.splits.values() for row in fields["token"]]
    assert sorted(spelled) == listed
    assert all(dataset.examples(split) for split in dataset.splits)


def test_a_folder_of_names_by_category(tmp_path):
    written(tmp_path / "n" / "Czech.txt", "Dvořák\n" * 9)
    written(tmp_path / "n" / "Irish.txt", "O'Brien\t7\nКира\n" * 9 + "x" * 70)
    dataset = opened(NameData(source=str(tmp_path / "n")))
    assert dataset.meta["categories"] == ["Czech", "Irish"]
    assert dataset.meta["left_out"] == [
        "names without a letter of the alphabet: 9 (Кира, Кира, Кира, …)",
        "lines too long for a name: 1 (xxxxxxxxxxxxxxxxxxxx…)",
        "further columns of lines: 9 (1, 3, 5, …)",
    ]
    vocabulary = text.Vocabulary(tuple(dataset.meta["tokens"]))
    for fields in dataset.splits.values():
        for row, category in zip(fields["token"], fields["category"], strict=True):
            assert "".join(vocabulary.decode(row)) == ("Dvorak", "O'Brien")[category]


def test_files_about_the_data_are_no_data(tmp_path):
    for name in ("Czech.txt", "Irish.TXT", "README.txt", "._Czech.txt", "notes.doc"):
        written(tmp_path / "n" / name, f"{name[:3]}\n" * 9)
    dataset = opened(NameData(source=str(tmp_path / "n")))
    assert dataset.meta["categories"] == ["Czech", "Irish"]
    assert dataset.meta["left_out"] == ["files about the data: 1 (README.txt)", "files that are not .txt: 1 (notes.doc)"]
    for i, (review, label) in enumerate(reviews(20)):
        written(tmp_path / "f" / label / f"{i:02}.txt", review)
    written(tmp_path / "f" / "neg" / "README.md", "what this is")
    written(tmp_path / "f" / "neg" / "desktop.ini", "IconResource")
    dataset = opened(ReviewData(source=str(tmp_path / "f")))
    assert sum(dataset.examples(split) for split in dataset.splits) == 20
    assert dataset.meta["left_out"] == [
        "files about the data: 1 (neg/README.md)", "files that are not .txt: 1 (neg/desktop.ini)",
    ]  # fmt: skip
    written(tmp_path / "f" / "odd" / "a.doc", "a review")
    assert "class odd of train has no .txt file with a text" in refused(ReviewData(source=str(tmp_path / "f")))


def test_bad_names(tmp_path):
    assert "only 3 names can be used; at least 10 are needed" in refused(
        NameData(source=str(written(tmp_path / "few.txt", "A\nB\nC")))
    )
    (tmp_path / "none").mkdir()
    assert "the folder has no .txt files" in refused(NameData(source=str(tmp_path / "none")))
    written(tmp_path / "n" / "Greek.txt", "Ωμέγα\n")
    assert "there is no name with a letter of the alphabet" in refused(NameData(source=str(tmp_path / "n")))
    assert not list(store.root().glob("[!.]*"))
