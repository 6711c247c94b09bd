"""The least time that a program takes, and the part of the hardware that sets it."""

import dataclasses

from hrnet_jax.costs.chips import HOP_SECONDS, Chip, hops
from hrnet_jax.costs.compiled import ProgramCosts

# Of N devices in a group, bytes that each sends per byte of the result.
_SHARES = {
    # A ring reduces and then gathers, each with (N - 1) / N of the bytes.
    "all-reduce": lambda n: 2 * (n - 1) / n,
    "all-gather": lambda n: (n - 1) / n,
    # The result is one part of N; N - 1 such parts pass.
    "reduce-scatter": lambda n: n - 1,
    "all-to-all": lambda n: (n - 1) / n,
    "ragged-all-to-all": lambda n: (n - 1) / n,
    "collective-broadcast": lambda n: 1,
    "collective-permute": lambda n: 1,
}
# To a neighbour, whatever the size of the slice.
_NEIGHBOURLY = ("collective-permute",)


@dataclasses.dataclass(frozen=True)
class Roofline:
    """Peaks of one device.

    Attributes:
        flops: operations a second.
        bandwidth: bytes a second between the memory and the cores.
    """

    flops: float
    bandwidth: float

    @property
    def ridge(self) -> float:
        """Operations per byte above which arithmetic takes longer than memory."""
        return self.flops / self.bandwidth

    def compute(self, operations: float) -> float:
        """Seconds of so many operations at the peak."""
        return operations / self.flops

    def memory(self, bytes_accessed: float) -> float:
        """Seconds of so many bytes at the peak."""
        return bytes_accessed / self.bandwidth

    def seconds(self, operations: float, bytes_accessed: float) -> float:
        """The least time for so much work: of arithmetic or of memory."""
        return max(self.compute(operations), self.memory(bytes_accessed))


@dataclasses.dataclass(frozen=True)
class Times:
    """Seconds of one run of a program.

    Compute, HBM and interconnect run beside each other at best, so the longest is the
    least time that the whole takes. `compiler` is the sum of the compiler's own
    expectations of every instruction, one after the other: closer to the time of vector
    work on narrow maps, but a model as well.

    Attributes:
        compute: operations at the peak of the matrix units.
        hbm: bytes between HBM and the core at the published bandwidth.
        interconnect: collectives at the published bandwidth of the links, and the way
            from chip to chip.
        compiler: expected cycles at the clock of the chip.
        all_bytes: `bytes_accessed`, were all of it in HBM.
    """

    compute: float
    hbm: float
    interconnect: float
    compiler: float
    all_bytes: float

    @property
    def roofline(self) -> float:
        """The longest part: no run is faster."""
        return max(self.parts.values())

    @property
    def bound(self) -> str:
        """The name of that part."""
        return max(self.parts, key=self.parts.__getitem__)

    @property
    def expected(self) -> float:
        """Expected time: the compiler's sum, but never less than the roofline."""
        return max(self.roofline, self.compiler)

    @property
    def parts(self) -> dict[str, float]:
        """The parts of the roofline by name."""
        return {
            "compute": self.compute,
            "HBM": self.hbm,
            "interconnect": self.interconnect,
        }


def times(costs: ProgramCosts, chip: Chip, shape: tuple[int, ...]) -> Times:
    """Times of a program on a slice of TPUs, from the chip's published figures.

    Args:
        costs: of the program.
        chip: kind of the chips.
        shape: chips along each axis of the slice.
    """
    device = chip.device
    roof = Roofline(device.flops, device.bandwidth)
    return Times(
        compute=roof.compute(max(costs.flops, costs.compiled_flops)),
        hbm=roof.memory(costs.hbm_bytes),
        interconnect=sum(
            collective_seconds(*row, chip, shape) for row in costs.collectives.values()
        ),
        compiler=sum(costs.cycles.values()) / device.clock,
        all_bytes=roof.memory(costs.bytes_accessed),
    )


def collective_seconds(
    kind: str,
    group_size: int,
    number: int,
    result_bytes: float,
    chip: Chip,
    shape: tuple[int, ...],
) -> float:
    """Seconds of several collectives of one kind.

    Bytes at the bandwidth of the links that the slice has, and for each collective the
    way to the farthest chip, twice for an all-reduce (there and back). HRNet has
    hundreds of small ones, for the statistics of its norms.

    Args:
        kind: HLO's name.
        group_size: devices that take part together.
        number: of collectives.
        result_bytes: of all their results together.
        chip: kind of the chips.
        shape: chips along each axis of the slice.
    """
    if group_size < 2:
        return 0.0
    device = chip.device
    if kind in _NEIGHBOURLY:
        bandwidth, distance = device.link, 1
    else:
        bandwidth = device.interconnect(shape) or device.link
        distance = hops(shape, chip) * (2 if kind == "all-reduce" else 1)
    seconds = _SHARES[kind](group_size) * result_bytes / bandwidth
    return seconds + number * distance * HOP_SECONDS
