"""How long a program takes at least, and what holds it up."""

import dataclasses
from collections.abc import Mapping

from hrnet_jax.planning.chips import HOP_SECONDS, hops
from hrnet_jax.planning.topologies import Slice

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
class Memory:
    """Bytes of one device; the parts are apart, results that replace inputs count once.

    Attributes:
        state: parameters, optimizer, statistics, with the padding of their layouts.
        batch: images and targets.
        temporaries: everything between.
        outputs: results that do not take the place of an input.
        code: the program itself.
    """

    state: int
    batch: int
    temporaries: int
    outputs: int
    code: int

    @property
    def total(self) -> int:
        """All of it."""
        return sum(dataclasses.astuple(self))


@dataclasses.dataclass(frozen=True)
class ProgramCosts:
    """What compiling a program for one kind of device tells; all per device.

    Attributes:
        flops: operations of the convolutions and matrix products, from the program as
            written; loops count as often as they run.
        compiled_flops: operations as the compiler counts them: everything, padding and
            recomputation included, but a loop once.
        bytes_accessed: operands and results of all instructions, wherever they lie, as
            the compiler counts them: a loop once.
        hbm: kind -> bytes between HBM and the core.
        on_chip: bytes that instructions read and write in the core's own memory.
        cycles: kind -> cycles that the compiler's cost model expects.
        collectives: "kind of N" -> (kind, group size, number, bytes of the results).
        memory: by kind.
        unknown_loops: loops that were counted once for want of better knowledge.
        seconds: that compiling took.
    """

    flops: float
    compiled_flops: float
    bytes_accessed: float
    hbm: Mapping[str, float]
    on_chip: float
    cycles: Mapping[str, float]
    collectives: Mapping[str, tuple[str, int, int, int]]
    memory: Memory
    unknown_loops: int
    seconds: float

    @property
    def hbm_bytes(self) -> float:
        """Bytes between HBM and the core."""
        return sum(self.hbm.values())

    @classmethod
    def from_json(cls, values: Mapping) -> "ProgramCosts":
        """The inverse of `dataclasses.asdict`, lists for tuples allowed."""
        talk = {key: tuple(row) for key, row in values["collectives"].items()}
        memory = Memory(**values["memory"])
        return cls(**{**values, "collectives": talk, "memory": memory})


@dataclasses.dataclass(frozen=True)
class Times:
    """Seconds of one run of a program.

    The four parts run beside each other at best, so the longest is the least time that
    the whole takes. `compiler` is the sum of the compiler's own expectations of every
    instruction, one after the other: closer to what vector work on narrow maps
    takes, but a model as well.

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
        return max(self.parts, key=self.parts.get)

    @property
    def expected(self) -> float:
        """What to expect: the compiler's sum, but never less than the roofline."""
        return max(self.roofline, self.compiler)

    @property
    def parts(self) -> dict[str, float]:
        """The parts of the roofline by name."""
        return {
            "compute": self.compute,
            "HBM": self.hbm,
            "interconnect": self.interconnect,
        }


def times(costs: ProgramCosts, chosen: Slice) -> Times:
    """Times of a program on the devices of a slice, from the chip's published figures."""
    device = chosen.chip.device
    flops = max(costs.flops, costs.compiled_flops)
    return Times(
        compute=flops / device.flops,
        hbm=costs.hbm_bytes / device.bandwidth,
        interconnect=sum(
            collective_seconds(kind, size, count, moved, chosen)
            for kind, size, count, moved in costs.collectives.values()
        ),
        compiler=sum(costs.cycles.values()) / device.clock,
        all_bytes=costs.bytes_accessed / device.bandwidth,
    )


def collective_seconds(
    kind: str, group_size: int, count: int, moved: float, chosen: Slice
) -> float:
    """Seconds of `count` collectives whose results have `moved` bytes together.

    Bytes at the bandwidth of the links that the slice has, and for each collective the
    way to the farthest chip, twice for an all-reduce (there and back). HRNet has
    hundreds of small ones, for the statistics of its norms.
    """
    if group_size < 2:
        return 0.0
    device = chosen.chip.device
    if kind in _NEIGHBOURLY:
        bandwidth, distance = device.link, 1
    else:
        bandwidth = device.interconnect(chosen.shape) or device.link
        distance = hops(chosen.shape, chosen.chip) * (2 if kind == "all-reduce" else 1)
    seconds = _SHARES[kind](group_size) * moved / bandwidth
    return seconds + count * distance * HOP_SECONDS
