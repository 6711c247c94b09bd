"""Where the bytes of a compiled TPU program go, read from its text.

XLA's `bytes accessed` adds up operands and results of all fusions wherever they lie. A
TPU keeps many of them in its on-chip memory (VMEM, memory space 1 in the text) and moves
them there ahead by copies of their own. Only what crosses the border of HBM takes HBM's
time, so it is counted here, array by array, in the size that the tiled layout gives it.
"""

import collections
import dataclasses
import math
import re
from collections.abc import Iterator, Sequence

from hrnet_jax.costs.collectives import collectives

# `%name = type opcode(operands), attributes`.
_INSTRUCTION = re.compile(
    r"^\s+(?:ROOT )?%?(?P<name>[\w.\-]+) = (?P<type>.*?) (?P<op>[a-z][\w\-]*)\("
    r"(?P<rest>.*)$"
)
_COMPUTATION = re.compile(r"^(?P<entry>ENTRY )?%?(?P<name>[\w.\-]+) \(.*\{$")
_COMMENT = re.compile(r"/\*.*?\*/")
_ARRAY = re.compile(r"\b([a-z]+\d*\w*)\[([\d,]*)\](?:\{([\d,]*)(?::([^{}]*))?\})?")
_CYCLES = re.compile(r'"estimated_cycles":"(\d+)"')
_CALLS = re.compile(r"\bcalls=%?([\w.\-]+)")
_TRIPS = re.compile(r'"known_trip_count":\{"n":"(\d+)"')

# These name memory, they do not touch it; `-done` ends what its `-start` counted.
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
# Opcode -> kind in the report; everything else is elementwise or a reduction.
_KINDS = {
    "convolution": "convolutions",
    "dot": "convolutions",
    "copy-start": "prefetch and eviction",
    "slice-start": "prefetch and eviction",
    "async-start": "prefetch and eviction",
    "dynamic-slice-start": "prefetch and eviction",
    "dynamic-update-slice-start": "prefetch and eviction",
    "copy": "copies, pads, slices",
    "transpose": "copies, pads, slices",
    "reshape": "copies, pads, slices",
    "pad": "copies, pads, slices",
    "slice": "copies, pads, slices",
    "concatenate": "copies, pads, slices",
    "dynamic-slice": "copies, pads, slices",
    "dynamic-update-slice": "copies, pads, slices",
}
_PARTS = {"slice", "dynamic-slice"}  # read no more than they put out
OTHER = "elementwise and reductions"
COMMUNICATION = "collectives"


@dataclasses.dataclass(frozen=True)
class Array:
    """One array of an HLO type: bytes with the padding of its tiles, and the space."""

    bytes: float
    on_chip: bool


@dataclasses.dataclass(frozen=True)
class HloCosts:
    """Costs of one run of a program on one device, loops counted as often as they run.

    Attributes:
        hbm: kind -> bytes read from and written to HBM.
        on_chip: bytes that instructions read and write in on-chip memory.
        cycles: kind -> what the compiler's cost model expects; it gives none for
            prefetches and collectives, which run beside the rest.
        collectives: (kind, group size) -> (number, bytes).
        unknown_loops: loops whose number of rounds the text does not tell, counted once.
    """

    hbm: dict[str, float]
    on_chip: float
    cycles: dict[str, float]
    collectives: dict[tuple[str, int], tuple[int, int]]
    unknown_loops: int


@dataclasses.dataclass(frozen=True)
class _Instruction:
    name: str
    op: str
    result: list[Array]
    operands: list[str]
    rest: str


def hlo_costs(text: str) -> HloCosts:
    """Costs of a compiled program.

    A fusion that reads a part of an operand is charged for all of it.

    Args:
        text: `compiled.as_text()` for a TPU.
    """
    header = text.partition("\n")[0]
    computations, entry = _computations(text)
    hbm: collections.Counter[str] = collections.Counter()
    cycles: collections.Counter[str] = collections.Counter()
    talk: collections.Counter[tuple[str, int]] = collections.Counter()
    talk_bytes: collections.Counter[tuple[str, int]] = collections.Counter()
    on_chip, unknown = 0.0, 0
    for name, times, is_known in _executed(computations, entry):
        unknown += not is_known
        lines = computations[name]
        for kind, outside, inside, spent in _charges(lines):
            hbm[kind] += times * outside
            cycles[kind] += times * spent
            on_chip += times * inside
        called = [line for part in _with_called(computations, name) for line in part]
        for found in collectives("\n".join((header, *called))):
            key = (found.kind, found.group_size)
            talk[key] += times
            talk_bytes[key] += times * found.bytes
    return HloCosts(
        hbm=dict(hbm),
        on_chip=on_chip,
        cycles={kind: value for kind, value in cycles.items() if value},
        collectives={key: (talk[key], talk_bytes[key]) for key in talk},
        unknown_loops=unknown,
    )


def _with_called(computations: dict[str, list[str]], name: str) -> Iterator[list[str]]:
    """A computation and all that its fusions call, as they stand in the text.

    Collectives that run beside other work stand inside fusions.
    """
    lines = computations[name]
    yield lines
    for line in lines:
        for called in _CALLS.findall(line):
            yield from _with_called(computations, called)


def _computations(text: str) -> tuple[dict[str, list[str]], str]:
    """Computation -> its lines, braces included, and the name of the first to run."""
    found: dict[str, list[str]] = {}
    entry, lines = "", None
    for line in text.splitlines():
        if match := _COMPUTATION.match(line):
            lines = found.setdefault(match["name"], [])
            if match["entry"]:
                entry = match["name"]
        if lines is not None:
            lines.append(line)
        if line == "}":
            lines = None
    return found, entry


def _executed(
    computations: dict[str, list[str]], name: str, times: int = 1, is_known: bool = True
) -> Iterator[tuple[str, int, bool]]:
    """The entry and the bodies of all loops below it, with how often they run.

    Of the branches of a conditional all are taken: the compiler does not say which.
    """
    yield name, times, is_known
    for line in computations[name]:
        for body, condition in _bodies(line):
            rounds = 1 if condition is None else _rounds(line, computations[condition])
            yield from _executed(
                computations, body, times * (rounds or 1), rounds is not None
            )


def _bodies(line: str) -> list[tuple[str, str | None]]:
    """Computations that an instruction runs, and the condition of a loop."""
    if " while(" in line:
        body = re.search(r"body=%?([\w.\-]+)", line)[1]
        return [(body, re.search(r"condition=%?([\w.\-]+)", line)[1])]
    if " call(" in line:
        return [(re.search(r"to_apply=%?([\w.\-]+)", line)[1], None)]
    if " conditional(" in line:
        listed = re.search(r"branch_computations=\{([^}]*)\}", line)
        names = (
            listed[1]
            if listed
            else " ".join(re.findall(r"(?:true|false)_computation=(%?[\w.\-]+)", line))
        )
        return [(branch, None) for branch in re.findall(r"[\w.\-]+", names)]
    return []


def _rounds(line: str, condition: Sequence[str]) -> int | None:
    """How often a loop runs: what XLA knows, or the bound of its counter.

    JAX counts from zero up to the only constant of the condition.
    """
    if known := _TRIPS.search(line):
        return int(known[1])
    text = "\n".join(condition)
    bounds = re.findall(r"s32\[\]\S* constant\((\d+)\)", text)
    if len(bounds) == 1 and "direction=LT" in text:
        return int(bounds[0])
    return None


def _charges(lines: Sequence[str]) -> Iterator[tuple[str, float, float, int]]:
    """(kind, bytes in HBM, bytes on the chip, cycles) of each instruction."""
    results: dict[str, list[Array]] = {}
    for instruction in _instructions(lines):
        results[instruction.name] = instruction.result
        op = instruction.op
        if op in _FREE or op.endswith("-done"):
            continue
        if op.endswith("-start"):
            touched = _moved(instruction)
        else:
            operands = [a for name in instruction.operands for a in results[name]]
            if op in _PARTS:
                operands = [
                    Array(instruction.result[0].bytes, a.on_chip) for a in operands[:1]
                ]
            touched = instruction.result + operands
        spent = _CYCLES.search(instruction.rest)
        yield (
            _kind(instruction),
            sum(array.bytes for array in touched if not array.on_chip),
            sum(array.bytes for array in touched if array.on_chip),
            int(spent[1]) if spent else 0,
        )


def _moved(instruction: _Instruction) -> list[Array]:
    """What an asynchronous copy reads and writes: twice the smaller of both ends."""
    ends = [array for array in instruction.result if array.bytes > 4][:2]
    if not ends:
        return []
    size = min(array.bytes for array in ends)
    return [Array(size, array.on_chip) for array in ends]


def _kind(instruction: _Instruction) -> str:
    name = instruction.op.removesuffix("-start")
    if name.startswith(("all-", "reduce-scatter", "collective-", "ragged-")):
        return COMMUNICATION
    if "convolution_algorithm_config" in instruction.rest:
        return "convolutions"
    return _KINDS.get(instruction.op, OTHER)


def _instructions(lines: Sequence[str]) -> Iterator[_Instruction]:
    for line in lines:
        match = _INSTRUCTION.match(_COMMENT.sub("", line))
        if match:
            inside = _inside_brackets(match["rest"])
            yield _Instruction(
                match["name"],
                match["op"],
                arrays(match["type"]),
                [] if match["op"] in _FREE else re.findall(r"%([\w.\-]+)", inside),
                match["rest"],
            )


def _inside_brackets(rest: str) -> str:
    """The operands: everything up to the bracket that closes them."""
    depth = 1
    for index, letter in enumerate(rest):
        depth += (letter == "(") - (letter == ")")
        if not depth:
            return rest[:index]
    return rest


def arrays(type_text: str) -> list[Array]:
    """The arrays of an HLO type, such as `(bf16[8,18]{1,0:T(8,128)(2,1)S(1)}, s32[])`.

    The sides named last in the layout's order are rounded up to whole tiles.
    """
    found = []
    for element, sides, order, layout in _ARRAY.findall(type_text):
        width = re.search(r"\d+", element)
        if width is None and element != "pred":
            continue  # token[] and opaque[] hold no data.
        lengths = [int(side) for side in sides.split(",") if side]
        minor_first = [int(axis) for axis in order.split(",") if axis]
        if len(minor_first) == len(lengths):
            lengths = [lengths[axis] for axis in reversed(minor_first)]
        if tile := re.search(r"T\(([\d,]+)\)", layout):
            tiles = [int(side) for side in tile[1].split(",")]
            for place, side in enumerate(reversed(tiles), 1):
                if place <= len(lengths):
                    lengths[-place] = -(-lengths[-place] // side) * side
        size = math.prod(lengths) * (int(width[0]) / 8 if width else 1)
        # Space 0 is HBM; 1 is VMEM, the others hold scalars and semaphores.
        found.append(Array(size, re.search(r"S\([1-9]", layout) is not None))
    return found
