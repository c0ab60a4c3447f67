"""A search over hyper-parameters.

Settings that differ only in values, such as the learning rate, are replicas of one compiled program and train together.
Settings that change shapes, or anything else that is compiled in, train one program after the other. The best setting is
trained again from fresh seeds, since the best of many is partly luck. With rungs, most settings train for a short time only.
"""

import contextlib
import hashlib
import itertools
import json
import math
import random
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from jaxnets.config import TRACED, Experiment, field_at, parse_field, validate, with_field, with_fields
from jaxnets.errors import Diverged, UserError
from jaxnets.runs.folder import RunFolder
from jaxnets.runs.statistics import Json, mean_std
from jaxnets.tasks.metrics import lower_is_better

Setting = dict[str, Any]
"""Values by dotted path."""
Train = Callable[[Experiment, Path], Json]
"""(experiment, folder) -> its summary."""
_FORBIDDEN = ("id", "source", "summary", "reported", "fitted", "grid", "seeds", "seed", "data.source", "data.synthetic")
_FRESH = 1000
"""What is added to the root seed for the final run."""
_ETA = 3
"""From one rung to the next a third of the settings go on, for three times as long (Li et al. 2018 recommend 3 or 4)."""


class Axis(NamedTuple):
    """One field and the values to try."""

    path: str
    values: tuple[Any, ...] = ()
    between: tuple[float, float] | None = None
    """Instead of values: draw from this range, evenly on a logarithmic scale."""


class Group(NamedTuple):
    """Settings that one program trains together."""

    experiment: Experiment
    settings: list[Setting]


class Result(NamedTuple):
    """The result of one setting."""

    setting: Setting
    score: Json
    """A spread over seeds (see jaxnets.runs.statistics)."""
    length: float = 1.0
    """How long it trained, as a share of the experiment's steps: below 1 for what an early rung left behind."""


class Metric(NamedTuple):
    """What settings are ranked by."""

    split: str
    name: str

    def order(self, result: Result) -> float:
        """For sorting, best first; settings of which every seed failed last."""
        mean = result.score["mean"]
        if mean is None or math.isnan(mean):
            return math.inf
        return mean if lower_is_better(self.name) else -mean


def parse_metric(text: str, known: Collection[str]) -> Metric:
    """A metric by its name, such as validation_accuracy or train_loss, among the measures `known`.

    Raises UserError for any other, and for the test split.
    """
    split, _, name = text.partition("_")
    if split == "test":
        raise UserError(
            f"--metric {text}: settings are chosen on validation data, never on the test split; try validation_{name}"
        )
    if split not in ("train", "validation") or not name:
        names = ", ".join(f"validation_{measure}" for measure in known)
        raise UserError(f"--metric {text}: no such metric; choose from {names}")
    if name not in known:
        raise UserError(f"--metric {text}: this task has no {name}, only {', '.join(known)}")
    return Metric(split, name)


def parse_axis(experiment: Experiment, text: str) -> Axis:
    """An axis from "path=value,value,…" or "path=low..high". Raises UserError for what cannot be swept."""
    path, sign, listed = text.partition("=")
    if not sign or not listed:
        raise UserError(f"--over {text}: give a field and its values, for example --over optim.lr=1e-3,1e-2")
    if path in _FORBIDDEN:
        raise UserError(f"--over {text}: {path} is not a hyper-parameter")
    low, dots, high = listed.partition("..")
    if dots:
        low, high = (parse_field(experiment, path, end) for end in (low, high))
        if not isinstance(low, int | float) or not 0 < low < high < math.inf:
            raise UserError(f"--over {text}: a range goes from a number above 0 to a larger one")
        for end in (low, high):
            validate(with_field(experiment, path, end))
        return Axis(path, between=(low, high))
    values = tuple(parse_field(experiment, path, value) for value in listed.split(","))
    for value in values:
        validate(with_field(experiment, path, value))
    return Axis(path, tuple(dict.fromkeys(values)))


def settings(experiment: Experiment, axes: Sequence[Axis], draws: int | None) -> list[Setting]:
    """All combinations of the axes' values, or `draws` random ones. Raises UserError for ranges without `draws`."""
    paths = [axis.path for axis in axes]
    if len(set(paths)) < len(paths):
        raise UserError(f"--over names {next(p for p in paths if paths.count(p) > 1)} twice")
    if draws is None:
        if ranges := [axis.path for axis in axes if axis.between]:
            raise UserError(f"--over {ranges[0]} is a range: say with --random how many settings to draw")
        return [dict(zip(paths, chosen, strict=True)) for chosen in itertools.product(*(axis.values for axis in axes))]
    rng = random.Random(experiment.seed)
    drawn = [{axis.path: _draw(rng, axis) for axis in axes} for _ in range(20 * draws)]
    different = list({json.dumps(setting): setting for setting in drawn}.values())
    return different[:draws]


def one_at_a_time(experiment: Experiment, axes: Sequence[Axis]) -> list[Setting]:
    """The experiment's own values, and for each value of each axis the setting that differs in it alone: an ablation.

    Raises UserError for ranges.
    """
    [own] = settings(experiment, [Axis(axis.path, (field_at(experiment, axis.path),)) for axis in axes], None)
    values = [(axis.path, setting[axis.path]) for axis in axes for setting in settings(experiment, [axis], None)]
    return [own, *({**own, path: value} for path, value in values if value != own[path])]


def _draw(rng: random.Random, axis: Axis) -> Any:
    if axis.between is None:
        return rng.choice(axis.values)
    value = math.exp(rng.uniform(*map(math.log, axis.between)))
    return round(value) if isinstance(axis.between[0], int) else float(f"{value:.3g}")


def groups(experiment: Experiment, settings: Sequence[Setting]) -> list[Group]:
    """Groups settings that can share one compiled program, whose replicas are all seeds of all its settings."""
    by_program: dict[str, list[Setting]] = {}
    for setting in settings:
        fixed = {path: value for path, value in setting.items() if not _traced(path)}
        by_program.setdefault(json.dumps(fixed), []).append(setting)
    grouped = []
    for fixed_text, members in by_program.items():
        base = with_fields(experiment, json.loads(fixed_text))
        columns = {
            path: tuple(float(member[path]) for member in members for _ in range(experiment.seeds))
            for path in members[0]
            if _traced(path)
        }
        grouped.append(Group(validate(replace(base, grid=columns, seeds=len(members) * experiment.seeds)), members))
    return grouped


def _traced(path: str) -> bool:
    return path.removeprefix("optim.") in TRACED and path.startswith("optim.")


def run_part(own: Sequence[Group], groups: Sequence[Group], folder: Path, train: Train) -> int:
    """Trains its `own` of the `groups` of a sweep below `folder`, and returns how many of all are not finished there."""
    for group in own:
        with contextlib.suppress(Diverged):
            train(group.experiment, folder / _name(group.settings))
    return sum(not RunFolder(folder / _name(group.settings)).ended for group in groups)


def run(experiment: Experiment, settings: Sequence[Setting], metric: Metric, folder: Path, train: Train) -> list[Result]:
    """Trains every setting below `folder` and returns their results, best first. Finished runs are not retrained,
    nor those of which every seed diverged.

    Raises UserError if no setting came to a finite score.
    """
    results = []
    for group in groups(experiment, settings):
        seeds = experiment.seeds
        try:
            summary = train(group.experiment, folder / _name(group.settings))
            values = summary["final"][metric.split][metric.name]["values"]
        except Diverged:
            values = [math.nan] * group.experiment.seeds
        for i, setting in enumerate(group.settings):
            by_seed = [math.nan if v is None else v for v in values[i * seeds : (i + 1) * seeds]]
            results.append(Result(setting, mean_std(by_seed)))
    results.sort(key=metric.order)
    if metric.order(results[0]) == math.inf:
        raise UserError(f"{experiment.id}: no setting came to a finite {metric.name}; try lower rates")
    return results


def climb(
    experiment: Experiment, settings: Sequence[Setting], rungs: int, metric: Metric, folder: Path, train: Train
) -> list[Result]:
    """Successive halving (Jamieson and Talwalkar 2016): `run` on every rung, from the shortest; the best third climbs on.

    The last rung trains for as long as the experiment does, each one below for a third of that. A setting starts anew on
    each, since schedules follow the length of training. Returns all settings, those that climbed higher first.

    Raises UserError if training cannot be divided so often, or on a rung where no setting came to a finite score.
    """
    left_behind: list[Result] = []
    for rung in range(rungs - 1):
        parts = _ETA ** (rungs - 1 - rung)
        results = run(_shortened(experiment, parts, rungs), settings, metric, folder / f"rung{rung + 1}", train)
        kept = -(-len(settings) // _ETA)
        left_behind = [result._replace(length=1 / parts) for result in results[kept:]] + left_behind
        settings = [result.setting for result in results[:kept]]
    return run(experiment, settings, metric, folder, train) + left_behind


def _shortened(experiment: Experiment, parts: int, rungs: int) -> Experiment:
    field = "epochs" if experiment.steps is None else "steps"
    length = getattr(experiment, field)
    if length < parts:
        raise UserError(
            f"--rungs {rungs} begins with a {parts}th of {length} {field}; give at least {parts} --{field} or fewer rungs"
        )
    return replace(experiment, **{field: length // parts})


def confirm(experiment: Experiment, best: Setting, folder: Path, train: Train) -> Json:
    """Trains the best setting from fresh seeds and returns the summary."""
    experiment = with_fields(experiment, best)
    return train(replace(experiment, seed=experiment.seed + _FRESH), folder / f"best-{_digest([best])}")


def _name(members: Sequence[Mapping[str, Any]]) -> str:
    """A folder name that tells what was compiled in, and by a digest which settings share the program."""
    fixed = [f"{path}={value}" for path, value in members[0].items() if not _traced(path)]
    return "-".join([*fixed, _digest(members)])


def _digest(members: Sequence[Mapping[str, Any]]) -> str:
    return hashlib.sha256(json.dumps(list(members)).encode()).hexdigest()[:8]
