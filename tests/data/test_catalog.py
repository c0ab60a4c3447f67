"""The catalog: what each set's file states about it is true of the prepared set; how to get a set; what stays behind."""

import dataclasses
import hashlib
import json
import tempfile

import numpy as np
import pytest
import tensorflow_datasets as tfds

from jaxnets import registry
from jaxnets.cli import main
from jaxnets.data import builders, catalog, mnist, names, shapes, store
from jaxnets.data.dataset_builder import content_hash
from jaxnets.errors import UserError
from jaxnets.runs.reproduction import plan
from tests.data.facts import check_facts, set_sizes

SYNTHETIC = [name for name, builder in catalog.SETS.items() if builder.synthetic]
# All glyphs together take many seconds to draw.
DRAWN = [pytest.param(name, marks=[pytest.mark.slow] if name == "glyphs36" else []) for name in SYNTHETIC]


@pytest.fixture
def data_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("JAXNETS_DATA", str(tmp_path / "data"))


@pytest.mark.parametrize("name", DRAWN)
def test_facts_of_synthetic_sets(name):
    catalog.open_dataset(name)
    check_facts(name)


def test_language_models_know_their_tokenizer_beforehand(data_folder_of_its_own):
    tokenizers = {name: catalog.element_spec(name).meta.get("tokenizer") for name in catalog.SETS}
    assert {name: tokenizer for name, tokenizer in tokenizers.items() if tokenizer} == {
        "shakespeare_letters": "letters",
        "shakespeare_words": "plain_words",
        "wikitext2": "wiki_words",
        "toy_letters": "letters",
        "toy_words": "plain_words",
    }


def test_the_spec_of_a_prepared_set_is_the_set(data_folder_of_its_own):
    assert catalog.element_spec("toy_names").meta == catalog.get("toy_names").contents.meta
    catalog.open_dataset("toy_names")
    assert isinstance(catalog.element_spec("toy_names").splits["train"]["token"], np.memmap)


@pytest.mark.parametrize("name", [name for name in catalog.SETS if name not in SYNTHETIC])
def test_sets_that_are_not_there_say_how_to_get_them(name, data_folder_of_its_own):
    with pytest.raises(UserError, match=f"jaxnets data prepare {name}.*--manual-dir DIR"):
        catalog.open_dataset(name)
    spec = catalog.element_spec(name)
    assert {"train", "validation"} <= set(spec.splits) <= {"train", "validation", "test"}
    assert all(spec.examples(split) > 0 for split in spec.splits)


def test_names_are_those_of_the_builders():
    for name, builder in catalog.SETS.items():
        assert builder.name == name
        assert builder.description
        assert builder.synthetic or builder.files
    assert catalog.megabytes(catalog.get("cifar10")) == "170 MB"
    assert catalog.megabytes(catalog.get("nist36")) == ""


# ------------------------------------------------------------------------------------------------ content of synthetic sets

CONTENT = {
    "shapes10": "136138c21d0d6a507793032e9e50b71d1cedf8bd36c1f78b46fcaca580c1185a",
    "shapes200": "fbbd98faae4561802582fc8cc4ac3d220c1d0104dc2df21a541392d00efdfbf2",
    "glyphs36": "3dcd24cbf500e79fe9dc66e2c85a01ebbec92bb004a9af6da8eef1d187ba5731",
    "toy_names": "edcce7e15b9d793a9c7921597d4a4e7eb61ae6f4817dea07de721c21f1b60f53",
    "toy_letters": "ecb0280502613ed25163eb360920b4f9e56df4d5d0d2bb1aabda4c381e2aea15",
    "toy_words": "0890d1d2bf99e178298b89fc574f2b21ff1cb6717b0a0020b0e35d6ef582c028",
    "toy_reviews": "4a23d0d6641ec11b2d1d14e94030a4cbda8871b6edf7b078b98285cd14c9e514",
    "toy_pairs": "b52c298a5318dc897e3fdabcd5a7a4cc14efe7c10d8d2913ec7ae586578ea609",
}
"""Set -> sha256, as `digest` computes it."""


def digest(dataset):
    """A sha256 of a set's content.

    Texts and labels come from integer arithmetic, so that their arrays count to the last bit. Pixels are drawn in floating
    point: sines, exponentials and, for glyphs, FreeType's outlines may round another way on another machine. So each class
    counts by its mean image on a grid of 4×4, in 0..1, rounded to three digits.
    """
    content = hashlib.sha256()
    for split, fields in sorted(dataset.splits.items()):
        for field, array in sorted(fields.items()):
            content.update(f"{split} {field} {array.dtype} {array.shape}".encode())
            if field == "image":
                array = class_means(array, fields["label"])
            content.update(np.ascontiguousarray(array).tobytes())
    meta = {key: value for key, value in dataset.meta.items() if key not in ("format", "splits", "digest", "mean", "std")}
    content.update(json.dumps(meta, sort_keys=True).encode())
    return content.hexdigest()


def class_means(images, labels):
    """Thousandths [classes, 4, 4, C] of each class's mean image."""
    n, height, width, channels = images.shape
    means = images.reshape(n, 4, height // 4, 4, width // 4, channels).mean((2, 4))
    return np.stack([np.round(means[labels == label].mean(0) / 0.255).astype(np.int32) for label in range(labels.max() + 1)])


@pytest.mark.parametrize("name", DRAWN)
def test_the_content_of_synthetic_sets_is_as_recorded(name):
    assert digest(catalog.open_dataset(name)) == CONTENT[name], (
        f"the content of {name} has changed. If that is on purpose, raise store._FORMAT, so that sets in use are prepared "
        "again, and record the new hash here. A new version of Pillow or matplotlib may also draw other glyphs"
    )


def test_small_changes_change_the_hash():
    before = catalog.open_dataset("toy_names")
    token = np.array(before.splits["test"]["token"])
    token[0, 0] ^= 1
    splits = {**before.splits, "test": {**before.splits["test"], "token": token}}
    assert digest(before._replace(splits=splits)) != digest(before)
    drawn = catalog.open_dataset("shapes10")
    test = {**drawn.splits["test"], "image": drawn.splits["test"]["image"][:, ::-1]}
    assert digest(drawn._replace(splits={**drawn.splits, "test": test})) != digest(drawn)


# -------------------------------------------------------------------------------------------------- preparation in general


@pytest.mark.parametrize(("content", "fails"), [("Smith\nJones\n" * 10, False), (" \n", True)])
def test_no_temporary_folder_stays(content, fails, tmp_path, monkeypatch, data_folder_of_its_own):
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "us.txt").write_text(content)
    if fails:
        with pytest.raises(UserError, match="is empty"):
            names.prepare_surnames(tmp_path)
    else:
        names.prepare_surnames(tmp_path)
    assert not list((tmp_path / "tmp").iterdir())
    assert not (store.root() / ".tfds" / "surnames").exists()


def test_what_a_killed_preparation_left_is_not_taken_for_the_next_ones(tmp_path, data_folder_of_its_own, monkeypatch):
    """A process that is killed removes nothing."""
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "us.txt").write_text(f"{name}\n" * 20)
    with monkeypatch.context() as patch:
        patch.setattr(builders, "_clear", lambda work: None)
        names.prepare_surnames(tmp_path / "first")
    (store.root() / ".tfds" / "downloads" / "half.tmp.1").mkdir(parents=True)
    assert names.prepare_surnames(tmp_path / "second").splits["train"]["length"].max() == len("second")
    assert [path.name for path in (store.root() / ".tfds").iterdir()] == ["downloads"]
    assert not list((store.root() / ".tfds" / "downloads").iterdir())


def test_a_part_of_a_set_is_refused_and_the_old_set_stays(tmp_path, data_folder_of_its_own, monkeypatch):
    set_sizes(monkeypatch, "surnames", train=16, validation=2, test=2)
    contents = names.contents(len("second"))
    monkeypatch.setitem(catalog.SETS, "surnames", dataclasses.replace(catalog.get("surnames"), contents=contents))
    (tmp_path / "us.txt").write_text("second\n" * 20)
    catalog.prepare("surnames", tmp_path)
    (tmp_path / "us.txt").write_text("third\n" * 10)
    with pytest.raises(UserError, match="not the whole published set: 8 of 16 train, 1 of 2 validation, 1 of 2 test"):
        catalog.prepare("surnames", tmp_path)
    assert catalog.load("surnames").examples("train") == 16
    set_sizes(monkeypatch, "surnames", train=17, validation=2, test=2)
    with pytest.raises(UserError, match="is not as this version of jaxnets prepares it .16 of 17 train.* surnames` again"):
        catalog.load("surnames")
    # What only needs its shapes goes on with those of the set as it would be prepared now.
    assert not catalog.is_ready("surnames")
    assert catalog.element_spec("surnames").examples("train") == 17
    experiment = registry.all_experiments()["names/char_rnn"]
    assert "data set surnames is not prepared" in plan.wish(experiment, {}, {}).problem


def test_changed_content_of_known_size_is_marked(tmp_path, data_folder_of_its_own, monkeypatch):
    experiment = next(e for e in registry.all_experiments().values() if e.data.dataset == "surnames")
    (tmp_path / "us.txt").write_text("second\n" * 20)
    builder = dataclasses.replace(catalog.get("surnames"), contents=names.contents(6))
    builder = dataclasses.replace(builder, published=content_hash(names.prepare_surnames(tmp_path)))
    monkeypatch.setitem(catalog.SETS, "surnames", builder)
    set_sizes(monkeypatch, "surnames", train=16, validation=2, test=2)
    catalog.prepare("surnames", tmp_path)
    assert catalog.label(experiment, catalog.load("surnames")) == "surnames"
    assert catalog.is_published(experiment, catalog.load("surnames"))
    (tmp_path / "us.txt").write_text("second\n" * 19 + "sceond\n")
    catalog.prepare("surnames", tmp_path)
    assert catalog.label(experiment, catalog.load("surnames")) == "surnames (not as published)"
    assert not catalog.is_published(experiment, catalog.load("surnames"))


def test_files_are_compared_before_anything_is_made_of_them(tmp_path, data_folder_of_its_own, monkeypatch, capsys):
    """Where what is made of them may depend on the machine, as pixels of a JPEG do."""
    (tmp_path / "us.txt").write_text("second\n" * 20)
    read = builders.to_arrays(names.Surnames, tmp_path)
    builder = dataclasses.replace(catalog.get("surnames"), contents=names.contents(6), published=store.digest(read.splits))
    monkeypatch.setitem(catalog.SETS, "surnames", builder)
    set_sizes(monkeypatch, "surnames", train=16, validation=2, test=2)
    source = lambda: catalog.load("surnames").meta["source"]
    catalog.prepare("surnames", tmp_path)
    assert source() == catalog.AS_PUBLISHED
    (tmp_path / "us.txt").write_text("sceond\n" + "second\n" * 19)
    catalog.prepare("surnames", tmp_path)
    assert source() == catalog.OTHERWISE
    monkeypatch.setitem(catalog.SETS, "surnames", dataclasses.replace(catalog.get("surnames"), published=""))
    assert main(["data", "prepare", "surnames", "--manual-dir", str(tmp_path)]) == 0
    assert source() == catalog.UNKNOWN
    assert "whether these are the published files cannot be told" in capsys.readouterr().out


def test_a_file_with_the_pinned_sum_is_the_published_one(tmp_path, data_folder_of_its_own, monkeypatch):
    """Also when it was fetched by hand, and whatever this machine makes of it."""
    content = b"second\n" * 20
    (tmp_path / "us.txt").write_bytes(content)
    [url] = names.Surnames.downloads
    pinned = tfds.download.checksums.UrlInfo(len(content), hashlib.sha256(content).hexdigest(), "us.txt")
    monkeypatch.setattr(names.Surnames, "downloads", {url: pinned})
    builder = dataclasses.replace(catalog.get("surnames"), contents=names.contents(6), published="0123456789abcdef")
    monkeypatch.setitem(catalog.SETS, "surnames", builder)
    set_sizes(monkeypatch, "surnames", train=16, validation=2, test=2)
    catalog.prepare("surnames", tmp_path)
    assert catalog.load("surnames").meta["source"] == catalog.AS_PUBLISHED
    (tmp_path / "us.txt").write_bytes(content.replace(b"\n", b"\r\n"))
    catalog.prepare("surnames", tmp_path)
    assert catalog.load("surnames").meta["source"] == catalog.OTHERWISE


def test_the_hash_of_what_was_read_sees_every_byte():
    texts = lambda *items: {"train": {"file": np.array(items, object)}}
    different = [
        *(texts(b"ab", b"c"), texts(b"a", b"bc"), texts(b"abc", b""), texts(b"ab", b"d"), texts(b"ab")),
        {"train": {"name": np.array([b"ab", b"c"], object)}},
        {"test": {"file": np.array([b"ab", b"c"], object)}},
    ]
    assert len({store.digest(splits) for splits in different}) == len(different)
    assert store.digest(texts("ab", "c")) == store.digest(texts("ab", "c"))


def test_every_published_set_but_one_is_known():
    """Nobody but its course has nist36."""
    unknown = [name for name, builder in catalog.SETS.items() if not (builder.synthetic or builder.published)]
    assert unknown == ["nist36"]


def test_the_table_tells_what_is_to_be_prepared_again(data_folder_of_its_own, capsys):
    def status():
        assert main(["data", "status"]) == 0
        out = capsys.readouterr().out
        return {line.split()[0]: line.split()[1] for line in out.splitlines() if line}, out

    for name in ("toy_names", "toy_words", "toy_pairs", "toy_reviews"):
        catalog.open_dataset(name)
    of_before = json.loads((store.root() / "toy_words" / "meta.json").read_text())
    (store.root() / "toy_words" / "meta.json").write_text(json.dumps({**of_before, "format": 1}))
    pairs = catalog.load("toy_pairs")
    store.save("toy_pairs", pairs.splits, {**pairs.meta, "source_tokens": ["one"]})
    (store.root() / "toy_reviews" / "train.label.npy").write_bytes(b"")
    words, out = status()
    assert [words[name] for name in ("toy_names", "toy_words", "toy_pairs", "toy_reviews", "toy_letters", "cifar10")] == [
        *("yes", "outdated", "outdated", "damaged", "no", "no")
    ]
    assert "To be prepared again before use: toy_words, toy_reviews, toy_pairs" in out
    assert main(["data", "show", "toy_words"]) == 0
    assert "no; that of another version of jaxnets, to be prepared again" in capsys.readouterr().out
    (store.root() / "cifar10").mkdir()
    (store.root() / "cifar10" / "meta.json").write_text("")
    assert status()[0]["cifar10"] == "damaged"
    with pytest.raises(UserError, match="cifar10 is damaged; prepare it again: `jaxnets data prepare cifar10`"):
        catalog.open_dataset("cifar10")


@pytest.mark.parametrize(
    ("field", "array"),
    [("token", np.zeros((2_400, 15), np.uint16)), ("length", np.zeros((2_400, 1), np.int32)), ("other", np.zeros(2_400))],
)
def test_a_synthetic_set_of_another_form_is_made_anew(field, array, data_folder_of_its_own):
    made = catalog.open_dataset("toy_names")
    splits = {split: dict(fields) for split, fields in made.splits.items()}
    splits["train"][field] = array
    store.save("toy_names", splits, {key: value for key, value in made.meta.items() if key != "splits"})
    assert digest(catalog.open_dataset("toy_names")) == CONTENT["toy_names"]


def test_a_folder_in_place_of_a_file_is_named(tmp_path, data_folder_of_its_own):
    (tmp_path / "us.txt").mkdir()
    with pytest.raises(UserError, match=rf"surnames: {tmp_path}/us.txt cannot be read: Is a directory"):
        names.prepare_surnames(tmp_path)


def test_preparing_reports_its_stages_to_the_end(tmp_path, data_folder_of_its_own):
    (tmp_path / "us.txt").write_text("Smith\nJones\n" * 500)
    calls = []
    names.prepare_surnames(tmp_path, lambda *call: calls.append(call))
    stages = list(dict.fromkeys(stage for stage, _, _ in calls))
    assert stages == ["storing everything", "loading everything"]
    for stage in stages:
        done = [done for name, done, _ in calls if name == stage]
        assert done == sorted(done)
        assert next(total for name, _, total in calls[::-1] if name == stage) == done[-1]


def test_a_download_is_reported_while_it_arrives(tmp_path):
    from jaxnets.data import progress

    calls, sizes = [], iter([0, 0, 30, 30, 99, 120])
    with progress.watch(lambda: next(sizes, 120), 100, "downloading", lambda *call: calls.append(call), seconds=0.01):
        import time

        time.sleep(0.5)
    assert calls == [("downloading", done, 100) for done in (30, 99, 100)]


def test_every_set_takes_a_report(data_folder_of_its_own):
    calls = []
    catalog.get("shapes10")
    splits = shapes._draw_splits(1, {"train": 20, "test": 20}, lambda *call: calls.append(call))
    assert set(splits) == {"train", "test"}
    assert calls == [("drawing splits", 1, 2), ("drawing splits", 2, 2)]


def test_facts_cannot_be_changed_by_accident():
    with pytest.raises(dataclasses.FrozenInstanceError):
        mnist.SETS[0].name = "other"
