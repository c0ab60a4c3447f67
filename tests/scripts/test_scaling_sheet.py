"""What the sheet on scale adds to a step: exchanges, against the bytes that a ring passes on and the waits."""

import runpy
from pathlib import Path

import pytest

from jaxnets.training import accelerators

SCRIPT = runpy.run_path(str(Path(__file__).parent.parent.parent / "scripts" / "scaling_sheet.py"))
WAITS, exchange_seconds = SCRIPT["WAITS"], SCRIPT["exchange_seconds"]
DEVICE = accelerators.KNOWN["h100"]._replace(link=100e9, network=10e9, joined=8)


def passed_on(members):
    """Parts of an array that each member of a ring sends until all have the sum: first parts of sums, then sums of parts."""
    return (members - 1 + members - 1) / members


@pytest.mark.parametrize(("count", "hosts"), [(1, 1), (2, 1), (8, 1), (16, 2), (64, 8)])
def test_exchanges_take_what_rings_pass_on(count, hosts):
    inside = passed_on(min(count, 8)) * 1e9 / 100e9
    outside = passed_on(hosts) * (1e9 / 8) / 10e9
    assert exchange_seconds(DEVICE, count, 1e9) == pytest.approx(inside + outside)


def test_every_exchange_waits_longer_over_a_network_and_not_at_all_alone():
    waits = [exchange_seconds(DEVICE, count, 0.0, 100) for count in (1, 8, 16)]
    assert waits == pytest.approx([0.0, 100 * WAITS[0], 100 * WAITS[1]])
