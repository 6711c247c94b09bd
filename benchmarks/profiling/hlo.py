"""Reads the text of a compiled XLA program.

Every backend prints its programs in one language: computations of instructions
with shapes, operands and metadata. The metadata tells where in the network an
instruction comes from (`op_name`) and through which source files its call went
(`stack_frame_id`, tables at the top of the text).
"""

import collections
import dataclasses
import functools
import math
import pathlib
import re
from collections.abc import Iterator

# Bits per element; what is not listed (tokens, opaque values) takes no memory.
_BITS = {
    "pred": 8,
    **{f"{sign}{bits}": bits for sign in "su" for bits in (2, 4, 8, 16, 32, 64)},
    "f16": 16,
    "bf16": 16,
    "f32": 32,
    "f64": 64,
    "c64": 64,
    "c128": 128,
}

_ARRAY = re.compile(r"(\w+)\[([\d,]*)\]")
_INSTRUCTION = re.compile(r"\s+(ROOT )?%?([\w.-]+) = (.*)")
_COMPUTATION = re.compile(r"(ENTRY )?%?([\w.-]+) (?:\(.*\) -> .*)?\{$")
_CALLED = re.compile(
    r"(?:calls|to_apply|body|condition|true_computation|false_computation)="
    r"%?([\w.-]+)|(?:branch_computations|called_computations)=\{([^}]*)\}"
)
_TABLE_ROW = re.compile(r"(\d+) (.*)")


@dataclasses.dataclass(frozen=True)
class Shape:
    """An array: element type in XLA's spelling (`f32`) and sides."""

    dtype: str
    sides: tuple[int, ...]

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.sides)

    @property
    def bytes(self) -> int:
        """Memory without padding; 8-bit floats have several spellings."""
        bits = 8 if self.dtype.startswith("f8") else _BITS.get(self.dtype, 0)
        return self.size * bits // 8

    def __str__(self) -> str:
        return f"{self.dtype}[{','.join(map(str, self.sides))}]"


@dataclasses.dataclass(frozen=True)
class Instruction:
    """One line of a program.

    Attributes:
        name: unique in its program; traces call executed kernels by it.
        opcode: such as `fusion`, `convolution`, `copy`.
        shapes: of the result; several for a tuple.
        operands: names of instructions.
        attributes: what follows the operands, as text.
        computation: name of the computation it is in.
        is_root: whether it is that computation's result.
    """

    name: str
    opcode: str
    shapes: tuple[Shape, ...]
    operands: tuple[str, ...]
    attributes: str
    computation: str
    is_root: bool

    @property
    def size(self) -> int:
        """Elements of the result."""
        return sum(shape.size for shape in self.shapes)

    @property
    def bytes(self) -> int:
        """Bytes of the result."""
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
        names = []
        for one, many in _CALLED.findall(self.attributes):
            names += [one] if one else re.findall(r"[\w.-]+", many)
        return tuple(names)


class HloProgram:
    """A compiled program.

    Args:
        text: from `compiled.as_text()`.

    Attributes:
        name: of the module, such as `jit_train_step`.
        instructions: by name, of all computations.
        computations: instructions by computation, in order of execution.
        entry: name of the computation that is the program.
    """

    def __init__(self, text: str):
        self.instructions: dict[str, Instruction] = {}
        self.computations: dict[str, list[Instruction]] = {}
        self.entry = ""
        self._tables = collections.defaultdict[str, dict[int, str]](dict)
        header, *lines = text.split("\n")
        match = re.match(r"HloModule ([\w.-]+)", header)
        if match is None:
            raise ValueError(f"no text of an HLO module: {header[:60]!r}")
        self.name = match[1]
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
        shape, rest = _split_shape(match[3])
        opcode, _, rest = rest.partition("(")
        arguments, attributes = _split_closed(rest)
        instruction = Instruction(
            match[2],
            opcode,
            tuple(
                Shape(dtype, tuple(map(int, filter(None, sides.split(",")))))
                for dtype, sides in _ARRAY.findall(shape)
            ),
            _operands(opcode, arguments),
            attributes,
            computation,
            bool(match[1]),
        )
        self.instructions[instruction.name] = instruction
        self.computations[computation].append(instruction)

    def inside(self, instruction: Instruction) -> Iterator[Instruction]:
        """What a fusion computes: the instructions of the computations it calls.

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
            file = int(re.search(r"file_name_id=(\d+)", location)[1])
            files.add(pathlib.Path(self._tables["FileNames"][file].strip('"')).name)
            parent = int(ids.get("parent_frame_id", 0))
            if parent == frame:  # The outermost frame is its own parent.
                break
            frame = parent
        return frozenset(files)


def _split_shape(text: str) -> tuple[str, str]:
    """`f32[2]{0} add(...)` to `f32[2]{0}` and `add(...)`; tuples hold spaces."""
    if not text.startswith("("):
        shape, _, rest = text.partition(" ")
        return shape, rest
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


def _operands(opcode: str, text: str) -> tuple[str, ...]:
    if opcode in ("constant", "parameter"):
        return ()
    return tuple(re.findall(r"%([\w.-]+)", text))
