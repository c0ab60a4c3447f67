"""Names and what they mean: experiments by id, and the code that a config names.

A config file yields a family of experiments, whose ids are family/variant, or the family itself.
"""

import ast
import functools
import importlib
import importlib.util
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from jaxnets.config import Experiment, validate
from jaxnets.config.fields import can_exist, user_path
from jaxnets.errors import UserError, did_you_mean, first_line

CONFIG_FILE = "jaxnets_config_"
"""What the names of config files' modules start with."""


def folder(name: str) -> Path:
    """A folder of built-in files, "configs" or "documents": in an installed package inside it, in a checkout beside it."""
    package = Path(__file__).parent
    return next(folder for folder in (package / name, package.parent / name) if folder.is_dir())


def config_folder() -> Path:
    """Where the built-in config files are."""
    return folder("configs")


def all_experiments() -> dict[str, Experiment]:
    """Every built-in experiment by id, in the order of the config files."""
    stems = sorted(file.stem for file in config_folder().glob("*.py"))
    return {id_: experiment for stem in stems for id_, experiment in family(stem).items()}


@functools.cache
def family(stem: str) -> Mapping[str, Experiment]:
    """The experiments of one built-in config file by id; for `family("cifar10_lenet")` those of configs/cifar10_lenet.py."""
    return {experiment.id: experiment for experiment in load_file(config_folder() / f"{stem}.py")}


def notes(id_: str) -> str:
    """What the config file of a built-in experiment says was stated, chosen and inferred: a part of its docstring.

    Empty for an experiment of any other file.
    """
    for file in sorted(config_folder().glob("*.py")):
        if id_ in family(file.stem):
            text = ast.get_docstring(ast.parse(file.read_text("utf-8"))) or ""
            found = re.search(
                r"^(Stated|Inferred) .*?(?=\n\nExpected|\nExpected|\nNot run|\Z)", text, re.DOTALL | re.MULTILINE
            )
            return found[0].strip() if found else ""
    return ""


def resolve(target: Any) -> Any:
    """What a config's `target` names: the attribute for "package.module:attribute", the module for "package.module".

    Anything but a string stands for itself, so that a config file can name a class that it defines.

    >>> resolve("math:tau")
    6.283185307179586
    """
    if not isinstance(target, str):
        return target
    module, _, attribute = target.partition(":")
    try:
        loaded = importlib.import_module(module)
        return getattr(loaded, attribute) if attribute else loaded
    except (Exception, SystemExit) as error:
        hint = "; load the config file that defines it first" if module.startswith(CONFIG_FILE) else ""
        raise UserError(f"a config names {target!r}, which cannot be imported ({first_line(error)}){hint}") from error


def select(names: Iterable[str]) -> list[Experiment]:
    """The experiments meant by ids, family ids and paths of config files (`mine.py`, `mine.py:family/variant`).

    Raises UserError for a name that means nothing, naming the nearest id.
    """
    known = all_experiments()
    chosen: dict[str, Experiment] = {}
    for name in names:
        stem, suffix, id_in_file = (name[:-3], ".py", "") if name.endswith(".py") else name.partition(".py:")
        if suffix:
            path = user_path(f"{stem}.py")
            matches = {e.id: e for e in load_file(path) if id_in_file in ("", e.id)}
            if not matches:
                raise UserError(f"{path} has no experiment {id_in_file!r}")
        else:
            matches = {id_: e for id_, e in known.items() if id_ == name or id_.startswith(f"{name}/")}
            if not matches:
                families = {"/".join(id_.split("/")[:k]) for id_ in known for k in (1, 2, 3)}
                hint = did_you_mean(name, families | set(known), "see `jaxnets list`")
                raise UserError(f"unknown experiment {name[:200]!r}: {hint}")
        chosen |= matches
    return list(chosen.values())


def load_file(path: Path) -> list[Experiment]:
    """The experiments a config file yields from its function `experiments()`. Raises UserError for a file that cannot."""
    if not can_exist(path) or not path.is_file():
        raise UserError(f"config file {str(path)[:200]}: no such file")
    spec = importlib.util.spec_from_file_location(f"{CONFIG_FILE}{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    beside = str(path.resolve().parent)
    # Dataclasses look their module up there, and so does the command line for the docstrings of fields.
    sys.modules[spec.name] = module
    sys.path.insert(0, beside)  # What lies beside the file can be imported, as beside a script.
    try:
        spec.loader.exec_module(module)
        experiments = [validate(experiment) for experiment in module.experiments()]
    except UserError as error:
        raise UserError(f"config file {path}: {error}") from None
    except SyntaxError as error:
        raise UserError(f"config file {path}, line {error.lineno}: {error.msg}") from None
    except SystemExit:
        raise UserError(f"config file {path}: it ends the program (sys.exit)") from None
    except Exception as error:
        raise UserError(f"config file {path}: {type(error).__name__}: {first_line(error)}") from error
    finally:
        sys.path.remove(beside)
    if not experiments:
        raise UserError(f"config file {path}: experiments() yields nothing")
    return experiments
