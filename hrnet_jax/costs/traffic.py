"""Memory traffic and cycles of a compiled TPU program, read from its text.

XLA's `bytes accessed` adds up operands and results of all fusions, whatever memory holds
them. A TPU keeps many of them in its on-chip memory (VMEM, memory space 1 in the text)
and copies them there ahead of use. Only what crosses the border of HBM takes HBM's time,
so it is counted here, array by array, in the size that the tiled layout gives it.
"""

import collections
import dataclasses
import re
from collections.abc import Iterator, Sequence

from hrnet_jax.costs.collectives import collectives_in
from hrnet_jax.costs.hlo import HloProgram, Instruction, Shape

_CYCLES = re.compile(r'"estimated_cycles":"(\d+)"')
_TRIPS = re.compile(r'"known_trip_count":\{"n":"(\d+)"')

# These name memory, they do not touch it, or their parts are counted by themselves.
_FREE = {
    "after-all",
    "bitcast",
    "constant",
    "get-tuple-element",
    "iota",
    "parameter",
    "partition-id",
    "replica-id",
    "tuple",
    "while",
    "conditional",
    "call",
}
OTHER = "elementwise and reductions"
COMMUNICATION = "collectives"
_PRODUCTS = "convolutions"
# Opcode -> group in the report; everything else is `OTHER`.
_OPCODE_GROUPS = {
    **dict.fromkeys(("convolution", "dot"), _PRODUCTS),
    **dict.fromkeys(
        (
            "copy-start",
            "slice-start",
            "async-start",
            "dynamic-slice-start",
            "dynamic-update-slice-start",
        ),
        "prefetch and eviction",
    ),
    **dict.fromkeys(
        (
            "copy",
            "transpose",
            "reshape",
            "pad",
            "slice",
            "concatenate",
            "dynamic-slice",
            "dynamic-update-slice",
        ),
        "copies, pads, slices",
    ),
}
# Read only as many bytes as they produce.
_PARTIAL_READERS = {"slice", "dynamic-slice"}


@dataclasses.dataclass(frozen=True)
class Traffic:
    """Traffic of one run of a program on one device; loops count in every round.

    Attributes:
        hbm: opcode group -> bytes read from and written to HBM.
        on_chip: bytes that instructions read and write in on-chip memory.
        cycles: opcode group -> cycles expected by the compiler's cost model; it gives
            none for prefetches and collectives, which run beside the rest.
        collectives: (kind, group size) -> (number, bytes).
        unknown_loops: loops whose number of rounds the text does not tell, counted once.
    """

    hbm: dict[str, int]
    on_chip: int
    cycles: dict[str, int]
    collectives: dict[tuple[str, int], tuple[int, int]]
    unknown_loops: int


def traffic(text: str) -> Traffic:
    """Traffic of a compiled program.

    A fusion that reads a part of an operand is charged for all of it.

    Args:
        text: `compiled.as_text()` for a TPU.
    """
    program = HloProgram(text)
    hbm: collections.Counter[str] = collections.Counter()
    cycles: collections.Counter[str] = collections.Counter()
    number: collections.Counter[tuple[str, int]] = collections.Counter()
    exchanged: collections.Counter[tuple[str, int]] = collections.Counter()
    on_chip = unknown = 0
    for name, times, is_known in _executed(program, program.entry):
        unknown += not is_known
        for charge in _charges(program, name):
            hbm[charge.group] += times * charge.hbm
            on_chip += times * charge.on_chip
            cycles[charge.group] += times * charge.cycles
        for found in collectives_in(program, _with_fusions(program, name)):
            key = (found.kind, found.group_size)
            number[key] += times
            exchanged[key] += times * found.bytes
    return Traffic(
        hbm=dict(hbm),
        on_chip=on_chip,
        cycles={group: value for group, value in cycles.items() if value},
        collectives={key: (number[key], exchanged[key]) for key in number},
        unknown_loops=unknown,
    )


def _with_fusions(program: HloProgram, name: str) -> Iterator[str]:
    """A computation and all that its fusions call.

    Collectives that run beside other work are inside fusions.
    """
    yield name
    for instruction in program.computations[name]:
        for called in instruction.called_as("calls"):
            yield from _with_fusions(program, called)


def _executed(
    program: HloProgram, name: str, times: int = 1, is_known: bool = True
) -> Iterator[tuple[str, int, bool]]:
    """The entry and the bodies of all loops below it, with how often they run.

    Of the branches of a conditional all are taken: the compiler does not say which.
    """
    yield name, times, is_known
    for instruction in program.computations[name]:
        rounds = _rounds(program, instruction) if instruction.opcode == "while" else 1
        for body in _bodies(instruction):
            yield from _executed(
                program, body, times * (rounds or 1), rounds is not None
            )


def _bodies(instruction: Instruction) -> tuple[str, ...]:
    """Computations that an instruction runs one by one."""
    if instruction.opcode == "while":
        return instruction.called_as("body")
    if instruction.opcode == "call":
        return instruction.called_as("to_apply")
    if instruction.opcode == "conditional":
        return instruction.called_as(
            "branch_computations", "true_computation", "false_computation"
        )
    return ()


def _rounds(program: HloProgram, loop: Instruction) -> int | None:
    """How often a loop runs: what XLA knows, or the bound of its counter.

    JAX counts from zero up to the only constant of the condition.
    """
    if known := _TRIPS.search(loop.attributes):
        return int(known[1])
    (name,) = loop.called_as("condition")
    condition = program.computations[name]
    bounds = [
        one.arguments
        for one in condition
        if one.opcode == "constant" and one.shapes == (Shape("s32", ()),)
    ]
    counts_up = any("direction=LT" in one.attributes for one in condition)
    return int(bounds[0]) if counts_up and len(bounds) == 1 else None


@dataclasses.dataclass(frozen=True)
class _Charge:
    """Group of one instruction, its bytes in HBM and on the chip, and its cycles."""

    group: str
    hbm: int
    on_chip: int
    cycles: int


def _charges(program: HloProgram, name: str) -> Iterator[_Charge]:
    """Charges of the instructions of a computation."""
    for instruction in program.computations[name]:
        # `-done` ends what its `-start` counted.
        if instruction.opcode in _FREE or instruction.opcode.endswith("-done"):
            continue
        touched = _touched(program, instruction)
        cycles = _CYCLES.search(instruction.attributes)
        yield _Charge(
            _opcode_group(instruction),
            sum(size for size, is_on_chip in touched if not is_on_chip),
            sum(size for size, is_on_chip in touched if is_on_chip),
            int(cycles[1]) if cycles else 0,
        )


def _touched(program: HloProgram, instruction: Instruction) -> list[tuple[int, bool]]:
    """Bytes that an instruction reads or writes, and whether they are on the chip."""
    results = _sizes(instruction.shapes)
    if instruction.opcode.endswith("-start"):
        # A copy between two ends moves no more than the smaller holds; the rest of its
        # result are counters of four bytes.
        ends = [array for array in results if array[0] > 4][:2]
        smaller = min((size for size, _ in ends), default=0)
        return [(smaller, is_on_chip) for _, is_on_chip in ends]
    operands = [
        array
        for operand in instruction.operands
        for array in _sizes(program.instructions[operand].shapes)
    ]
    if instruction.opcode in _PARTIAL_READERS:
        operands = [(results[0][0], is_on_chip) for _, is_on_chip in operands[:1]]
    return results + operands


def _sizes(shapes: Sequence[Shape]) -> list[tuple[int, bool]]:
    """Bytes and place of the arrays that hold data."""
    return [(one.padded_bytes, one.is_on_chip) for one in shapes if one.bits]


def _opcode_group(instruction: Instruction) -> str:
    opcode = instruction.opcode.removesuffix("-start")
    if opcode.startswith(("all-", "reduce-scatter", "collective-", "ragged-")):
        return COMMUNICATION
    if "convolution_algorithm_config" in instruction.attributes:
        return _PRODUCTS
    return _OPCODE_GROUPS.get(instruction.opcode, OTHER)
