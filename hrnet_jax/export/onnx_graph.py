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
from onnx import TensorProto, helper, numpy_helper

# What onnxruntime reads from 1.14 on (February 2023).
_OPSET, _IR_VERSION = 18, 8

CHANNELS_FIRST = (0, 3, 1, 2)


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

    def __init__(self):
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, onnx.TensorProto] = {}
        self._transposed: dict[tuple[str, tuple[int, ...]], str] = {}
        self._numbers: collections.Counter[str] = collections.Counter()
        self._producers: dict[str, onnx.NodeProto] = {}

    def node(self, operation: str, inputs: list[str], **attributes: Any) -> str:
        """Adds a node and returns the name of its result."""
        self._numbers[operation] += 1
        name = f"{operation.lower()}_{self._numbers[operation]}"
        node = helper.make_node(operation, inputs, [name], name, **attributes)
        self._nodes.append(node)
        self._producers[name] = node
        return name

    def producer(self, name: str) -> onnx.NodeProto | None:
        """The node that computes a tensor; None for an input of the graph."""
        return self._producers.get(name)

    def constant(self, array: np.ndarray) -> str:
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
            if node.output[0] in read:
                nodes.append(node)
                read |= set(node.input)
        return nodes[::-1], read

    def model(
        self,
        name: str,
        inputs: dict[str, tuple[np.dtype, list]],
        outputs: dict[str, tuple[str, list]],
        metadata: dict[str, str],
    ) -> onnx.ModelProto:
        """The finished model.

        Args:
            name: of the graph.
            inputs: name -> type and shape; axes of any length are names.
            outputs: name -> float32 tensor and shape.
            metadata: stored in the model's properties.
        """
        for result, (tensor, _) in outputs.items():
            self._nodes.append(helper.make_node("Identity", [tensor], [result], result))
        nodes, read = self._needed(set(outputs))
        graph = helper.make_graph(
            nodes,
            name,
            [
                helper.make_tensor_value_info(
                    key, helper.np_dtype_to_tensor_dtype(np.dtype(kind)), shape
                )
                for key, (kind, shape) in inputs.items()
            ],
            [
                helper.make_tensor_value_info(key, TensorProto.FLOAT, shape)
                for key, (_, shape) in outputs.items()
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
