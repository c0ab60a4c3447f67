"""The forms of a recurrence that are timed against each other compute the same."""

import functools
import re

import jax
import numpy as np
import pytest
from jax.experimental import rnn as cudnn_rnn

from benchmarks import harness, recurrence

HIDDEN = 5


def drawn(gates):
    """(weights, inputs)."""
    rng = np.random.default_rng(0)
    normal = lambda *shape: rng.normal(size=shape).astype(np.float32)
    params = {
        "wx": normal(recurrence.INPUTS, gates * HIDDEN),
        "w": normal(HIDDEN, gates * HIDDEN),
        "b": normal(gates * HIDDEN),
    }
    return params, normal(recurrence.STEPS, recurrence.BATCH, recurrence.INPUTS)


def value_and_gradients(run, cell, params, x):
    return jax.jit(jax.value_and_grad(lambda params: (run(cell, params, x) ** 2).mean()))(params)


@pytest.fixture
def reference(monkeypatch):
    """JAX's own reference of cuDNN's LSTM in its place: it reads the same vector of weights, and needs no GPU."""

    def lstm(x, h, c, weights, lengths, *sizes):
        inputs, hidden, layers, dropout, bidirectional = sizes
        unpacked = cudnn_rnn.unpack_lstm_weights(weights, inputs, hidden, layers, bidirectional)
        return cudnn_rnn.lstm_ref(x, h, c, *unpacked, lengths, inputs, hidden, layers, dropout, bidirectional)

    monkeypatch.setattr(cudnn_rnn, "lstm", lstm)


def test_cudnn_is_given_the_same_weights_and_inputs(reference):
    params, x = drawn(gates=4)
    np.testing.assert_allclose(recurrence.cudnn("lstm", params, x), recurrence.ours("lstm", params, x), rtol=1e-5, atol=1e-5)
    (ours, gradients), (theirs, their_gradients) = (
        value_and_gradients(run, "lstm", params, x) for run in (recurrence.ours, recurrence.cudnn)
    )
    assert theirs == pytest.approx(float(ours), rel=1e-5)
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-6), gradients, their_gradients)


@pytest.mark.parametrize(
    ("platform", "cell", "names"),
    [
        ("cpu", "lstm", {"native", "scan"}),
        ("gpu", "lstm", {"packed", "cudnn"}),
        ("gpu", "gru", {"packed"}),
        ("tpu", "lstm", {"packed"}),
    ],
)
def test_each_platform_has_its_forms(monkeypatch, platform, cell, names):
    monkeypatch.setattr(jax, "default_backend", lambda: platform)
    monkeypatch.setattr(recurrence, "candidate", lambda *args: harness.Candidate(lambda steps: None))
    timed = lambda candidates, rounds: {name: harness.Timing(0, (1.0,) * rounds) for name in candidates}
    monkeypatch.setattr(harness, "interleave", timed)
    row = recurrence.measure(cell, 128, rounds=7)
    assert set(row["milliseconds"]) == names | {"autodiff", "inside", "unrolled"}


def test_a_form_that_fails_is_left_out(capsys):
    """As cuDNN's does here."""
    clock = iter(range(10_000)).__next__
    idle = lambda: harness.Usage(wall=float(clock()), own=0.0, busy=0.0, stolen=0.0, preempted=0)
    forms = {name: recurrence.candidate(getattr(recurrence, name), "lstm", 4, native=False) for name in ("cudnn", "ours")}
    assert set(harness.interleave(forms, 7, clock=clock, counters=idle)) == {"ours"}
    assert capsys.readouterr().out.startswith("cudnn is left out: ")


def test_where_there_is_no_gpu_one_line_says_so(monkeypatch, capsys):
    monkeypatch.setattr(recurrence, "measure", lambda cell, *rest: {"workload": cell, "milliseconds": {"scan": 1.0}})
    recurrence.main()
    first, *others = capsys.readouterr().out.splitlines()
    assert re.fullmatch("cudnn is left out: it needs a GPU, .* cpu here", first)
    assert len(others) == 6
