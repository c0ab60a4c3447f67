"""`jaxnets list` and `jaxnets show`."""

import dataclasses
import json
from typing import Annotated, Any

import tyro

from jaxnets import registry
from jaxnets.cli.columns import aligned
from jaxnets.cli.parse import parse, shown_as
from jaxnets.config import Experiment, to_json


@dataclasses.dataclass(frozen=True)
class ListOptions:
    """Lists all experiments."""

    json: tyro.conf.FlagCreatePairsOff[bool] = False
    """Print a JSON array instead of a table."""


@dataclasses.dataclass(frozen=True)
class ShowOptions:
    """Shows an experiment: its configuration, parameter count, reported results and the state of its data."""

    id: tyro.conf.Positional[Annotated[str, shown_as("ID")]]
    """An experiment, a family of experiments or a config file, for example cifar10/lenet/super."""
    json: tyro.conf.FlagCreatePairsOff[bool] = False
    """Print JSON instead of text; an array for several experiments."""


def list_all(args: list[str]) -> int:
    """Prints all experiments, one per line, and returns exit status 0."""
    options = parse(ListOptions, "list", args)
    experiments = registry.all_experiments().values()
    if options.json:
        keys = ("id", "summary", "dataset", "source", "reported")
        print(json.dumps([{key: to_json(getattr(e, key)) for key in keys} for e in experiments], indent=1))
        return 0
    lines = [(e.id, e.dataset, e.source, _headline(e), e.summary) for e in experiments]
    print(aligned([("ID", "DATA", "SOURCE", "REPORTED", "WHAT"), *lines]))
    return 0


def _headline(experiment: Experiment) -> str:
    value = experiment.reported.get("test_accuracy", experiment.reported.get("validation_accuracy"))
    return "–" if value is None else f"{value:.2f} %"


def show(args: list[str]) -> int:
    """Prints one experiment, or each of a family, in full and returns exit status 0."""
    options = parse(ShowOptions, "show", args)
    [*experiments] = registry.select([options.id])
    from jaxnets.data import catalog
    from jaxnets.tasks import task as tasks
    from jaxnets.training import engine  # Imported here, as are those above, because `list` needs none of them.

    shown = []
    for experiment in experiments:
        own = catalog.is_own(experiment.data.source)
        ready = own or catalog.is_ready(experiment.dataset)
        task = tasks.build(experiment, catalog.spec_of(experiment.data))
        shown.append(
            {
                **to_json(experiment),
                "parameters": engine.count_parameters(experiment, task),
                "data_ready": ready or catalog.get(experiment.dataset).synthetic,
                "data_instructions": None if ready else catalog.instructions(experiment.dataset),
            }
        )
    if options.json:
        print(json.dumps(shown[0] if len(shown) == 1 else shown, indent=1))
        return 0
    for item in shown:
        print(f"{item['id']}: {item['summary']}  ({item['source']})")
        print(f"  parameters     {item['parameters']:,}")
        print("  reported       " + (", ".join(f"{k} {v:g}" for k, v in item["reported"].items()) or "nothing"))
        if item["fitted"]:
            print("  fitted         " + "; ".join(f"{path} to {', '.join(names)}" for path, names in item["fitted"].items()))
        state = "ready" if item["data_ready"] else f"not ready: {item['data_instructions']}"
        print(f"  data           {item['data']['source']}: {state}")
        for path, value in _flatten({k: item[k] for k in item if k not in _SHOWN_ELSEWHERE}):
            print(f"  {path:<28} {value}")
        print()
    return 0


_SHOWN_ELSEWHERE = ("type", "id", "summary", "source", "reported", "fitted", "parameters", "data_ready", "data_instructions")


def _flatten(tree: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    return [
        item
        for key, value in tree.items()
        for item in (_flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else [(prefix + key, value)])
    ]
