"""The communication between the devices of a compiled program."""

import dataclasses
import math
import re
from collections.abc import Iterable

from hrnet_jax.costs.hlo import HloProgram, Instruction

KINDS = (
    "all-gather",
    "all-reduce",
    "all-to-all",
    "collective-broadcast",
    "collective-permute",
    "ragged-all-to-all",
    "reduce-scatter",
)


@dataclasses.dataclass(frozen=True)
class Collective:
    """One communication between the devices of a program.

    Attributes:
        kind: HLO's name, one of `KINDS`.
        bytes: size of the result on one device, padding of layouts left out; of
            several results the sum. A halo for an exchange of rows, the whole for
            a gather.
        group_size: how many devices take part together. Two for
            `collective-permute`, where each hands its data to one other.
        op_name: the operation it was made for, as JAX named it; may be empty.
    """

    kind: str
    bytes: int
    group_size: int
    op_name: str


def collectives(hlo_text: str) -> list[Collective]:
    """The collectives of a compiled program, in the order of its text.

    One that runs beside other work counts once: asynchronous pairs of `-start` and
    `-done`, and those that a TPU's compiler spreads over several fusions. What stands
    in the body of a loop counts once as well, however often it runs.

    Args:
        hlo_text: `compiled.as_text()`, of any backend.

    Raises:
        ValueError: if one does not tell which devices take part.
    """
    program = HloProgram(hlo_text)
    return collectives_in(program, program.computations)


def collectives_in(
    program: HloProgram, computations: Iterable[str]
) -> list[Collective]:
    """The same of some computations of a program; repeated ones repeat.

    Args:
        program: the program.
        computations: their names.

    Raises:
        ValueError: if one does not tell which devices take part.
    """
    return [
        found
        for name in computations
        if not _is_continuation(program, name)
        for instruction in program.computations[name]
        if (found := _collective(program, instruction))
    ]


def _collective(program: HloProgram, instruction: Instruction) -> Collective | None:
    kind = instruction.opcode.removesuffix("-done")
    if kind not in KINDS:
        return None
    origin = instruction
    if kind != instruction.opcode:
        # The type of `-start` lists operands and scratch as well, that of `-done` does
        # not. It is the other way around with the attributes.
        origin = program.instructions[instruction.operands[0]]
    return Collective(
        kind,
        instruction.bytes,
        _group_size(kind, origin.attributes, program.devices),
        origin.op_name,
    )


def _is_continuation(program: HloProgram, name: str) -> bool:
    """Whether a computation continues a collective that another one starts.

    A TPU's compiler writes such a collective into each fusion that runs meanwhile,
    and into the one that waits for its end.
    """
    return name.startswith("async_collective_fusion") or any(
        'custom_call_target="AsyncCollectiveDone"' in instruction.attributes
        for instruction in program.computations[name]
    )


def _group_size(kind: str, attributes: str, devices: int) -> int:
    """Devices per group, from any of the notations of XLA."""
    if kind == "collective-permute":
        return 2
    # {{0,1},{2,3}} lists groups; {} is one of all.
    if listed := re.search(r"replica_groups=\{(?:\{([\d,]*)\}[^}]*)?", attributes):
        return listed[1].count(",") + 1 if listed[1] else devices
    # [2,4]<=[8]: two groups of four.
    if iota := re.search(r"replica_groups=\[\d+,(\d+)\]<=", attributes):
        return int(iota[1])
    # mesh['x'=2,'y'=4], device_ids=([4,2]T(1,0)) {'y'}: along named axes, wherever
    # their devices are; 'y':(1)2 is a part of one.
    named = re.search(r"replica_groups=mesh\[(.*?)\][^{]*\{(.*?)\}", attributes)
    if named is None:
        raise ValueError(f"{kind} without replica groups: {attributes[:200]}")
    sides = {axis: int(side) for axis, side in re.findall(r"'(\w+)'=(\d+)", named[1])}
    axes = re.findall(r"'(\w+)'(?::\(\d+\)(\d+))?", named[2])
    return math.prod(int(part) if part else sides[axis] for axis, part in axes)
