"""The house rules that imports can break."""

import ast
from pathlib import Path

import pytest

import jaxnets

PACKAGE = Path(jaxnets.__file__).parent
FLOORS = (
    ("errors", "fields", "model_config", "config"),
    (
        "catalogue",
        "init",
        "metrics",
        "losses",
        "tasks",
        "spsa",
        "optim",
        "augment",
        "feed",
        "decode",
        "nn",
        "models",
        "scenes",
        "data",
    ),
    ("state", "parallel", "step", "checkpoint", "record", "progress", "problems", "interrupts", "memory", "process"),
    ("program", "summary", "train", "trained", "sweep", "theory", "ocr", "inspect"),
    ("report", "cli", "__main__"),
)
FLOOR_OF = {name: i for i, names in enumerate(FLOORS) for name in names}
FILES = sorted(PACKAGE.rglob("*.py"))


def part(path):
    """The part of the house a file belongs to: "nn" for nn/conv.py, "train" for train.py."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imports(path):
    """Every dotted name a file imports, at the top or inside a function."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", [p for p in FILES if part(p) not in ("__init__", "configs")], ids=str)
def test_a_floor_imports_only_its_own_and_lower_floors(path):
    own = FLOOR_OF[part(path)]
    for name in imports(path):
        parts = name.split(".")
        if parts[0] == "jaxnets" and len(parts) > 1 and parts[1] in FLOOR_OF:
            assert FLOOR_OF[parts[1]] <= own, f"{path.name} imports {name} from a higher floor"


@pytest.mark.parametrize(
    ("library", "homes"),
    [
        ("flax", {"nn", "models"}),
        ("torch", set()),
        ("tensorflow_datasets", {"data"}),
        ("orbax", {"checkpoint"}),
        ("matplotlib", {"report", "data"}),
        ("tyro", {"cli", "config"}),
    ],
)
def test_a_library_is_imported_only_where_it_belongs(library, homes):
    users = {part(path) for path in FILES for name in imports(path) if name.split(".")[0] == library}
    assert users <= homes


def test_data_never_imports_jax():
    for path in (PACKAGE / "data").glob("*.py"):
        assert not any(name.split(".")[0] == "jax" for name in imports(path)), path


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
        assert len(path.read_text().splitlines()) <= 350, path
        assert "util" not in path.name
