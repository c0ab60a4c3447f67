"""What comes from elsewhere is data: runs, weights, data sets and archives are read, and nothing in them is executed."""

import ast
import gzip
import html.parser
import io
import json
import pickle
import shutil
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

import jaxnets
from jaxnets.data import archives, mnist
from jaxnets.errors import UserError
from tests.reliability.trials import call

SOURCES = sorted(Path(jaxnets.__file__).parent.rglob("*.py"))


class Evil:
    """Makes a file where it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_nothing_in_the_package_reads_what_can_execute():
    """Pickles are read in one place, by a reader that calls nothing; NumPy is never allowed to; no text is evaluated."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                name = ast.unparse(node.func)
                assert name not in ("eval", "exec", "compile", "os.system", "pickle.load", "pickle.loads", "torch.load"), (
                    path
                )
                options = {option.arg: ast.unparse(option.value) for option in node.keywords}
                assert options.get("allow_pickle", "False") == "False", path
                assert options.get("shell", "False") == "False", path
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = {alias.name.split(".")[0] for alias in node.names} | {getattr(node, "module", None) or ""}
                assert not names & {"marshal", "shelve", "dill", "cloudpickle", "joblib", "yaml"}, path
                assert "pickle" not in names or path.name == "cifar10.py", path


def test_pickles_of_a_data_set_call_nothing(tmp_path):
    from jaxnets.data import cifar10

    made = tmp_path / "made"
    with pytest.raises(UserError, match="it calls .*open, which image data never needs"):
        cifar10.parse("data_batch_1", pickle.dumps({b"data": Evil(made), b"labels": []}))
    assert not made.exists()


def test_arrays_with_pickles_are_refused_and_inert(places, tmp_path):
    made, content, run = tmp_path / "made", io.BytesIO(), tmp_path / "run"
    objects = np.array([Evil(made)], dtype=object)
    np.savez(content, **{"a/images": objects, "a/signed": np.array(0)})
    shutil.copytree(places.runs["image"], run)
    (run / "SHA256SUMS").unlink()
    (run / "images.npz").write_bytes(content.getvalue())
    np.savez(tmp_path / "own.npz", image=objects, label=[0])
    store = shutil.copytree(places.store, tmp_path / "store")
    np.save(store / "toy_names" / "train.label.npy", objects)
    places.use_store(store)
    for command, named in (
        (("report", run, "--out", tmp_path), "images.npz"),
        (("run", "cifar10/lenet/bn", "--data.source", tmp_path / "own.npz"), "own.npz"),
    ):
        outcome = call(command)
        assert (outcome.status, outcome.fault) == (2, ""), outcome
        assert named in outcome.error
    assert "toy_names" in call(("data", "status")).out
    assert not made.exists()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (("loss", "name"), "evil_module:f"),
        (("optim", "name"), "evil_module:f"),
        (("optim", "name"), "evil_module.f"),
        (("data", "augment", "function"), "evil_module:f"),
        (("model", "type"), "Popen"),
        (("model", "target"), "evil_module:f"),
        (("data", "task"), "evil_module"),
        (("data", "reader"), "evil_module"),
        (("type",), "evil_module:f"),
    ],
    ids=lambda value: ".".join(value) if isinstance(value, tuple) else value,
)
def test_what_a_runs_config_names_is_not_imported(places, tmp_path, monkeypatch, field, value):
    """Even where a module of that name could be: the net is used without it, or refused."""
    run = shutil.copytree(places.runs["image"], tmp_path / "run")
    (run / "SHA256SUMS").unlink()
    config = json.loads((run / "config.json").read_text())
    at = config
    for name in field[:-1]:
        at = at[name]
    at[field[-1]] = value
    (run / "config.json").write_text(json.dumps(config))
    (tmp_path / "evil_module.py").write_text("raise SystemExit('executed')")
    monkeypatch.syspath_prepend(tmp_path)
    for command in places.asking("image", run):
        outcome = call(command)
        assert (outcome.status in (0, 2), outcome.fault) == (True, ""), outcome
        assert "executed" not in outcome.error
        assert "evil_module" not in sys.modules


def _archive(kind, outside):
    """A .tar.gz or .zip with names and members that lead out of it, one for each way; all look like lists of names."""
    content = io.BytesIO()
    names = ("../a.txt", "../../../../../../tmp/a.txt", f"{outside}/absolute.txt", "names/../../b.txt", "names/Arabic.txt")
    if kind == "zip":
        with zipfile.ZipFile(content, "w") as archive:
            for name in names:
                archive.writestr(name, "evil\n")
            link = zipfile.ZipInfo("names/link.txt")
            link.external_attr = 0o120777 << 16
            archive.writestr(link, str(outside / "secret"))
        return content.getvalue()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = 5
            archive.addfile(info, io.BytesIO(b"evil\n"))
        for kind_of, name in (
            *((tarfile.SYMTYPE, "link"), (tarfile.LNKTYPE, "hard"), (tarfile.CHRTYPE, "device"), (tarfile.FIFOTYPE, "fifo")),
        ):
            info = tarfile.TarInfo(f"names/{name}.txt")
            info.type, info.linkname = kind_of, str(outside / "secret")
            archive.addfile(info)
    return content.getvalue()


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_archives_write_nothing_and_their_links_lead_nowhere(tmp_path, kind):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_text("secret")
    path = tmp_path / "inside" / f"data.{kind}"
    path.parent.mkdir()
    path.write_bytes(_archive(kind, tmp_path / "outside"))
    before = sorted(tmp_path.rglob("*"))
    found = archives.members("names", path, lambda inside: inside.endswith(".txt"))
    assert sorted(tmp_path.rglob("*")) == before
    assert found["names/Arabic.txt"] == b"evil\n"
    assert not any(content == b"secret" for content in found.values())


def test_archives_that_grow_without_end_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "_MOST", 1_000_000)
    zeros = bytes(1_000_001)
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.txt", zeros)
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as archive:
        info = tarfile.TarInfo("other")  # One that is not even asked for.
        info.size = len(zeros)
        archive.addfile(info, io.BytesIO(zeros))
    with tarfile.open(tmp_path / "name.tar.gz", "w:gz", format=tarfile.GNU_FORMAT) as archive:
        archive.addfile(tarfile.TarInfo("x" * len(zeros)))
    for path in sorted(tmp_path.iterdir()):
        assert path.stat().st_size < 10_000
        with pytest.raises(UserError, match=f"{path.name} .*it unpacks to more than 0.001 GB"):
            archives.members("set", path, lambda inside: inside == "a.txt")
    with pytest.raises(UserError, match="more than 0.001 GB"):
        mnist.read_idx(gzip.compress(zeros), "images.gz")
    monkeypatch.setattr(archives, "_MOST", 1_000_001)
    assert archives.gunzip(gzip.compress(zeros)) == zeros


class _Page(html.parser.HTMLParser):
    """Which elements a page has, and what could make them act."""

    def __init__(self):
        super().__init__()
        self.tags, self.acting = set(), []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        for name, value in attrs:
            if name.startswith("on") or (name in ("href", "src") and not (value or "").startswith(("#", "data:image/png"))):
                self.acting.append((tag, name, value))


HOSTILE = (
    "<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "'onmouseover='alert(1)", "</table><iframe src=//x>",
    "{{ 7 * 7 }}{% include 'x' %}", "javascript:alert(1)", "\x00\x07\x1b[2J", "\u202eabc", "$\\frac{1}{0}$", "&lt;b&gt;",
)  # fmt: skip


def test_a_page_of_a_run_with_hostile_texts_is_inert(places, tmp_path, full):
    """Names of classes, data sets and experiments, texts of samples and of the environment: they show, and do nothing."""
    run = shutil.copytree(places.runs["image"], tmp_path / "run")
    (run / "SHA256SUMS").unlink()
    summary = json.loads((run / "summary.json").read_text())
    texts = list(HOSTILE[: len(summary["class_names"])])
    if full:
        texts[5] = "long <script> name " * 500_000
    summary |= {"class_names": texts, "id": HOSTILE[0], "dataset": HOSTILE[1], "layout": HOSTILE[2]}
    summary["samples"] = {"columns": texts[:3], "before": [texts[:3]], "after": [texts[3:6]]}
    summary["final"]["test"][HOSTILE[3]] = summary["final"]["test"]["accuracy"]
    environment = json.loads((run / "environment.json").read_text())
    environment |= {"processor": HOSTILE[0], "commit": HOSTILE[1], "versions": {HOSTILE[0]: HOSTILE[3]}}
    (run / "summary.json").write_text(json.dumps(summary))
    (run / "environment.json").write_text(json.dumps(environment))
    outcome = call(("report", run, "--out", tmp_path))
    assert (outcome.status, outcome.fault) == (0, ""), outcome
    page = _Page()
    page.feed((tmp_path / "report" / "index.html").read_text())
    assert not page.tags & {"script", "iframe", "object", "embed", "form", "b", "link", "base", "svg"}
    assert page.acting == []
    assert "49" not in outcome.out
    assert all(path.resolve().is_relative_to(tmp_path) for path in (tmp_path / "report").iterdir())
