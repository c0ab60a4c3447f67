"""The experiments by id. A config file yields a family; the ids of its experiments are family/variant, or the family."""

import difflib
import importlib.util
from collections.abc import Iterable
from pathlib import Path

from jaxnets.config import Experiment, validate
from jaxnets.errors import UserError


def config_folder() -> Path:
    """Where the built-in config files are: in an installed package inside it, in a checkout beside it."""
    package = Path(__file__).parent
    return next(folder for folder in (package / "configs", package.parent / "configs") if folder.is_dir())


def all_experiments() -> dict[str, Experiment]:
    """Every built-in experiment, in the order of the config files."""
    files = sorted(config_folder().glob("*.py"))
    return {experiment.id: experiment for file in files for experiment in load_file(file)}


def select(names: Iterable[str]) -> list[Experiment]:
    """The experiments meant by ids, family ids and paths of config files (`mine.py`, `mine.py:family/variant`).

    Raises UserError for a name that means nothing, naming the nearest id.
    """
    known = all_experiments()
    chosen: dict[str, Experiment] = {}
    for name in names:
        path, _, wanted = name.partition(":")
        if path.endswith(".py"):
            found = {e.id: e for e in load_file(Path(path)) if not wanted or e.id == wanted}
            if not found:
                raise UserError(f"{path} has no experiment {wanted!r}")
        else:
            found = {id_: e for id_, e in known.items() if id_ == name or id_.startswith(f"{name}/")}
            if not found:
                families = {"/".join(id_.split("/")[:k]) for id_ in known for k in (1, 2, 3)}
                near = difflib.get_close_matches(name, families | set(known), n=1)
                hint = f"did you mean {near[0]}?" if near else "see `jaxnets list`"
                raise UserError(f"unknown experiment {name!r}: {hint}")
        chosen |= found
    return list(chosen.values())


def load_file(path: Path) -> list[Experiment]:
    """The experiments a config file yields from its function `experiments()`. Raises UserError for a file that cannot."""
    if not path.is_file():
        raise UserError(f"config file {path}: no such file")
    spec = importlib.util.spec_from_file_location(f"jaxnets_config_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        experiments = [validate(experiment) for experiment in module.experiments()]
    except UserError as error:
        raise UserError(f"config file {path}: {error}") from None
    except SyntaxError as error:
        raise UserError(f"config file {path}, line {error.lineno}: {error.msg}") from None
    except Exception as error:
        raise UserError(f"config file {path}: {type(error).__name__}: {error}") from error
    if not experiments:
        raise UserError(f"config file {path}: experiments() yields nothing")
    return experiments
