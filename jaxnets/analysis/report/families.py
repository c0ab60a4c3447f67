"""Plots that compare the runs of one family: their first steps, batch sizes, and loss evaluations."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from jaxnets.analysis.report import plots
from jaxnets.config import Experiment, to_json, without_description
from jaxnets.runs.folder import RunFolder

Json = Mapping[str, Any]


def family_of(summary: Json) -> str:
    """The family of a run: its id without the variant."""
    return summary["id"].rpartition("/")[0]


def comparisons(
    labels: Sequence[str], runs: Sequence[RunFolder], summaries: Sequence[Json], metrics: Sequence[Sequence[Json]]
) -> dict[str, Figure]:
    """All comparisons that these runs allow, by title. The arguments have one entry per run, in the same order."""
    experiments = [run.experiment() for run in runs]
    families = [family_of(summary) for summary in summaries]
    figures = {}
    for name in dict.fromkeys(families):
        members = [
            i for i, family in enumerate(families) if family == name and any("epoch" not in line for line in metrics[i])
        ]
        if len(members) < 2:
            continue
        lines = {labels[i]: metrics[i] for i in members}
        figures[f"The first steps: {name}"] = plots.hockey_sticks(lines, len(summaries[members[0]].get("class_names") or ()))
        if any(experiments[i].optim.name == "spsa" for i in members):
            costs = {labels[i]: experiments[i].optim.evaluations_per_step(summaries[i]["parameters"]) for i in members}
            figures[f"By loss evaluations: {name}"] = by_evaluations(lines, costs)
    return figures | _batch_sizes(experiments, summaries)


def _batch_sizes(experiments: Sequence[Experiment], summaries: Sequence[Json]) -> dict[str, Figure]:
    """A plot for each family whose runs differ in their batch size and nothing else that matters."""
    families: dict[tuple[str, str], dict[int, Any]] = {}
    for experiment, summary in zip(experiments, summaries, strict=True):
        data = replace(experiment.data, batch_size=1)
        plain = replace(without_description(experiment), id="", grad_accumulation_steps=1, data=data)
        if "accuracy" in summary["final"].get("validation", {}):
            sizes = families.setdefault((family_of(summary), json.dumps(to_json(plain))), {})
            sizes[experiment.data.batch_size] = summary
    return {f"By batch size: {family}": by_batch_size(sizes) for (family, _), sizes in families.items() if len(sizes) > 1}


def by_batch_size(summaries: Mapping[int, Json]) -> Figure:
    """Accuracy, memory and time against batch size. `summaries` maps batch sizes to summaries of runs."""
    sizes = sorted(summaries)
    figure = Figure((9.6, 3.2), layout="constrained")
    panels = figure.subplots(1, 3)
    split = "test" if all("test" in s["final"] for s in summaries.values()) else "validation"
    scores = [summaries[size]["final"][split]["accuracy"] for size in sizes]
    ours = (
        (f"{split} accuracy %", [100 * plots.number(s["mean"]) for s in scores], f"{split}_accuracy"),
        ("GB", [summaries[size]["peak_memory_bytes"] / 1e9 for size in sizes], "gpu_memory_gb"),
        ("seconds of training", [summaries[size]["seconds"]["train"] for size in sizes], "gpu_seconds"),
    )
    for axes, (title, values, name) in zip(panels, ours, strict=True):
        axes.plot(sizes, values, "o-", color=plots.PALETTE[0], label="ours")
        reported = {size: summaries[size]["reported"][name] for size in sizes if name in summaries[size]["reported"]}
        if reported and not any(s["synthetic"] for s in summaries.values()):
            axes.plot(list(reported), list(reported.values()), "D:", color=plots.PALETTE[1], label="reported")
        axes.set_xscale("log", base=2)
        axes.set_xticks(sizes, [f"{size:,}" for size in sizes], fontsize=7, rotation=45)
        axes.minorticks_off()
        axes.set(xlabel="batch size", ylabel=title)
        axes.grid(alpha=0.3)
        plots.despine(axes)
    panels[0].errorbar(
        sizes,
        ours[0][1],
        [100 * np.nan_to_num(plots.number(s["std"])) for s in scores],
        color=plots.PALETTE[0],
        capsize=3,
    )
    panels[0].legend(frameon=False, fontsize=8)
    return figure


def by_evaluations(runs: Mapping[str, Sequence[Json]], evaluations: Mapping[str, int]) -> Figure:
    """Training loss, mean over seeds, against the number of loss evaluations.

    `evaluations` is the number of loss evaluations per step of each run. The first steps are averaged in tens; after them
    each epoch is a point.
    """
    width, height = plots.WIDE
    size = width, height + 0.2 * -(-len(runs) // 2)
    figure, axes = plots.new_axes(size, "loss evaluations (a gradient counts as one)", "training loss")
    for i, (label, metrics) in enumerate(runs.items()):
        steps = [(line["step"], line["loss"]) for line in metrics if "epoch" not in line]
        epochs = [(line["step"], line["train"]["loss"]) for line in metrics if "epoch" in line]
        tens = [steps[k : k + 10] for k in range(0, len(steps), 10)]
        points = [(ten[-1][0], np.mean([plots.numbers(loss) for _, loss in ten], 0)) for ten in tens]
        points += [(step, plots.numbers(loss)) for step, loss in epochs if not steps or step > steps[-1][0]]
        x = [evaluations[label] * step for step, _ in points]
        values = np.array([loss for _, loss in points])
        plots.band(axes, x, values, label, i)
    axes.set_xscale("log")
    figure.legend(frameon=False, fontsize=8, loc="outside lower center", ncols=2)
    return figure
