"""What the devices of a compiled program say to each other."""

import dataclasses
import math
import re
from collections.abc import Iterator

KINDS = (
    "all-gather",
    "all-reduce",
    "all-to-all",
    "collective-broadcast",
    "collective-permute",
    "ragged-all-to-all",
    "reduce-scatter",
)

# `%name = type kind(operands), attributes`. Types hold no equals sign once the
# comments in long tuples are gone; operands and metadata may name other collectives.
_INSTRUCTION = re.compile(
    r"^\s*(?:ROOT )?%?(?P<name>[\w.\-]+) = (?P<type>[^=\"]*?) "
    rf"(?P<kind>{'|'.join(KINDS)})(?P<part>-start|-done)?\((?P<rest>.*)$"
)
_COMMENT = re.compile(r"/\*.*?\*/")
_ARRAY = re.compile(r"\b([a-z]+\d*\w*)\[([\d,<= ]*)\]")


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
    """
    devices = _device_count(hlo_text)
    started: dict[str, str] = {}
    found = []
    for lines in _computations(hlo_text):
        if _goes_on_elsewhere(lines):
            continue
        for line in lines:
            match = _INSTRUCTION.match(_COMMENT.sub("", line))
            if match is None:
                continue
            attributes = match["rest"]
            if match["part"] == "-start":
                # Its type lists operands and scratch as well; that of `-done` does not.
                started[match["name"]] = attributes
                continue
            if match["part"] == "-done":
                attributes = started[re.search(r"%?([\w.\-]+)\)", attributes)[1]]
            op_name = re.search(r'op_name="([^"]*)"', attributes)
            found.append(
                Collective(
                    match["kind"],
                    _size(match["type"]),
                    _group_size(match["kind"], attributes, devices),
                    op_name[1] if op_name else "",
                )
            )
    return found


def _computations(hlo_text: str) -> Iterator[list[str]]:
    """Head and mentions of collectives of each computation that has any."""
    head, lines = "", []
    for line in hlo_text.splitlines():
        if line.endswith("{") and not line.startswith(" "):
            head = line
        elif line == "}":
            if lines:
                yield [head, *lines]
            lines = []
        elif "AsyncCollective" in line or any(kind in line for kind in KINDS):
            lines.append(line)


def _goes_on_elsewhere(lines: list[str]) -> bool:
    """Whether a computation continues a collective that another one starts.

    A TPU's compiler writes such a collective into each fusion that runs meanwhile,
    and into the one that waits for its end.
    """
    return lines[0].startswith("%async_collective_fusion") or any(
        'custom_call_target="AsyncCollectiveDone"' in line for line in lines
    )


def _device_count(hlo_text: str) -> int:
    """Devices of the whole program, from the first line."""
    header = hlo_text.partition("\n")[0]
    counts = re.findall(r"\b(?:num_partitions|replica_count)=(\d+)", header)
    return math.prod(map(int, counts))


def _size(type_text: str) -> int:
    """Bytes of an HLO type, such as `(f32[2,8]{1,0}, bf16[4]{0})`."""
    bits = 0
    for element, sides in _ARRAY.findall(type_text):
        width = re.search(r"\d+", element)
        if width is None and element != "pred":
            continue  # token[] and opaque[] carry no data.
        # The first number: f8e4m3fn has eight bits, f4e2m1fn four.
        count = math.prod(int(side) for side in re.findall(r"\d+", sides))
        bits += count * (int(width[0]) if width else 8)
    return -(-bits // 8)


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
    # their devices lie; 'y':(1)2 is a part of one.
    named = re.search(r"replica_groups=mesh\[(.*?)\][^{]*\{(.*?)\}", attributes)
    if named is None:
        raise ValueError(f"{kind} without replica groups: {attributes[:200]}")
    sides = {axis: int(side) for axis, side in re.findall(r"'(\w+)'=(\d+)", named[1])}
    axes = re.findall(r"'(\w+)'(?::\(\d+\)(\d+))?", named[2])
    return math.prod(int(part) if part else sides[axis] for axis, part in axes)
