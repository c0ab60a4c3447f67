"""What tests of benchmarks share."""

import pytest

from benchmarks import spsa_peers


@pytest.fixture
def calls(monkeypatch):
    """A list that gets an item for each evaluation of a noisy function in NumPy."""
    made, noisy = [], spsa_peers.noisy

    def counted(problem, rng):
        function = noisy(problem, rng)
        return lambda x: made.append(1) or function(x)

    monkeypatch.setattr(spsa_peers, "noisy", counted)
    return made
