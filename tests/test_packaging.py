"""What an installation brings: its dependencies, and the content of its wheel."""

import ast
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from collections import defaultdict
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import jaxnets

ROOT = Path(__file__).parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCAL = {"jaxnets", "benchmarks", "tests"}
DISTRIBUTIONS = {"PIL": "pillow", "orbax": "orbax-checkpoint", "skimage": "scikit-image"}
"""Of modules that are called otherwise."""
IMPORTED_BY_TFDS = {"array-record", "importlib-resources"}
EXTRAS = ("ocr", "onnx", "tensorboard", "text")
"""Of parts of the package."""
FOR_PYTORCH = set((ROOT / "jaxnets/export/pytorch").rglob("*.py"))
"""Copied into what `jaxnets export` writes, and never imported by the package."""
ONNX = (
    "from jaxnets.export import to_onnx; net = types.SimpleNamespace(); net.experiment = types.SimpleNamespace(); "
    "net.experiment.task = 'jaxnets.tasks.classification'; to_onnx.export(net, None)"
)
NAMED_IN_CONF = {"furo", "myst-parser"}
"""Theme and extensions of the site, by their names."""
PYTEST_PLUGINS = {"pytest-xdist"}


def normalized(requirement):
    """The name of a requirement: "flax" for "flax>=0.12.8"."""
    return re.match(r"[\w-]+", requirement)[0].replace("_", "-").lower()


def declared(extra):
    """The distributions of an extra, with those of the extras it names."""
    for requirement in PYPROJECT["project"]["optional-dependencies"][extra]:
        if others := re.fullmatch(r"jaxnets\[(.+)\]", requirement):
            yield from (name for other in others[1].split(",") for name in declared(other))
        else:
            yield normalized(requirement)


BASE = {normalized(requirement) for requirement in PYPROJECT["project"]["dependencies"]}


def imported(folder):
    """{distribution: extras under which the files of a folder import it}, "" for an import outside `with extra(…)`."""
    found = defaultdict(set)

    def visit(node, extra):
        if isinstance(node, ast.With) and isinstance(call := node.items[0].context_expr, ast.Call):
            extra = call.args[0].value if getattr(call.func, "id", "") == "extra" else extra
        modules = []
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            modules = [node.module]
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "importorskip":
            modules = [node.args[0].value]
        for module in modules:
            top = module.split(".")[0]
            if top not in sys.stdlib_module_names | LOCAL:
                found[DISTRIBUTIONS.get(top, top.replace("_", "-").lower())].add(extra)
        for child in ast.iter_child_nodes(node):
            visit(child, extra)

    for path in set((ROOT / folder).rglob("*.py")) - FOR_PYTORCH:
        visit(ast.parse(path.read_text()), "")
    return dict(found)


def test_the_package_needs_what_it_declares_and_nothing_else():
    needed = imported("jaxnets") | imported("configs")
    assert {name for name, extras in needed.items() if "" in extras} == BASE - IMPORTED_BY_TFDS
    by_extra = {extra: {name for name, extras in needed.items() if extra in extras} for extra in EXTRAS}
    assert by_extra == {extra: set(declared(extra)) for extra in by_extra}


def test_the_pinned_versions_are_within_what_is_declared():
    """And what is relied on beyond its public names has a bound above."""
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    pinned = defaultdict(set)
    for requirement in map(Requirement, lines):
        pinned[normalized(requirement.name)] |= {specifier.version for specifier in requirement.specifier}
    declared = {normalized(line): Requirement(line).specifier for line in PYPROJECT["project"]["dependencies"]}
    for name, specifier in declared.items():
        assert pinned[name], name
        assert all(specifier.contains(version) for version in pinned[name]), (name, specifier)
    assert not declared["tensorflow-datasets"].contains("5.0.0")
    for name in ("flax", "jax", "numpy", "optax", "orbax-checkpoint", "tensorflow-datasets", "tyro"):
        assert not declared[name].contains("0.0.1"), name


def test_benchmarks_need_what_they_declare_and_nothing_else():
    assert set(imported("benchmarks")) - BASE == {*declared("bench"), *declared("peers")}


def test_the_site_needs_what_it_declares_and_nothing_else():
    assert set(imported("docs")) - BASE | NAMED_IN_CONF == set(declared("docs"))


def test_the_tests_need_what_they_declare_and_nothing_else():
    needed = set(imported("tests"))
    # Installed apart, by make torch; the tests that need them are skipped without them.
    apart = {*declared("bench"), *declared("onnx"), "onnxruntime"}
    assert needed - BASE - apart <= set(declared("test"))
    through_package = {name for extra in EXTRAS for name in declared(extra)}
    assert set(declared("test")) - needed - through_package == PYTEST_PLUGINS


def test_what_only_tensorflow_datasets_imports_is_imported_there():
    folder = Path(pytest.importorskip("tensorflow_datasets").__file__).parent / "core"
    text = "".join(path.read_text() for path in (folder / "dataset_builder.py", folder / "utils" / "lazy_imports_utils.py"))
    for name in IMPORTED_BY_TFDS:
        assert re.search(rf"^\s*(import|from) {name.replace('-', '_')}\b", text, re.MULTILINE), name


@pytest.mark.parametrize(
    ("package", "extra", "statement"),
    [
        ("skimage", "ocr", "import jaxnets.analysis.ocr.read"),
        ("sacrebleu", "text", "from jaxnets.tasks.translation import _sacrebleu; _sacrebleu()"),
        ("onnx", "onnx", f"import types; {ONNX}"),
        ("onnxscript", "onnx", f"import types; sys.modules['onnx'] = types.ModuleType('onnx'); {ONNX}"),
        ("tensorboardX", "tensorboard", "import jaxnets.runs.tensorboard as t, pathlib; t.TensorBoard(pathlib.Path('x'))"),
    ],
)
def test_a_missing_package_is_said_in_one_line_that_names_the_extra(package, extra, statement):
    code = f"import sys; sys.modules[{package!r}] = None; {statement}"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    last = result.stderr.strip().splitlines()[-1]
    assert last == f"jaxnets.errors.UserError: this needs the package {package}: pip install 'jaxnets[{extra}]'"


def test_the_citation_names_this_version_and_license():
    lines = (ROOT / "CITATION.cff").read_text().splitlines()
    assert f"version: {jaxnets.__version__}" in lines
    assert f"license: {PYPROJECT['project']['license']}" in lines
    assert PYPROJECT["project"]["license"] in (ROOT / "LICENSE").read_text()


def test_every_folder_with_code_is_a_package_of_the_wheel():
    folders = {path.parent.relative_to(ROOT) for path in (ROOT / "jaxnets").rglob("*.py")}
    packages = {".".join(folder.parts) for folder in folders} | {"jaxnets.configs", "jaxnets.documents"}
    assert set(PYPROJECT["tool"]["setuptools"]["packages"]) == packages


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The names of the files in the wheel, and the folder it is unpacked in. Without a compiler, which takes a minute."""
    source, folder = (tmp_path_factory.mktemp(name) for name in ("source", "wheel"))
    files = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.split("\n")
    if not files[0]:
        pytest.skip("not a git checkout")
    for name in filter(None, files):
        if (ROOT / name).exists() and not name.startswith("benchmarks/results"):
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    build = f"from setuptools.build_meta import build_wheel; build_wheel({str(folder)!r})"
    environment = {**os.environ, "CC": "false", "CXX": "false"}
    subprocess.run([sys.executable, "-c", build], cwd=source, env=environment, check=True, capture_output=True)
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as archive:
        archive.extractall(folder)
        return archive.namelist(), folder


def test_the_wheel_has_types_kernels_configs_and_no_tests(wheel):
    names, _ = wheel
    for part in ("jaxnets/py.typed", "jaxnets/analysis/report/page.html", "jaxnets/nn/kernels/conv.cc"):
        assert part in names
    configs = {f"jaxnets/configs/{path.name}" for path in (ROOT / "configs").glob("*.py")}
    assert {name for name in names if name.startswith("jaxnets/configs/")} == configs
    documents = {f"jaxnets/documents/{path.name}" for path in (ROOT / "documents").glob("*.toml")}
    assert {name for name in names if name.startswith("jaxnets/documents/")} == documents
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert {name.split("/")[0] for name in names} == {"jaxnets", f"jaxnets-{jaxnets.__version__}.dist-info"}
    assert not any("test" in Path(name).name for name in names)


def test_an_installed_wheel_finds_its_experiments(wheel, tmp_path):
    code = (
        "from jaxnets import registry; print(registry.config_folder()); print(len(registry.all_experiments()));"
        "from jaxnets.runs.reproduction import document; print(*document.names())"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(wheel[1])},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    folder, count, *documents = result.stdout.split()
    assert documents == ["S0", "S1", "S2", "S3", "S4"]
    assert Path(folder) == wheel[1] / "jaxnets" / "configs"
    assert int(count) == len(jaxnets.experiments())
