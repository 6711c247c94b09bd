"""FLOPs and bytes of the instructions of a compiled program.

Counted as XLA's own cost analysis does: two per multiply-add of convolutions and
matrix products (those that meet padding or the zeros of a dilated input left
out), one per element and elementwise operation or reduced value. Transcendental
functions (exp, rsqrt, ...) are not FLOPs there and not here. Bytes of a kernel
are those of its operands and results; values that stay in a cache between two
kernels count like those in memory.
"""

import math
import re

import numpy as np

from hrnet_jax.costs.hlo import HloProgram, Instruction, Shape


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# One operation per element of the result.
_ELEMENTWISE = _words(
    """
    abs add and ceil clamp compare convert divide floor maximum minimum multiply
    negate not or remainder round-nearest-afz round-nearest-even select shift-left
    shift-right-arithmetic shift-right-logical sign subtract xor is-finite
    """
)

# Move or name values and compute nothing. Some of these are free.
_MOVEMENTS = _words(
    """
    after-all bitcast bitcast-convert broadcast concatenate constant copy copy-done
    copy-start dynamic-slice dynamic-update-slice gather get-tuple-element iota
    optimization-barrier pad parameter reshape reverse slice slice-done slice-start
    transpose tuple
    """
)

# Hand on existing values, or were counted at the start of the transfer.
_FREE = _words(
    """
    after-all bitcast constant copy-done get-tuple-element optimization-barrier
    parameter slice-done tuple
    """
)

# Run other computations, whose kernels are events of their own in a trace.
CONTROL = frozenset(("while", "conditional", "call", "async-start", "async-done"))

# Calls of libraries by what they do (cuDNN and cuBLAS on NVIDIA, oneDNN on CPUs).
_LIBRARY_PRODUCT = re.compile(
    r'custom_call_target="(__cudnn\$conv|__cublas|__onednn\$(conv|matmul))'
)


# Of TPUs: names adjacent slices as one array.
_NAMING = 'custom_call_target="ConcatBitcast"'


def is_movement(instruction: Instruction) -> bool:
    """Whether it moves or names values and computes nothing."""
    return instruction.opcode in _MOVEMENTS or _NAMING in instruction.attributes


def is_product(instruction: Instruction) -> bool:
    """Whether it is a convolution or a matrix product."""
    if instruction.opcode == "custom-call":
        return bool(_LIBRARY_PRODUCT.search(instruction.attributes))
    return instruction.opcode in ("convolution", "dot")


def flops(program: HloProgram, instruction: Instruction) -> int:
    """FLOPs of one execution; of a fusion, those of all it computes."""
    return sum(_flops(program, inner) for inner in program.inside(instruction))


def bytes_accessed(program: HloProgram, instruction: Instruction) -> int:
    """Bytes of the operands and results of one execution."""
    if instruction.opcode in _FREE or _NAMING in instruction.attributes:
        return 0
    read = (program.instructions[name] for name in dict.fromkeys(instruction.operands))
    return instruction.bytes + sum(operand.bytes for operand in read)


def _flops(program: HloProgram, instruction: Instruction) -> int:
    opcode = instruction.opcode
    if opcode in _ELEMENTWISE:
        return instruction.size
    if opcode == "dot":
        return _dot(program, instruction)
    if opcode in ("convolution", "custom-call") and "dim_labels" in (
        instruction.attributes
    ):
        return _convolution(program, instruction)
    if opcode == "reduce":
        # The first half of the operands are values, the others start the sums.
        values = instruction.operands[: len(instruction.operands) // 2]
        size = program.instructions[values[0]].size
        return (size - instruction.shapes[0].size) * len(values)
    if opcode == "reduce-window":
        window = _numbers(instruction, "size")
        return instruction.shapes[0].size * (math.prod(window) - 1)
    return 0


def _dot(program: HloProgram, instruction: Instruction) -> int:
    left = program.instructions[instruction.operands[0]].shapes[0]
    match = re.search(r"lhs_contracting_dims=\{([\d,]*)\}", instruction.attributes)
    axes = [int(axis) for axis in match[1].split(",") if axis] if match else []
    contracted = math.prod(left.sides[axis] for axis in axes)
    return 2 * instruction.shapes[0].size * contracted


def _convolution(program: HloProgram, instruction: Instruction) -> int:
    """Two per pair of an input and a kernel element that really meet.

    Gradients of strided convolutions have inputs or kernels with holes, those of
    kernels slide a window as large as the image over its padding.
    """
    image, kernel, result = _roles(program, instruction)
    labels = re.search(r"dim_labels=(\w+)_(\w+)->(\w+)", instruction.attributes)
    axes = [{label: i for i, label in enumerate(group)} for group in labels.groups()]
    spatial = [label for label in labels[1] if label.isdigit()]
    window = {
        key: _numbers(instruction, key, len(spatial), default)
        for key, default in (("stride", 1), ("lhs_dilate", 1), ("rhs_dilate", 1))
    }
    pads = _pads(instruction, len(spatial))
    meetings = 1
    for index, label in enumerate(spatial):
        meetings *= _meetings(
            image.sides[axes[0][label]],
            kernel.sides[axes[1][label]],
            result.sides[axes[2][label]],
            window["stride"][index],
            window["lhs_dilate"][index],
            window["rhs_dilate"][index],
            pads[index],
        )
    groups = re.search(r"batch_group_count=(\d+)", instruction.attributes)
    batch = image.sides[axes[0]["b"]] // (int(groups[1]) if groups else 1)
    features = kernel.sides[axes[1]["i"]] * result.sides[axes[2]["f"]]
    return 2 * meetings * batch * features


def _roles(program: HloProgram, instruction: Instruction) -> tuple[Shape, Shape, Shape]:
    """Input, kernel and output that window and labels of a convolution speak of.

    cuDNN's gradients keep those of the convolution that they belong to.
    """
    first, second = (
        program.instructions[name].shapes[0] for name in instruction.operands[:2]
    )
    result = instruction.shapes[0]
    if "__cudnn$convBackwardInput" in instruction.attributes:
        return result, second, first
    if "__cudnn$convBackwardFilter" in instruction.attributes:
        return first, result, second
    return first, second, result


def _meetings(
    image: int, kernel: int, result: int, stride: int, spread: int, holes: int, pad: int
) -> int:
    """Pairs (output, kernel element) along one axis that read a real input."""
    position = (
        np.arange(result)[:, None] * stride - pad + np.arange(kernel)[None] * holes
    )
    inside = (position >= 0) & (position <= (image - 1) * spread)
    return int(np.count_nonzero(inside & (position % spread == 0)))


def _window(instruction: Instruction) -> str:
    match = re.search(r"window=\{([^}]*)\}", instruction.attributes)
    return match[1] if match else ""


def _numbers(
    instruction: Instruction, key: str, count: int = 1, default: int = 1
) -> list[int]:
    """`2x3` behind a key of the window; the default where it is not given."""
    match = re.search(rf"(?:^| ){key}=([\dx]+)", _window(instruction))
    return [int(n) for n in match[1].split("x")] if match else [default] * count


def _pads(instruction: Instruction, count: int) -> list[int]:
    """Padding at the low side of each axis; negative where it crops."""
    match = re.search(r"(?:^| )pad=([\dx_-]+)", _window(instruction))
    if match is None:
        return [0] * count
    return [int(pair.split("_")[0]) for pair in match[1].split("x")]
