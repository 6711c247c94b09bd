"""Operations on each number of arrays as operations of ONNX."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jax.export import is_symbolic_dim

from hrnet_jax.export.onnx_graph import Graph, Tensor, Value

# Elementwise operations with one counterpart.
SAME = {
    "abs": "Abs",
    "add": "Add",
    "and": "And",
    "div": "Div",
    "eq": "Equal",
    "exp": "Exp",
    "floor": "Floor",
    "ge": "GreaterOrEqual",
    "gt": "Greater",
    "le": "LessOrEqual",
    "log": "Log",
    "logistic": "Sigmoid",
    "lt": "Less",
    "max": "Max",
    "min": "Min",
    "mul": "Mul",
    "neg": "Neg",
    "not": "Not",
    "or": "Or",
    "sign": "Sign",
    "sqrt": "Sqrt",
    "sub": "Sub",
    "tanh": "Tanh",
}


def elementwise(
    graph: Graph, operation: str, values: Sequence[Value], **attributes: Any
) -> Tensor:
    """In the order of the first tensor of full rank; others follow."""
    rank = max(len(value.shape) for value in values)
    tensors = [v for v in values if isinstance(v, Tensor) and v.rank == rank]
    order = tensors[0].order if tensors else tuple(range(rank))
    names = [graph.arranged(value, order) for value in values]
    shapes = [value.shape for value in values if len(value.shape) == rank]
    shape = tuple(
        next((size for size in sizes if not _is_one(size)), 1)
        for sizes in zip(*shapes, strict=True)
    )
    return Tensor(graph.node(operation, names, **attributes), shape, order)


def _is_one(size: Any) -> bool:
    return not is_symbolic_dim(size) and size == 1


def clamp(graph: Graph, low: Value, x: Value, high: Value) -> Tensor:
    return elementwise(graph, "Min", [elementwise(graph, "Max", [x, low]), high])


def power(graph: Graph, x: Tensor, *, y: int) -> Tensor:
    if y == 2:
        return elementwise(graph, "Mul", [x, x])
    return elementwise(graph, "Pow", [x, np.asarray(y, np.float32)])


def inverse_root(graph: Graph, x: Tensor, **_) -> Tensor:
    root = graph.node("Sqrt", [x.name])
    return Tensor(graph.node("Reciprocal", [root]), x.shape, x.order)


def is_finite(graph: Graph, x: Tensor) -> Tensor:
    size = Tensor(graph.node("Abs", [x.name]), x.shape, x.order)
    most = np.asarray(np.finfo(np.float32).max)
    return elementwise(graph, "LessOrEqual", [size, most])


def remainder(graph: Graph, x: Value, y: Value) -> Tensor:
    """With the sign of the dividend."""
    return elementwise(graph, "Mod", [x, y], fmod=1)


def not_equal(graph: Graph, x: Value, y: Value) -> Tensor:
    equal = elementwise(graph, "Equal", [x, y])
    return Tensor(graph.node("Not", [equal.name]), equal.shape, equal.order)
