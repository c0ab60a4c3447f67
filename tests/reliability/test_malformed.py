"""Whatever a call is given, it ends in time, in one clear line where something is wrong, and never in a traceback."""

import itertools

import numpy as np

from tests.reliability import arguments, inputs
from tests.reliability.trials import run_all

KINDS = (*arguments.KINDS, *inputs.KINDS)
SHORT, LONG = 60, 1_000


def trials(places, anew, number, seed):
    """As many trials, of each kind in turn; each is drawn from a seed of its own, so that it can be had alone."""
    for i, kind in zip(range(number), itertools.cycle(KINDS), strict=False):
        anew()
        yield kind(np.random.default_rng((seed, i)), places)


def test_malformed_calls_end_in_one_clear_line(places, anew, full, seed):
    faults = run_all(trials(places, anew, LONG if full else SHORT, seed))
    assert not faults, "\n\n".join(faults)
