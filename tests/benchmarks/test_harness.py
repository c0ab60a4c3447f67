"""Turns, ratios, noise and rows, with a fake clock."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import harness
from benchmarks.contention import Usage
from benchmarks.harness import OURS, Candidate, Timing
from jaxnets.errors import UserError

FACTS = {"device": "cpu", "hardware": "none", "versions": {}, "commit": "0"}


class Clock:
    """A clock that advances only while a candidate runs."""

    def __init__(self):
        self.now, self.turns = 0.0, []

    def __call__(self):
        return self.now

    def candidate(self, name, seconds, multiple=1):
        def run(steps):
            self.turns.append((name, steps))
            self.now += steps * seconds

        return Candidate(run, multiple, lambda: 7)

    def interleave(self, candidates, rounds, **options):
        """On a machine where nothing else runs."""
        quiet = lambda: Usage(self.now, self.now, self.now, 0.0, 0)
        return harness.interleave(candidates, rounds, clock=self, counters=quiet, **options)


def test_candidates_take_turns():
    clock = Clock()
    timings = clock.interleave({n: clock.candidate(n, 1.0) for n in "abc"}, 7)
    assert [name for name, _ in clock.turns] == [*"aabbcc", *("abc" * 7)]
    assert all(timing.rounds == (1.0,) * 7 and timing.peak_bytes == 7 for timing in timings.values())


def test_a_round_is_long_enough_to_time_and_takes_whole_calls():
    clock = Clock()
    timings = clock.interleave({"a": clock.candidate("a", 0.001), "b": clock.candidate("b", 0.001, 32)}, 7)
    steps = dict(clock.turns[4:])
    assert steps == {"a": 300, "b": 320}
    assert timings["a"].median == pytest.approx(timings["b"].median) == pytest.approx(0.001)


def test_a_round_can_be_a_single_step():
    clock = Clock()
    clock.interleave({"a": clock.candidate("a", 0.001)}, 7, single_step=True)
    assert clock.turns == [("a", 1)] * 8


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (RuntimeError("RESOURCE_EXHAUSTED: Out of memory"), "torch x is left out: out of memory"),
        (MemoryError(), "torch x is left out: out of memory"),
        (ValueError("no twin\nat all"), "torch x is left out: ValueError: no twin"),
    ],
)
def test_a_candidate_that_fails_is_named_and_left_out(error, message, capsys):
    def fail(steps):
        raise error

    clock = Clock()
    timings = clock.interleave({OURS: clock.candidate(OURS, 1.0), "torch x": Candidate(fail)}, 7)
    assert set(timings) == {OURS}
    assert capsys.readouterr().out.startswith(message)
    assert harness.row("lenet", "train step", timings, FACTS, {})["ratio"] is None


def test_too_few_rounds_are_refused():
    with pytest.raises(ValueError, match="at least 7 rounds, got 6"):
        harness.interleave({}, rounds=6)


def test_a_row_without_our_side_is_refused():
    with pytest.raises(UserError, match="our own side did not run"):
        harness.row("lenet", "train step", {"torch eager": Timing(0, (1.0,) * 7)}, FACTS, {})


def test_the_opponent_is_the_fastest_form_and_the_ratio_is_per_round():
    timings = {
        OURS: Timing(0, (1.0, 2.0, 1.0, 1.0, 1.0, 1.0, 1.0)),
        "torch slow": Timing(0, (9.0,) * 7),
        "torch fast": Timing(0, (3.0, 4.0, 3.0, 3.0, 3.0, 3.0, 5.0)),
    }
    row = harness.row("lenet", "train step", timings, FACTS, {"examples": 12})
    assert row["opponent"] == "torch fast"
    assert row["ratios"] == [3, 2, 3, 3, 3, 3, 5]
    assert row["ratio"] == 3
    assert row["examples_per_second"] == {OURS: 12, "torch slow": pytest.approx(12 / 9, abs=0.1), "torch fast": 4}
    assert {"workload", "measure", "device", "ratio", "hardware", "versions", "commit", "n"} <= set(row)
    assert json.loads(json.dumps(row)) == row


def test_a_step_of_replicas_counts_as_one_step_of_each():
    timings = {OURS: Timing(0, (4.0,) * 7), "torch eager": Timing(0, (1.0,) * 7)}
    row = harness.row("lenet", "8 seeds", timings, FACTS, {"examples": 10}, replicas=8)
    assert row["ratio"] == 2
    assert row["examples_per_second"] == {OURS: 20, "torch eager": 10}


@pytest.mark.parametrize("side", [OURS, "torch eager"])
def test_noise_on_either_side_is_marked(side):
    calm, noisy = (1.0, 1.01, 0.99, 1.0, 1.02, 1.0, 1.0), (1.0, 1.6, 1.0, 1.7, 1.0, 1.8, 0.9)
    timings = {name: Timing(0, noisy if name == side else calm) for name in (OURS, "torch eager")}
    row = harness.row("lenet", "train step", timings, FACTS, {})
    assert row["noisy"]
    assert "(noisy)" in harness.table([row])
    # That of a form which is not the opponent does not matter.
    timings = {OURS: Timing(0, calm), "torch eager": Timing(0, calm), "torch x": Timing(0, tuple(9 * t for t in noisy))}
    assert not harness.row("lenet", "train step", timings, FACTS, {})["noisy"]


@given(st.lists(st.floats(0.01, 100), min_size=7, max_size=12), st.floats(0.1, 10))
def test_spread_does_not_depend_on_the_unit(rounds, factor):
    timing = Timing(0, tuple(rounds))
    assert Timing(0, tuple(factor * t for t in rounds)).spread == pytest.approx(timing.spread)
    assert timing.spread >= 0


def test_rows_are_added_to_what_is_there(tmp_path):
    path = tmp_path / "new" / "rows.jsonl"
    for k in range(3):
        harness.append(path, {"k": k})
        assert [json.loads(line)["k"] for line in path.read_text().splitlines()] == list(range(k + 1))
    with pytest.raises(UserError, match="cannot write to"):
        harness.append(path / "rows.jsonl", {})


def test_machines_are_summed_up_by_their_features():
    """Geometric means of the newest rows that are not noisy."""
    machine = {"hardware": "abacus, 2 cores", "measure": "train step", "date": "2026-01-01", "noisy": False}
    row = lambda workload, ratio, **fields: machine | {"workload": workload, "ratio": ratio} | fields
    rows = [
        row("lenet", 9.0, date="2025-01-01"),
        row("lenet", 2.0),
        row("gray_cnn", 0.5),
        row("small_cnn", 0.1, noisy=True),
        row("alone", None),
        row("lenet", 1.25, cpu_features=["avx2", "fma"]),
    ]
    assert harness.by_hardware(rows).splitlines()[2:] == [
        "| abacus, 2 cores | avx2, fma | train step | 1 | 1.25 | 1.25 (lenet) | 1.25 (lenet) |",
        "| abacus, 2 cores | not recorded | train step | 2 | 1.00 | 0.50 (gray_cnn) | 2.00 (lenet) |",
    ]
