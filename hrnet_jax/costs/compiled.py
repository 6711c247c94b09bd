"""Costs of compiled programs: operations, traffic, collectives, memory."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from hrnet_jax.costs.traffic import traffic


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
        """Bytes of all parts."""
        return sum(dataclasses.astuple(self))


@dataclasses.dataclass(frozen=True)
class ProgramCosts:
    """Costs of a program compiled for one kind of device; all per device.

    Attributes:
        flops: operations of the convolutions and matrix products, from the program as
            written; loops count as often as they run.
        compiled_flops: operations as the compiler counts them: everything, padding and
            recomputation included, but a loop once.
        bytes_accessed: operands and results of all instructions, whatever memory holds
            them, as the compiler counts them: a loop once.
        hbm: opcode group -> bytes between HBM and the core.
        on_chip: bytes that instructions read and write in the core's own memory.
        cycles: opcode group -> cycles that the compiler's cost model expects.
        collectives: "kind of N" -> (kind, group size, number, bytes of the results).
        memory: by use.
        unknown_loops: loops that were counted once because their length is unknown.
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
        collectives = {key: tuple(row) for key, row in values["collectives"].items()}
        memory = Memory(**values["memory"])
        return cls(**{**values, "collectives": collectives, "memory": memory})


def costs_of(
    compiled: Any, flops: float, batch_bytes: int, seconds: float
) -> ProgramCosts:
    """The costs of a compiled program.

    Args:
        compiled: from `lowered.compile()`.
        flops: of one device, as written.
        batch_bytes: of one device; the other arguments are state.
        seconds: that compiling took.
    """
    analysis = compiled.cost_analysis()
    sizes = compiled.memory_analysis()
    found = traffic(compiled.as_text())
    return ProgramCosts(
        flops=flops,
        compiled_flops=analysis["flops"],
        bytes_accessed=analysis["bytes accessed"],
        hbm=found.hbm,
        on_chip=found.on_chip,
        cycles=found.cycles,
        collectives={
            f"{kind} of {size}": (kind, size, number, exchanged)
            for (kind, size), (number, exchanged) in found.collectives.items()
        },
        memory=Memory(
            state=sizes.argument_size_in_bytes - batch_bytes,
            batch=batch_bytes,
            temporaries=sizes.temp_size_in_bytes,
            outputs=sizes.output_size_in_bytes - sizes.alias_size_in_bytes,
            code=sizes.generated_code_size_in_bytes,
        ),
        unknown_loops=found.unknown_loops,
        seconds=seconds,
    )
