"""Reads the text of a compiled XLA program.

Every backend prints its programs in one language: computations of instructions with
types, operands and attributes. Types hold the layout of arrays in memory. Metadata tells
where in the network an instruction comes from (`op_name`) and through which source files
its call went (`stack_frame_id`, tables at the top of the text).
"""

import collections
import dataclasses
import functools
import math
import pathlib
import re
from collections.abc import Iterator

_HEADER = re.compile(r"HloModule ([\w.-]+)")
# `%name = type opcode(operands), attributes`.
_INSTRUCTION = re.compile(r"\s+(ROOT )?%?([\w.-]+) = (.*)")
_COMPUTATION = re.compile(r"(ENTRY )?%?([\w.-]+) (?:\(.*\) -> .*)?\{$")
# `bf16[8,<=18]{1,0:T(8,128)(2,1)S(1)}`: the order of the sides, tiles, memory space.
_ARRAY = re.compile(r"\b([a-z]+\d*\w*)\[([\d,<= ]*)\](?:\{([\d,]*)(?::([^{}]*))?\})?")
_TILE = re.compile(r"T\(([\d,]+)\)")
# Space 0 is the main memory (HBM of a TPU). 1 is a TPU's on-chip memory (VMEM); the
# others hold scalars and semaphores.
_NOT_MAIN_MEMORY = re.compile(r"S\([1-9]")
_REFERENCE = re.compile(
    r"\b(calls|to_apply|body|condition|true_computation|false_computation|"
    r"branch_computations|called_computations)=(?:%?([\w.-]+)|\{([^}]*)\})"
)
_NAME = re.compile(r"[\w.-]+")
_TABLE_ROW = re.compile(r"(\d+) (.*)")


@dataclasses.dataclass(frozen=True)
class Shape:
    """An array.

    Attributes:
        dtype: element type in XLA's spelling (`f32`).
        sides: lengths; of a side of dynamic length the largest.
        minor_to_major: axes in their order in memory, the one whose neighbours are
            adjacent first; empty where the text does not tell.
        layout: tiles and memory space, as text.
    """

    dtype: str
    sides: tuple[int, ...]
    minor_to_major: tuple[int, ...] = dataclasses.field(default=(), compare=False)
    layout: str = dataclasses.field(default="", compare=False)

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.sides)

    @property
    def bits(self) -> int:
        """Bits of an element; none of `token` and `opaque`, which hold no data."""
        if self.dtype == "pred":
            return 8
        # The first number: f8e4m3fn has eight bits, f4e2m1fn four.
        width = re.search(r"\d+", self.dtype)
        return int(width[0]) if width else 0

    @property
    def bytes(self) -> int:
        """Memory without padding."""
        return -(-self.size * self.bits // 8)

    @property
    def padded_bytes(self) -> int:
        """Memory with the sides rounded up to whole tiles."""
        lengths = list(self.sides)
        if len(self.minor_to_major) == len(lengths):
            lengths = [lengths[axis] for axis in reversed(self.minor_to_major)]
        if tile := _TILE.search(self.layout):
            tiles = [int(side) for side in tile[1].split(",")]
            for place, side in enumerate(reversed(tiles), 1):
                if place <= len(lengths):
                    lengths[-place] = -(-lengths[-place] // side) * side
        return -(-math.prod(lengths) * self.bits // 8)

    @property
    def is_on_chip(self) -> bool:
        """Whether it is kept outside of the main memory."""
        return _NOT_MAIN_MEMORY.search(self.layout) is not None

    def __str__(self) -> str:
        return f"{self.dtype}[{','.join(map(str, self.sides))}]"


def parse_shapes(type_text: str) -> tuple[Shape, ...]:
    """The arrays of an HLO type, such as `(bf16[8,18]{1,0:T(8,128)S(1)}, s32[])`."""
    return tuple(
        Shape(
            dtype,
            tuple(int(side) for side in re.findall(r"\d+", sides)),
            tuple(int(axis) for axis in order.split(",") if axis),
            layout,
        )
        for dtype, sides, order, layout in _ARRAY.findall(type_text)
    )


@dataclasses.dataclass(frozen=True)
class Instruction:
    """One line of a program.

    Attributes:
        name: unique in its program; traces call executed kernels by it.
        opcode: such as `fusion`, `convolution`, `copy`.
        type: of the result, as text.
        arguments: what stands in brackets behind the opcode, as text.
        attributes: what follows them, as text.
        computation: name of the computation it is in.
        is_root: whether it is that computation's result.
    """

    name: str
    opcode: str
    type: str
    arguments: str
    attributes: str
    computation: str
    is_root: bool

    @functools.cached_property
    def shapes(self) -> tuple[Shape, ...]:
        """Arrays of the result; several for a tuple."""
        return parse_shapes(self.type)

    @functools.cached_property
    def operands(self) -> tuple[str, ...]:
        """Names of the instructions that it reads."""
        if self.opcode in ("constant", "parameter"):
            return ()
        return tuple(re.findall(r"%([\w.-]+)", self.arguments))

    @property
    def size(self) -> int:
        """Elements of the result."""
        return sum(shape.size for shape in self.shapes)

    @property
    def bytes(self) -> int:
        """Bytes of the result, without padding."""
        return sum(shape.bytes for shape in self.shapes)

    @property
    def op_name(self) -> str:
        """Scopes and primitive it was traced from; empty where XLA made it."""
        match = re.search(r'op_name="([^"]*)"', self.attributes)
        return match[1] if match else ""

    @property
    def frame(self) -> int:
        """Row of the table of stack frames, 0 for none."""
        match = re.search(r"stack_frame_id=(\d+)", self.attributes)
        return int(match[1]) if match else 0

    @property
    def called(self) -> tuple[str, ...]:
        """Names of the computations it runs."""
        return self.called_as(*self._references)

    def called_as(self, *roles: str) -> tuple[str, ...]:
        """Names of the computations it runs in some roles: `calls`, `body`, ..."""
        found = self._references
        return tuple(name for role in roles for name in found.get(role, ()))

    @functools.cached_property
    def _references(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for role, one, many in _REFERENCE.findall(self.attributes):
            found.setdefault(role, []).extend([one] if one else _NAME.findall(many))
        return found


class HloProgram:
    """A compiled program.

    Args:
        text: from `compiled.as_text()`.

    Attributes:
        name: of the module, such as `jit_train_step`.
        instructions: by name, of all computations.
        computations: instructions by computation, in order of execution.
        entry: name of the computation that is the program.
        devices: number of devices that run it together.

    Raises:
        ValueError: if the text is not that of an HLO module.
    """

    def __init__(self, text: str):
        self.instructions: dict[str, Instruction] = {}
        self.computations: dict[str, list[Instruction]] = {}
        self.entry = ""
        self._tables = collections.defaultdict[str, dict[int, str]](dict)
        header, *lines = text.split("\n")
        match = _HEADER.match(header)
        if match is None:
            raise ValueError(f"no text of an HLO module: {header[:60]!r}")
        self.name = match[1]
        counts = re.findall(r"\b(?:num_partitions|replica_count)=(\d+)", header)
        self.devices = math.prod(map(int, counts))
        self._read(lines)

    def _read(self, lines: list[str]) -> None:
        computation = table = ""
        for line in lines:
            if match := _COMPUTATION.match(line):
                computation, table = match[2], ""
                self.computations[computation] = []
                if match[1]:
                    self.entry = computation
            elif computation and (match := _INSTRUCTION.match(line)):
                self._add(match, computation)
            elif line[:1].isupper():
                table = line.strip()
            elif table and (match := _TABLE_ROW.match(line)):
                self._tables[table][int(match[1])] = match[2]

    def _add(self, match: re.Match, computation: str) -> None:
        type_text, rest = _split_type(match[3])
        opcode, _, rest = rest.partition("(")
        arguments, attributes = _split_closed(rest)
        instruction = Instruction(
            match[2],
            opcode,
            type_text,
            arguments,
            attributes,
            computation,
            bool(match[1]),
        )
        self.instructions[instruction.name] = instruction
        self.computations[computation].append(instruction)

    def inside(self, instruction: Instruction) -> Iterator[Instruction]:
        """The computation of a fusion: the instructions of the computations it calls.

        For anything else just the instruction itself.
        """
        if instruction.opcode != "fusion":
            yield instruction
            return
        for name in instruction.called:
            for inner in self.computations[name]:
                yield from self.inside(inner)

    @functools.cached_property
    def users(self) -> dict[str, list[Instruction]]:
        """Instructions by the name of what they read."""
        users = collections.defaultdict(list)
        for instruction in self.instructions.values():
            for operand in dict.fromkeys(instruction.operands):
                users[operand].append(instruction)
        return users

    def files(self, instruction: Instruction) -> frozenset[str]:
        """Names of the source files on the stack of an instruction, `resize.py`."""
        return self._files_of_frame(instruction.frame)

    @functools.cache  # noqa: B019  (lives as long as a program)
    def _files_of_frame(self, frame: int) -> frozenset[str]:
        files = set()
        while row := self._tables["StackFrames"].get(frame):
            ids = dict(re.findall(r"(\w+)=(\d+)", row))
            location = self._tables["FileLocations"][int(ids["file_location_id"])]
            place = dict(re.findall(r"(\w+)=(\d+)", location))
            file = self._tables["FileNames"][int(place["file_name_id"])]
            files.add(pathlib.Path(file.strip('"')).name)
            parent = int(ids.get("parent_frame_id", 0))
            if parent == frame:  # The outermost frame is its own parent.
                break
            frame = parent
        return frozenset(files)


def _split_type(text: str) -> tuple[str, str]:
    """`f32[2]{0} add(...)` to `f32[2]{0}` and `add(...)`; tuples hold spaces."""
    if not text.startswith("("):
        type_text, _, rest = text.partition(" ")
        return type_text, rest
    inside, rest = _split_closed(text[1:])
    return inside, rest.lstrip()


def _split_closed(text: str) -> tuple[str, str]:
    """Cuts after the bracket that closes one opened just before the text."""
    depth = 1
    for match in re.finditer(r"[()]", text):
        depth += 1 if match[0] == "(" else -1
        if depth == 0:
            return text[: match.start()], text[match.end() :]
    return text, ""
