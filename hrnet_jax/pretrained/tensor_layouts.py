"""Tensors that code bases store in another order than ours, beyond transposing.

All functions work in PyTorch's layout: rows of a linear layer or convolution are
outputs. `read` makes ours of theirs, `write` is its inverse.
"""

import dataclasses
from collections.abc import Callable

import numpy as np

# Side of the pooled map that the first linear layer of a box head reads.
_POOLED = 7


@dataclasses.dataclass(frozen=True)
class TensorLayout:
    """One way to store a tensor.

    Attributes:
        read: theirs to ours; ValueError for a shape that it cannot be.
        write: ours to theirs.
    """

    read: Callable[[np.ndarray], np.ndarray]
    write: Callable[[np.ndarray], np.ndarray]

    def their_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Shape of theirs, from that of ours in PyTorch's layout."""
        return self.write(np.broadcast_to(np.int8(0), shape)).shape


def _flattened_from_torch(kernel: np.ndarray) -> np.ndarray:
    """Columns (channel, row, column) to (row, column, channel)."""
    maps = kernel.reshape(len(kernel), -1, _POOLED, _POOLED)
    return maps.transpose(0, 2, 3, 1).reshape(len(kernel), -1)


def _flattened_to_torch(kernel: np.ndarray) -> np.ndarray:
    maps = kernel.reshape(len(kernel), _POOLED, _POOLED, -1)
    return maps.transpose(0, 3, 1, 2).reshape(len(kernel), -1)


def _transposed_from_torch(kernel: np.ndarray) -> np.ndarray:
    """[in, out, 2, 2] to a 1x1 convolution [4 out, in, 1, 1], rows (y, x, out)."""
    inputs, outputs, height, width = kernel.shape
    if (height, width) != (2, 2):
        raise ValueError("expected a kernel of 2x2")
    rows = kernel.transpose(2, 3, 1, 0)
    return rows.reshape(4 * outputs, inputs, 1, 1)


def _transposed_to_torch(kernel: np.ndarray) -> np.ndarray:
    outputs, inputs = kernel.shape[0] // 4, kernel.shape[1]
    return kernel.reshape(2, 2, outputs, inputs).transpose(3, 2, 0, 1)


def _rotated(rows: int) -> Callable[[np.ndarray], np.ndarray]:
    return lambda value: np.roll(value, rows, 0)


def _without_first(rows: int) -> Callable[[np.ndarray], np.ndarray]:
    def read(value: np.ndarray) -> np.ndarray:
        if value.ndim == 0 or len(value) <= rows:
            raise ValueError(f"expected more than {rows} outputs")
        return value[rows:]

    return read


def _with_first(rows: int) -> Callable[[np.ndarray], np.ndarray]:
    def write(value: np.ndarray) -> np.ndarray:
        return np.concatenate([np.zeros((rows, *value.shape[1:]), value.dtype), value])

    return write


# First linear layer of a box head: inputs in the order of the pooled map.
FLATTENED = TensorLayout(_flattened_from_torch, _flattened_to_torch)
# Transposed convolution of 2x2 with stride 2: every pixel becomes four.
TRANSPOSED = TensorLayout(_transposed_from_torch, _transposed_to_torch)
# Before mmdetection 2 the background was class 0; ours is the last, as there since.
BACKGROUND_FIRST = TensorLayout(_rotated(-1), _rotated(1))
# Boxes and masks of the background, which nothing ever reads; written as zeros.
BACKGROUND_BOX = TensorLayout(_without_first(4), _with_first(4))
BACKGROUND_MASK = TensorLayout(_without_first(1), _with_first(1))
