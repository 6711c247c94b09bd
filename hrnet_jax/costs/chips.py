"""Published figures of TPU chips."""

import dataclasses
import math

from hrnet_jax.errors import ConfigError

GIBI = 2**30


@dataclasses.dataclass(frozen=True)
class Chip:
    """Published figures of one kind of chip; all rates are peaks.

    Attributes:
        name: as topologies call it.
        flops: bfloat16 operations a second. Float32 convolutions take as many: by
            default they multiply in one bfloat16 pass.
        memory: bytes of HBM.
        bandwidth: bytes a second between HBM and the cores.
        link: bytes a second that one link to a neighbour carries in one direction.
        axes: of the torus, two or three; a chip has two links along each.
        wraps: an axis is closed to a ring where its length is a multiple of this.
        cells: multiply-adds per cycle of all its matrix units.
        devices: JAX devices per chip; figures of one device are this part of it.
    """

    name: str
    flops: float
    memory: float
    bandwidth: float
    link: float
    axes: int
    wraps: int
    cells: int
    devices: int = 1

    @property
    def clock(self) -> float:
        """Cycles a second: those at which all matrix units reach the peak."""
        return self.flops / (2 * self.cells)

    @property
    def device(self) -> "Chip":
        """The part of the chip that is one JAX device."""
        share = {
            key: getattr(self, key) / self.devices
            for key in ("flops", "memory", "bandwidth", "link")
        }
        cells = self.cells // self.devices
        return dataclasses.replace(self, **share, cells=cells, devices=1)

    def interconnect(self, shape: tuple[int, ...]) -> float:
        """Bytes a second that a chip of a slice sends to its neighbours, at most.

        Along every axis longer than one a chip feeds one link, and two where the axis
        is closed to a ring: pieces of a collective then travel both ways ("How to
        Scale Your Model", section 2, J. Austin et al. 2025).

        Args:
            shape: chips along each axis of the slice.
        """
        links = sum(2 if side % self.wraps == 0 else 1 for side in shape if side > 1)
        return links * self.link


# Peak, memory and bandwidth: cloud.google.com/tpu/docs/{v3,v4,v5e,v5p,v6e}, "key
# specifications" per chip. They write GB for v5e and v6e, of which libtpu gives 15.75 and
# 31.25 GiB to programs: GiB are meant. Links: there "bidirectional inter-chip
# interconnect bandwidth per chip", divided by the links and the two directions (v5e 400,
# v5p 1200, v6e 800 GB/s); for v3 and v4 Jouppi et al., "TPU v4: An Optically
# Reconfigurable Supercomputer", ISCA 2023 (4 links of 70, 6 of 50 GB/s). Rings: v3, v5e
# and v6e close an axis that is as long as the pod's (32, 16, 16), v4 and v5p those that
# are multiples of 4. Matrix units: of the same pages, each of 128 x 128 cells (v6e 256 x
# 256). Of v6e they name two; at its peak these would run at 3.5 GHz, and libtpu's cost
# model gives a product of two 8192 x 8192 matrices more than they could do, so four
# are taken here.
CHIPS = {
    chip.name: chip
    for chip in (
        Chip("v3", 123e12, 32 * GIBI, 900e9, 70e9, 2, 32, 4 * 128**2, devices=2),
        Chip("v4", 275e12, 32 * GIBI, 1200e9, 50e9, 3, 4, 8 * 128**2),
        Chip("v5e", 197e12, 16 * GIBI, 819e9, 50e9, 2, 16, 4 * 128**2),
        Chip("v5p", 459e12, 95 * GIBI, 2765e9, 100e9, 3, 4, 8 * 128**2),
        Chip("v6e", 918e12, 32 * GIBI, 1638e9, 100e9, 2, 16, 4 * 256**2),
    )
}

# Dollars an hour for one chip, on demand, in the cheapest region of the United States:
# cloud.google.com/tpu/pricing, 2025. Spot costs about a third of it to a half, by day and
# region. v3 is sold by the board only.
PRICES = {"v4": 3.22, "v5e": 1.20, "v5p": 4.20, "v6e": 2.70}

# One hop from chip to chip: "How to Scale Your Model", section 2.
HOP_SECONDS = 1e-6


def find_chip(name: str) -> Chip:
    """The chip of a name.

    Raises:
        ConfigError: for another name.
    """
    if name not in CHIPS:
        raise ConfigError(f"unknown TPU {name!r}; expected one of {', '.join(CHIPS)}")
    return CHIPS[name]


def hops(shape: tuple[int, ...], chip: Chip) -> int:
    """Steps between the two chips of a slice that are farthest from each other."""
    return sum(side // 2 if side % chip.wraps == 0 else side - 1 for side in shape)


def chips_in(shape: tuple[int, ...]) -> int:
    """Chips of a slice."""
    return math.prod(shape)
