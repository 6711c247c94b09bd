"""Parts of arrays, chosen by indices, as operations of ONNX."""

from typing import Any

import numpy as np

from hrnet_jax.errors import ExportError
from hrnet_jax.export.onnx_graph import Graph, Tensor, Value
from hrnet_jax.export.onnx_spatial import take


def gather(
    graph: Graph, x: Value, indices: Value, *, dimension_numbers, slice_sizes, **_
) -> Tensor:
    """Rows along one axis: `x[:, 0]`, `x[:, ::-1]`, `x[index]`, also image by image."""
    numbers = dimension_numbers
    if isinstance(indices, np.ndarray) and isinstance(x, Tensor) and indices.ndim == 1:
        return _window(graph, x, indices, numbers, slice_sizes)
    by_image = tuple(numbers.operand_batching_dims)
    axes = tuple(numbers.collapsed_slice_dims)
    fixed = {*by_image, *axes}
    whole = [
        (size, length)
        for axis, (size, length) in enumerate(zip(slice_sizes, x.shape, strict=True))
        if axis not in fixed
    ]
    if len(axes) != 1 or axes != tuple(numbers.start_index_map):
        raise ExportError("indices of several axes have no counterpart in ONNX here")
    if any(size != length for size, length in whole):
        raise ExportError("windows at an index have no counterpart in ONNX here")
    (axis,), count = axes, len(indices.shape) - 1
    places = set(range(len(x.shape) - 1 + count)) - set(numbers.offset_dims)
    plain = not by_image and places in (set(), {axis})
    if plain and isinstance(indices, np.ndarray) and isinstance(x, Tensor):
        found = take(graph, x, axis, indices.ravel())
        return found if count else without_axis(graph, found, axis)
    return _rows(graph, x, indices, axis, numbers)


def _window(
    graph: Graph, x: Tensor, corner: np.ndarray, numbers: Any, sizes: tuple
) -> Tensor:
    """A part at a known corner, without the axes that it has one of."""
    start = [0] * x.rank
    for axis, first in zip(numbers.start_index_map, corner, strict=True):
        start[axis] = int(np.clip(first, 0, x.shape[axis] - sizes[axis]))
    end = [
        first + size if axis in numbers.start_index_map else x.shape[axis]
        for axis, (first, size) in enumerate(zip(start, sizes, strict=True))
    ]
    x = cut(graph, x, start_indices=start, limit_indices=end, strides=None)
    for axis in sorted(numbers.collapsed_slice_dims, reverse=True):
        x = without_axis(graph, x, axis)
    return x


def _rows(graph: Graph, x: Value, indices: Value, axis: int, numbers: Any) -> Tensor:
    """Rows by `GatherND`, which wants the axes that images share in front."""
    by_image = tuple(numbers.operand_batching_dims)
    others = [a for a in range(len(x.shape)) if a not in (*by_image, axis)]
    data = graph.arranged(x, (*by_image, axis, *others))
    in_indices = tuple(numbers.start_indices_batching_dims)
    last = len(indices.shape) - 1
    free = [a for a in range(last) if a not in in_indices]
    where = graph.arranged(indices, (*in_indices, *free, last))
    where = graph.node("Cast", [where], to=graph.kind(np.int64))
    name = graph.node("GatherND", [data, where], batch_dims=len(by_image))
    rank = last + len(numbers.offset_dims)
    of_indices = [a for a in range(rank) if a not in numbers.offset_dims]
    order = (
        *(of_indices[a] for a in (*in_indices, *free)),
        *numbers.offset_dims,
    )
    sizes = (
        *(indices.shape[a] for a in (*in_indices, *free)),
        *(x.shape[a] for a in others),
    )
    by_axis = dict(zip(order, sizes, strict=True))
    return Tensor(name, tuple(by_axis[a] for a in range(rank)), order)


def without_axis(graph: Graph, x: Tensor, axis: int) -> Tensor:
    """Without an axis of length one, the others in their order."""
    name = graph.node("Squeeze", [x.name, graph.integers(x.axis(axis))])
    order = tuple(a - (a > axis) for a in x.order if a != axis)
    return Tensor(name, (*x.shape[:axis], *x.shape[axis + 1 :]), order)


def cut(graph: Graph, x: Tensor, *, start_indices, limit_indices, strides, **_):
    """A part between two corners."""
    steps = strides or (1,) * x.rank
    sizes, axes = list(x.shape), []
    for axis, (start, end, step) in enumerate(
        zip(start_indices, limit_indices, steps, strict=True)
    ):
        if (start, end, step) != (0, x.shape[axis], 1):
            sizes[axis] = -(-(end - start) // step)
            axes.append(axis)
    if not axes:
        return x
    inputs = [x.name]
    for values in (start_indices, limit_indices):
        inputs.append(graph.integers(*(values[a] for a in axes)))
    inputs.append(graph.integers(*(x.axis(a) for a in axes)))
    inputs.append(graph.integers(*(steps[a] for a in axes)))
    return Tensor(graph.node("Slice", inputs), tuple(sizes), x.order)


def top_k(graph: Graph, x: Tensor, *, k: int, **rest) -> list[Tensor]:
    """The largest along the last axis, ties by index in both."""
    axis = rest.get("axis", x.rank - 1) % x.rank
    if axis != x.rank - 1:
        raise ExportError("the best along an inner axis have no counterpart here")
    inputs = [graph.plain(x), graph.integers(k)]
    values, index = graph.nodes("TopK", inputs, 2)
    index = graph.node("Cast", [index], to=graph.kind(np.int32))
    shape, order = (*x.shape[:-1], k), tuple(range(x.rank))
    return [Tensor(values, shape, order), Tensor(index, shape, order)]
