"""The house rules that imports can break."""

import ast
import graphlib
from pathlib import Path

import pytest

import jaxnets

PACKAGE = Path(jaxnets.__file__).parent
LEVELS = (
    ("errors", "config", "registry"),
    ("nn",),
    ("data", "models", "optim", "pipeline"),
    ("tasks",),
    ("training",),
    ("runs",),
    ("analysis", "export"),
    ("api", "cli", "__main__"),
)
"""From the ground up. Within a level, names import only those to their left."""
ORDER = [name for level in LEVELS for name in level]
FILES = sorted(path for path in PACKAGE.rglob("*.py") if "configs" not in path.relative_to(PACKAGE).parts)


def part(path):
    """The part of the house a file belongs to: "nn" for nn/conv.py, "registry" for registry.py."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def module(path):
    """The dotted name of a file."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module(path): path for path in FILES}


def imports(path):
    """Every dotted name a file imports, at the top or inside a function."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def imported_modules(path):
    """The modules of the package among them."""
    for name in imports(path):
        yield from (known for known in (name, name.rpartition(".")[0]) if known in MODULES)


@pytest.mark.parametrize("path", [path for path in FILES if part(path) != "__init__"], ids=module)
def test_a_part_imports_only_parts_below_it(path):
    for name in imported_modules(path):
        below = part(MODULES[name])
        if below != "__init__":
            assert ORDER.index(below) <= ORDER.index(part(path)), f"{module(path)} imports {name} from above"


def test_no_modules_import_each_other_in_a_circle():
    """A package's own __init__.py is left out: its modules are imported through it."""
    graph = {
        module(path): {name for name in imported_modules(path) if not module(path).startswith(f"{name}.")} - {module(path)}
        for path in FILES
    }
    graphlib.TopologicalSorter(graph).prepare()  # Raises CycleError, which names the circle.


@pytest.mark.parametrize(
    ("library", "homes"),
    [
        ("flax", {"nn", "models", "optim"}),
        ("torch", {"export"}),
        ("tensorflow_datasets", {"data"}),
        ("orbax", {"training"}),
        ("matplotlib", {"analysis", "data"}),
        ("tyro", {"cli", "config"}),
        ("rich", {"runs", "api", "cli"}),
    ],
)
def test_a_library_is_imported_only_where_it_belongs(library, homes):
    users = {part(path) for path in FILES for name in imports(path) if name.split(".")[0] == library}
    assert users <= homes


def test_what_needs_torch_is_imported_by_nothing_else():
    for name, path in MODULES.items():
        if not name.startswith("jaxnets.export.pytorch"):
            assert not any(used.startswith("jaxnets.export.pytorch") for used in imports(path)), path


@pytest.mark.parametrize(
    "path", [path for path in FILES if part(path) in ("errors", "config", "registry", "data")], ids=module
)
def test_configs_and_data_never_import_jax(path):
    assert not any(name.split(".")[0] in ("jax", "flax", "optax") for name in imports(path))


def test_flax_is_linen():
    for path in FILES:
        assert not any(name.startswith(("flax.nnx", "flax.training", "flax.jax_utils")) for name in imports(path)), path


DEVICE_NAMES = {
    "devices", "local_devices", "device_count", "local_device_count", "device_put", "default_backend", "pmap", "shard_map",
    "make_mesh", "sharding", "NamedSharding", "PartitionSpec", "Mesh", "set_mesh",
}  # fmt: skip


def test_devices_are_named_in_parallel_alone():
    for path in FILES:
        if path.name == "parallel.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in ("jax", "lax"):
                assert node.attr not in DEVICE_NAMES, f"{path}:{node.lineno}"
        assert not any(name.startswith("jax.") and set(name.split(".")) & DEVICE_NAMES for name in imports(path)), path


def test_files_stay_small():
    for path in FILES:
        assert len(path.read_text().splitlines()) <= 320, path
        assert "util" not in path.name


def opens_text(call):
    """Whether a call opens a text file, as far as the source shows: a mode that is no constant is another function's."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    if isinstance(call.func, ast.Attribute) and name == "open":
        if isinstance(call.func.value, ast.Name) and call.func.value.id in ("os", "tarfile", "Image"):
            return False
        modes = call.args[:1]
    elif name == "open":
        modes = call.args[1:2]
    else:
        return isinstance(call.func, ast.Attribute) and name in ("read_text", "write_text")
    modes = modes + [keyword.value for keyword in call.keywords if keyword.arg == "mode"]
    return all(isinstance(mode, ast.Constant) and "b" not in mode.value for mode in modes)


def names_encoding(call):
    """Whether it does: by keyword, or by place, which is the first of read_text and the second of write_text."""
    place = {"read_text": 0, "write_text": 1}.get(getattr(call.func, "attr", ""), 10)
    return len(call.args) > place or any(keyword.arg == "encoding" for keyword in call.keywords)


@pytest.mark.parametrize(
    ("line", "allowed"),
    [
        ("path.read_text()", False),
        ("path.read_text('utf-8')", True),
        ("path.write_text(text)", False),
        ("path.write_text(text, encoding='utf-8')", True),
        ("path.open()", False),
        ("path.open('a')", False),
        ("path.open('ab')", True),
        ("open(path, mode='w')", False),
        ("open(path, 'w', encoding='utf-8')", True),
        ("Image.open(path)", True),
        ("run.open(experiment)", True),
    ],
)
def test_what_counts_as_opening_text_without_an_encoding(line, allowed):
    call = ast.parse(line).body[0].value
    assert (names_encoding(call) or not opens_text(call)) == allowed


@pytest.mark.parametrize("folder", ["jaxnets", "benchmarks", "scripts", "examples", "docs", "configs"])
def test_every_text_file_is_opened_with_an_encoding(folder):
    """Python's own choice is the locale's, so that a file written on one machine could not be read on another."""
    for path in (PACKAGE.parent / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and opens_text(node):
                assert names_encoding(node), f"{path}:{node.lineno}"


def test_the_readme_draws_the_same_levels():
    readme = (PACKAGE.parent / "README.md").read_text()
    drawing = readme.partition("jaxnets/        ")[2].partition("```")[0]
    for level in LEVELS:
        line = next(line for line in drawing.splitlines() if line.strip().startswith(level[0]))
        assert all(name in line for name in level if name != "__main__"), level
