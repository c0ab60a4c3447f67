"""`jaxnets nets`."""

import dataclasses
import json
from typing import Any

import tyro

from jaxnets.cli.columns import aligned
from jaxnets.cli.parse import parse
from jaxnets.data import catalog
from jaxnets.runs import shipped
from jaxnets.runs.folder import RunFolder


@dataclasses.dataclass(frozen=True)
class NetsOptions:
    """Lists the trained nets that come with jaxnets. Every command that takes a RUN takes the name of one of them; where a
    run is in a folder of that name, it comes first.
    """

    json: tyro.conf.FlagCreatePairsOff[bool] = False
    """Print a JSON array instead of a table, with all test metrics."""


def nets(args: list[str]) -> int:
    """Prints all nets, one per line, then their data sets, and returns exit status 0."""
    options = parse(NetsOptions, "nets", args)
    found = [_facts(name) for name in shipped.names()]
    if options.json:
        print(json.dumps(found, indent=1))
        return 0
    from jaxnets.analysis.report import tables

    header = ["NAME", "FOR", "WHAT", "DATA", "TEST", "SEEDS"]
    rows = []
    for net in found:
        name = next(metric for metric in ("bleu", "bits", "accuracy") if metric in net["test"])
        figure = tables.format_mean_std(net["test"][name], tables.factor(name))
        unit = {"accuracy": "% right", "bits": "bits a letter", "bleu": "BLEU"}[name]
        rows.append([net["name"], net["command"], net["summary"], net["dataset"], f"{figure} {unit}", str(net["seeds"])])
    print(aligned([header, *rows]))
    print(f"\nmean ± standard deviation over seeds; records in {shipped.RESULTS}. The data:")
    for dataset in dict.fromkeys(net["dataset"] for net in found):
        builder = catalog.get(dataset)
        print(f"  {dataset}: {builder.description}; {builder.license or 'its publisher states no license'}")
    return 0


def _facts(name: str) -> dict[str, Any]:
    """What is known of a net."""
    from jaxnets import registry  # Imported here because the task imports jax, which the help text does not need.

    run = RunFolder(shipped.FOLDER / name)
    experiment, summary = run.experiment(), run.summary()
    command = registry.resolve(experiment.task).Predictor.command
    return {
        "name": name,
        "command": f"ocr, {command}" if name == shipped.READER else command,
        "id": experiment.id,
        "summary": experiment.summary,
        "folder": str(run.path),
        "dataset": experiment.dataset,
        "license": catalog.get(experiment.dataset).license,
        "seeds": experiment.seeds,
        "epochs": experiment.epochs,
        "test": summary["final"]["test"],
        "results": shipped.RESULTS,
        "commit": run.environment()["commit"],
    }
