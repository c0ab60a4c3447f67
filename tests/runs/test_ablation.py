"""Ablations: which settings are tried, and what their table says."""

import numpy as np

from jaxnets import registry
from jaxnets.analysis.report import sweep_table
from jaxnets.config.fields import with_field
from jaxnets.runs import sweep
from jaxnets.runs.statistics import mean_std

EXPERIMENT = registry.all_experiments()["cifar10/lenet/plain"]


def test_an_ablation_changes_one_field_at_a_time():
    base = with_field(EXPERIMENT, "optim.weight_decay", 0.1)
    axes = [sweep.parse_axis(base, text) for text in ("optim.weight_decay=0,0.1", "data.drop_last=False")]
    own, *changed = sweep.one_at_a_time(base, axes)
    assert own == {"optim.weight_decay": 0.1, "data.drop_last": True}
    assert changed == [own | {"optim.weight_decay": 0.0}, own | {"data.drop_last": False}]
    scores = [[0.5, 0.6, 0.7], [0.4, 0.5, 0.6], [0.9, np.nan, np.nan]]
    results = [sweep.Result(s, mean_std(v)) for s, v in zip((own, *changed), scores, strict=True)]
    text = sweep_table.ablation(results, own, sweep.Metric("validation", "accuracy")).splitlines()
    # Welch's t, 4 degrees of freedom: 2.7764 * 0.1 * sqrt(2 / 3) = 0.2267.
    assert text[1].split() == ["nothing", "60.00", "±", "10.00", "3"]
    assert text[2].split()[:2] == ["optim.weight_decay", "0.0"]
    assert text[2].split()[5:] == ["-10.00", "-32.67", "to", "+12.67", "3"]
    assert text[3].split() == ["data.drop_last", "False", "90.00", "+30.00", "–", "1"]
