"""Measurements that something else disturbs are seen and refused."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import contention, harness, separate
from benchmarks.contention import Probe, Usage
from benchmarks.harness import CONTENDED, Candidate, ContentionError

QUIET = Usage(wall=0.0, own=0.0, busy=0.0, stolen=0.0, preempted=0)


ON_LINUX = pytest.mark.skipif(not Path("/proc/stat").exists(), reason="only Linux tells who used a core")


def burn(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


@ON_LINUX
def test_own_work_is_told_from_that_of_others():
    before = contention.counters()
    burn(0.5)
    subprocess.run([sys.executable, "-c", "import time\nwhile time.process_time() < 0.5: pass"], check=True)
    usage = contention.between(before, contention.counters())
    # Work of an ended child is this process's own.
    assert 0.9 < usage.own < 2
    assert usage.busy > usage.own - 0.1
    assert usage.wall >= usage.own / 2


@ON_LINUX
def test_a_busy_core_is_seen_and_the_measurement_refused():
    """The program that is timed waits, as PyTorch does for a core that another process holds: its spread is small."""
    # A child of this process would count as its own, so a process that has ended started the one that disturbs.
    start = "subprocess.Popen([sys.executable, '-c', 'while True: pass'], stdout=subprocess.DEVNULL)"
    program = f"import sys, subprocess; print({start}.pid)"
    pid = int(subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, check=True).stdout)
    try:
        candidates = {harness.OURS: Candidate(lambda steps: time.sleep(0.02 * steps))}
        with pytest.raises(
            ContentionError, match=r"rounds were disturbed, the last one since other processes used \d\.\d\d cores"
        ):
            harness.interleave(candidates, rounds=7)
    finally:
        os.kill(pid, 9)


def counters_of(clock, disturbed):
    """Counters in which another process uses a core in the disturbed rounds of one candidate."""
    calls = []

    def counters():
        calls.append(None)
        return QUIET

    def between(start, end):
        return Usage(1.0, 1.0, 2.0 if (len(calls) // 2 - 1) in disturbed else 1.0, 0.0, 3)

    return counters, between


@pytest.mark.parametrize("disturbed", [set(), {0}, {2, 3, 6}, set(range(14))])
def test_disturbed_rounds_are_left_out_and_run_again(monkeypatch, disturbed):
    counters, between = counters_of(None, disturbed)
    monkeypatch.setattr(contention, "between", between)
    monkeypatch.setattr(contention, "affinity", lambda: [0, 1])
    ran = []
    candidate = Candidate(lambda steps: ran.append(steps))
    timings = harness.interleave({harness.OURS: candidate}, 7, single_step=True, counters=counters)
    assert len(ran) == 1 + 7 + len(disturbed)
    assert len(timings[harness.OURS].rounds) == 7
    row = harness.row("lenet", "train step", timings, {}, {})
    assert row["disturbed_rounds"] == len(disturbed)
    assert row["cores_used"] == {harness.OURS: 1.0}
    assert row["cores_used_by_others"] == {harness.OURS: 0.0}
    assert row["preempted"] == {harness.OURS: 21}


def test_a_machine_that_is_never_quiet_is_refused(monkeypatch):
    counters, between = counters_of(None, set(range(1, 100)))
    monkeypatch.setattr(contention, "between", between)
    with pytest.raises(ContentionError, match=r"^15 of 16 rounds were disturbed"):
        harness.interleave({harness.OURS: Candidate(lambda steps: None)}, 7, single_step=True, counters=counters)


@given(st.floats(0.1, 100), st.floats(0, 1), st.floats(0, 1), st.integers(1, 256))
def test_shares_of_the_cores_decide(wall, share, stolen_share, cores):
    own = 0.3 * cores * wall
    usage = Usage(wall, own, own + share * cores * wall, 0.0, 0)
    assert (contention.disturbance(usage, cores) is None) == (usage.others <= contention.MOST_OTHERS * cores)
    taken = Usage(wall, own, own, stolen_share * cores * wall, 0)
    assert (contention.disturbance(taken, cores) is None) == (taken.stolen <= contention.MOST_STOLEN * cores * wall)


def test_a_slow_product_refuses_the_row(monkeypatch):
    probes = iter([{"jax": Probe(1.0, 1.1)}, {"jax": Probe(1.0, 1.6)}, {"jax": Probe(1.0, 1.1)}, {"jax": Probe(1.0, 1.4)}])
    monkeypatch.setattr(contention, "probe", lambda: next(probes))
    with pytest.raises(ContentionError, match=r"took its best time 1\.6 times in jax"):
        separate._with_probes(lambda name, rounds: {}, "lenet", 7)
    assert separate._with_probes(lambda name, rounds: {}, "lenet", 7) == {"probe_slowdown": {"jax": 1.4}}


def test_the_probe_times_a_product():
    for probe in contention.probe().values():
        assert 0 < probe.best <= probe.median < 10


def processes(monkeypatch, results):
    """Lets processes end in turn with these ratios, or statuses where they fail."""
    results = iter(results)

    def once(arguments):
        result = next(results)
        return (None, -result) if result < 0 else ({"ratio": result}, 0)

    monkeypatch.setattr(separate, "_once", once)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    return results


@pytest.mark.parametrize(
    ("results", "ratio", "status"),
    [
        ([1.3], 1.3, 0),
        ([-CONTENDED, -CONTENDED, 1.3], 1.3, 0),  # Measured again.
        ([-CONTENDED] * 3, None, CONTENDED),  # And then left out.
        ([-2], None, 2),  # An error is no contention.
        ([34.7, 1.03], None, CONTENDED),  # Hard to believe, and not found again.
        ([34.7, 33.0], 34.7, 0),
        ([0.1, 0.11], 0.1, 0),
        ([6.0, -CONTENDED, 6.1], 6.0, 0),
    ],
)
def test_ratios_that_are_hard_to_believe_need_a_second_process(monkeypatch, results, ratio, status):
    left = processes(monkeypatch, results)
    row, found = separate.measure("lenet", "train step", 7, None)
    assert (row and row["ratio"], found) == (ratio, status)
    assert next(left, None) is None
