"""Operations of training steps, against counts by hand."""

import pytest

from benchmarks import arithmetic, train_step, workloads


@pytest.mark.parametrize("name", ["rows_gru_128", "char_rnn", "lenet"])
def test_a_training_step_is_about_three_forward_passes(name):
    workload = workloads.prepare(workloads.WORKLOADS[name]._replace(changes={"data.batch_size": 4}))
    batch_size = len(workload.batch["mask"])
    counted = arithmetic.step_flops(*train_step.build(workload), workload.batch)
    products = {
        "rows_gru_128": 28 * (28 * 384 + 128 * 384) + 1280,
        "char_rnn": 13 * ((59 + 128) * (128 + 59) + 187 * 59),
        "lenet": 28 * 28 * 6 * 75 + 10 * 10 * 16 * 150 + 400 * 120 + 120 * 84 + 840,
    }[name]
    # The first layer's inputs need no gradient, so it is somewhat less.
    assert 2 * 2 * batch_size * products < counted < 3.02 * 2 * batch_size * products
