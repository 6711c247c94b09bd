"""Times from costs, by hand."""

import dataclasses

import pytest

from hrnet_jax.costs.chips import CHIPS
from hrnet_jax.costs.roofline import collective_seconds, times
from tests.costs.made_up import COSTS

SLICE = CHIPS["v5e"], (2, 4)


def test_the_longest_part_binds():
    found = times(COSTS, *SLICE)
    assert found.compute == pytest.approx(1e-3)
    assert found.hbm == pytest.approx(2e-3)
    # Ten all-reduces over two links of 50 GB/s, 4 hops there and back.
    assert found.interconnect == pytest.approx(2 * 7 / 8 * 4e6 / 100e9 + 10 * 8e-6)
    assert found.roofline == found.hbm
    assert found.bound == "HBM"
    assert found.all_bytes == pytest.approx(10e-3)


def test_the_compiler_expects_cycles_at_the_clock_of_the_chip():
    found = times(COSTS, *SLICE)
    assert found.compiler == pytest.approx(6e6 * 2 * 4 * 128**2 / 197e12)
    assert found.expected == found.compiler
    fast = times(dataclasses.replace(COSTS, cycles={}), *SLICE)
    assert fast.expected == fast.roofline


def test_what_the_compiler_adds_counts_as_compute():
    more = dataclasses.replace(COSTS, compiled_flops=2 * COSTS.flops)
    assert times(more, *SLICE).compute == pytest.approx(2e-3)


def test_half_a_chip_of_v3_takes_twice_as_long():
    v3 = CHIPS["v3"]
    assert times(COSTS, v3, (2, 2)).compute == pytest.approx(197e9 / (123e12 / 2))


@pytest.mark.parametrize(
    ("kind", "share"),
    [
        ("all-reduce", 2 * 7 / 8),
        ("all-gather", 7 / 8),
        ("reduce-scatter", 7),
        ("all-to-all", 7 / 8),
    ],
)
def test_collectives_send_their_share(kind, share):
    both = [collective_seconds(kind, 8, 1, size, *SLICE) for size in (0, 1e9)]
    assert both[1] - both[0] == pytest.approx(share * 1e9 / 100e9)


def test_neighbours_use_one_link_and_one_hop():
    found = collective_seconds("collective-permute", 2, 3, 1e9, *SLICE)
    assert found == pytest.approx(1e9 / 50e9 + 3e-6)


def test_a_group_of_one_exchanges_nothing():
    assert collective_seconds("all-reduce", 1, 10, 1e9, *SLICE) == 0
