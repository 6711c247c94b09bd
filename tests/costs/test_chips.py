"""Published figures of chips."""

import pytest

from hrnet_jax.costs.chips import CHIPS, find_chip, hops
from hrnet_jax.errors import ConfigError


def test_clocks_are_those_of_the_literature():
    # v3 and v4: Jouppi et al., ISCA 2023, table 4: 940 and 1050 MHz. v5e: 1.5 GHz,
    # v5p 1.75 GHz ("How to Scale Your Model", appendix A).
    clocks = {name: round(chip.clock / 1e9, 2) for name, chip in CHIPS.items()}
    assert clocks == {"v3": 0.94, "v4": 1.05, "v5e": 1.5, "v5p": 1.75, "v6e": 1.75}


def test_a_device_of_v3_is_half_a_chip():
    chip = CHIPS["v3"]
    assert chip.device.flops == chip.flops / 2
    assert chip.device.memory == 16 * 2**30
    assert chip.device.clock == chip.clock
    assert CHIPS["v4"].device == CHIPS["v4"]


@pytest.mark.parametrize(
    ("name", "shape", "links"),
    [
        ("v5e", (2, 4), 2),  # a line along each axis
        ("v5e", (1, 1), 0),
        ("v5e", (16, 16), 4),  # two rings
        ("v5e", (8, 16), 3),
        ("v4", (2, 2, 1), 2),
        ("v4", (4, 4, 4), 6),
    ],
)
def test_rings_carry_twice_what_lines_do(name, shape, links):
    chip = CHIPS[name]
    assert chip.interconnect(shape) == links * chip.link


def test_all_links_together_are_the_published_bandwidth():
    # Bidirectional, per chip: v5e 400, v5p 1200, v6e 800 GB/s.
    published = {"v5e": 400e9, "v5p": 1200e9, "v6e": 800e9}
    for name, value in published.items():
        chip = CHIPS[name]
        assert 2 * chip.interconnect((chip.wraps,) * chip.axes) == value


def test_the_longest_way_is_shorter_around_a_ring():
    assert hops((2, 4), CHIPS["v5e"]) == 1 + 3
    assert hops((16, 16), CHIPS["v5e"]) == 8 + 8
    assert hops((1, 1), CHIPS["v5e"]) == 0


def test_an_unknown_chip_is_refused_with_the_known_ones():
    with pytest.raises(ConfigError, match="unknown TPU 'v1'; expected one of v3, v4"):
        find_chip("v1")
