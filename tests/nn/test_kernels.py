"""Which kernels serve on a CPU."""

import os

import pytest

from jaxnets.errors import UserError
from jaxnets.nn import kernels


@pytest.mark.parametrize("asked", ["avx", "AVX2", "native"])
def test_an_unknown_instruction_set_is_refused(monkeypatch, asked):
    monkeypatch.setenv("JAXNETS_CPU_KERNELS", asked)
    with pytest.raises(UserError, match=f"JAXNETS_CPU_KERNELS is '{asked}': choose from base, avx2, avx512"):
        kernels.backend.__wrapped__()


@pytest.mark.parametrize("asked", ["", *kernels.INSTRUCTION_SETS])
def test_known_ones_are_taken(monkeypatch, asked):
    monkeypatch.setenv("JAXNETS_CPU_KERNELS", asked)
    assert kernels.backend.__wrapped__() == kernels.backend()


def test_the_best_instruction_set_serves(monkeypatch):
    """Of those that the processor has, unless the environment names another."""
    if kernels.backend() != "native":
        assert kernels.instruction_set() is None
    else:
        asked = os.environ.get("JAXNETS_CPU_KERNELS") or "avx512"
        assert kernels.instruction_set() in kernels.INSTRUCTION_SETS[: kernels.INSTRUCTION_SETS.index(asked) + 1]
