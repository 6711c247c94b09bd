"""ONNX graphs, built node by node, with axes that move only where they must.

The models compute on [B, H, W, C], ONNX's convolutions on [B, C, H, W]. A tensor
therefore remembers which axis of the program each of its axes is, and is
transposed where an operation needs another order: from one convolution to the
next nothing is.
"""

import collections
import dataclasses
import hashlib
from typing import Any

import numpy as np
import onnx
from jax.export import is_symbolic_dim
from onnx import helper, numpy_helper

from hrnet_jax.errors import ExportError

# What onnxruntime reads from 1.14 on (February 2023).
_OPSET, _IR_VERSION = 18, 8

CHANNELS_FIRST = (0, 3, 1, 2)
# Name of the first axis of all inputs.
BATCH = "batch"


@dataclasses.dataclass(frozen=True)
class Tensor:
    """A value that the graph computes.

    Attributes:
        name: in the graph.
        shape: by the axes of the program. Where an operation repeats a value
            along an axis, this may still be 1: ONNX repeats it when needed.
        order: for each axis of the tensor, the axis of the program that it is.
    """

    name: str
    shape: tuple[Any, ...]
    order: tuple[int, ...]

    @property
    def rank(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def axis(self, axis: int) -> int:
        """Position of an axis of the program."""
        return self.order.index(axis)


# A constant is kept by the axes of the program.
Value = Tensor | np.ndarray


class Graph:
    """Nodes and constants of a graph under construction."""

    def __init__(self, first_input: str = "images"):
        self._first_input = first_input
        self._batch: str | None = None
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, onnx.TensorProto] = {}
        self._transposed: dict[tuple[str, tuple[int, ...]], str] = {}
        self._numbers: collections.Counter[str] = collections.Counter()
        self._producers: dict[str, onnx.NodeProto] = {}

    def node(self, operation: str, inputs: list[str], **attributes: Any) -> str:
        """Adds a node and returns the name of its result."""
        (result,) = self.nodes(operation, inputs, 1, **attributes)
        return result

    def nodes(
        self, operation: str, inputs: list[str], count: int, **attributes: Any
    ) -> list[str]:
        """Adds a node with several results and returns their names."""
        self._numbers[operation] += 1
        name = f"{operation.lower()}_{self._numbers[operation]}"
        results = [name, *(f"{name}_{number}" for number in range(1, count))]
        node = helper.make_node(operation, inputs, results, name, **attributes)
        self._nodes.append(node)
        self._producers |= dict.fromkeys(results, node)
        return results

    def filled(self, shape: str, value: int) -> str:
        """A float32 tensor of a computed shape, all of one value."""
        filling = numpy_helper.from_array(np.array([value], np.float32))
        return self.node("ConstantOfShape", [shape], value=filling)

    def batch(self) -> str:
        """The number of images, int64 [1]."""
        if self._batch is None:
            self._batch = self.node("Shape", [self._first_input], start=0, end=1)
        return self._batch

    @staticmethod
    def kind(dtype: Any) -> int:
        """ONNX's number of a type."""
        return helper.np_dtype_to_tensor_dtype(np.dtype(dtype))

    def full(self, value: Value, shape: tuple[Any, ...]) -> Value:
        """A value with all its repetitions, which ONNX does not make everywhere.

        Args:
            value: whose axes may be 1 where the shape is longer.
            shape: by the axes of the program.
        """
        missing = [a for a, size in enumerate(shape) if value.shape[a] != size]
        if not missing:
            return value
        if isinstance(value, np.ndarray):
            if all(not is_symbolic_dim(size) for size in shape):
                return np.broadcast_to(value, shape)
            value = Tensor(self.constant(value), value.shape, tuple(range(len(shape))))
        parts = []
        for axis in value.order:
            size = shape[axis]
            if axis in missing and is_symbolic_dim(size):
                if str(size) != BATCH:
                    raise ExportError(f"{size} copies have no counterpart here")
                parts.append(self.batch())
            else:
                parts.append(self.integers(size if axis in missing else 1))
        target = self.node("Concat", parts, axis=0)
        return Tensor(self.node("Expand", [value.name, target]), shape, value.order)

    def producer(self, name: str) -> onnx.NodeProto | None:
        """The node that computes a tensor; None for an input of the graph."""
        return self._producers.get(name)

    def constant(self, array: np.ndarray | np.generic) -> str:
        """Adds a constant once, however often it is used."""
        array = np.ascontiguousarray(array)
        key = hashlib.sha256(
            array.tobytes() + repr((array.dtype, array.shape)).encode()
        )
        name = f"constant_{key.hexdigest()[:16]}"
        if name not in self._constants:
            self._constants[name] = numpy_helper.from_array(array, name)
        return name

    def integers(self, *values: int) -> str:
        """A constant int64 vector: shapes, axes."""
        return self.constant(np.asarray(values, np.int64))

    def arranged(self, value: Value, order: tuple[int, ...]) -> str:
        """The name of a value with its axes in this order."""
        if isinstance(value, np.ndarray):
            return self.constant(value.transpose(order) if value.ndim else value)
        if value.order == order or value.rank == 0:
            return value.name
        moves = tuple(value.axis(axis) for axis in order)
        key = value.name, moves
        if key not in self._transposed:
            self._transposed[key] = self.node("Transpose", [value.name], perm=moves)
        return self._transposed[key]

    def plain(self, value: Value) -> str:
        """The name of a value with its axes as in the program."""
        return self.arranged(value, tuple(range(len(value.shape))))

    def _needed(self, read: set[str]) -> tuple[list[onnx.NodeProto], set[str]]:
        """Nodes that these tensors depend on, and all tensors that are read."""
        nodes = []
        for node in reversed(self._nodes):
            if read.intersection(node.output):
                nodes.append(node)
                read |= set(node.input)
        return nodes[::-1], read

    def model(
        self,
        name: str,
        inputs: dict[str, tuple[np.dtype, list]],
        outputs: dict[str, tuple[str, np.dtype, list]],
        metadata: dict[str, str],
    ) -> onnx.ModelProto:
        """The finished model.

        Args:
            name: of the graph.
            inputs: name -> type and shape; axes of any length are names.
            outputs: name -> tensor, its type and shape.
            metadata: stored in the model's properties.
        """
        for result, (tensor, *_) in outputs.items():
            self._nodes.append(helper.make_node("Identity", [tensor], [result], result))
        nodes, read = self._needed(set(outputs))
        graph = helper.make_graph(
            nodes,
            name,
            [
                helper.make_tensor_value_info(key, self.kind(kind), shape)
                for key, (kind, shape) in inputs.items()
            ],
            [
                helper.make_tensor_value_info(key, self.kind(kind), shape)
                for key, (_, kind, shape) in outputs.items()
            ],
            [value for key, value in self._constants.items() if key in read],
        )
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", _OPSET)],
            ir_version=_IR_VERSION,
            producer_name="hrnet_jax",
        )
        helper.set_model_props(model, metadata)
        return model
