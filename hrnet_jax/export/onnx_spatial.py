"""Convolutions, pooling and resizing as operations of ONNX."""

import numpy as np

from hrnet_jax.errors import ExportError
from hrnet_jax.export.onnx_graph import CHANNELS_FIRST, Graph, Tensor, Value
from hrnet_jax.models.resize import interpolation_matrix


def convolution(
    graph: Graph,
    x: Tensor,
    kernel: Value,
    *,
    window_strides,
    padding,
    lhs_dilation,
    rhs_dilation,
    dimension_numbers,
    feature_group_count,
    batch_group_count,
    **_,
) -> Tensor:
    if set(lhs_dilation) != {1} or batch_group_count != 1:
        raise ExportError("transposed convolutions have no counterpart in ONNX here")
    numbers = dimension_numbers
    name = graph.node(
        "Conv",
        [graph.arranged(x, numbers.lhs_spec), graph.arranged(kernel, numbers.rhs_spec)],
        strides=window_strides,
        pads=[low for low, _ in padding] + [high for _, high in padding],
        dilations=rhs_dilation,
        group=feature_group_count,
    )
    sizes = [
        (x.shape[axis] + low + high - dilation * (kernel.shape[tap] - 1) - 1) // stride + 1
        for axis, tap, (low, high), dilation, stride in zip(
            numbers.lhs_spec[2:], numbers.rhs_spec[2:], padding, rhs_dilation,
            window_strides, strict=True,
        )
    ]  # fmt: skip
    shape = (x.shape[numbers.lhs_spec[0]], kernel.shape[numbers.rhs_spec[0]], *sizes)
    by_axis = dict(zip(numbers.out_spec, shape, strict=True))
    return Tensor(name, tuple(by_axis[a] for a in sorted(by_axis)), numbers.out_spec)


def pool(
    graph: Graph,
    x: Tensor,
    *,
    average: bool,
    window_dimensions,
    window_strides,
    padding,
    base_dilation,
    window_dilation,
    **_,
) -> Tensor:
    """Windows over rows and columns, without padding."""
    odd = {*base_dilation, *window_dilation, window_dimensions[0], window_dimensions[3]}
    if odd != {1} or any(map(any, padding)):
        raise ExportError("only plain pooling has a counterpart in ONNX here")
    window = window_dimensions[1:3]
    name = graph.node(
        "AveragePool" if average else "MaxPool",
        [graph.arranged(x, CHANNELS_FIRST)],
        kernel_shape=window,
        strides=window_strides[1:3],
    )
    if average:  # JAX sums.
        count = graph.constant(np.array(window[0] * window[1], np.float32))
        name = graph.node("Mul", [name, count])
    height, width = (
        (x.shape[axis] - window_dimensions[axis]) // window_strides[axis] + 1
        for axis in (1, 2)
    )
    return Tensor(name, (x.shape[0], height, width, x.shape[3]), CHANNELS_FIRST)


def take(graph: Graph, x: Tensor, axis: int, indices: np.ndarray) -> Tensor:
    inputs = [x.name, graph.integers(*indices)]
    name = graph.node("Gather", inputs, axis=x.axis(axis))
    shape = (*x.shape[:axis], len(indices), *x.shape[axis + 1 :])
    return Tensor(name, shape, x.order)


def resize(graph: Graph, x: Tensor, *, shapes, size, method) -> list[Tensor]:
    """ONNX's own operation where it is exact, else products and copies.

    onnxruntime computes positions in float32, which is exact for powers of two
    but off by 1e-4 pixels elsewhere on large maps.
    """
    factors = [m / n for n, m in zip(x.shape[1:3], size, strict=True)]
    name = graph.arranged(x, CHANNELS_FIRST)
    shape = (x.shape[0], *size, x.shape[3])
    if method != "align_corners" and all(f in (1, 2, 4, 8, 16, 32) for f in factors):
        mode = (
            {"mode": "nearest", "coordinate_transformation_mode": "asymmetric"}
            | {"nearest_mode": "floor"}
            if method == "nearest"
            else {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
        )
        scales = graph.constant(np.asarray([1, 1, *factors], np.float32))
        name = graph.node("Resize", [name, "", scales], **mode)
        return [Tensor(name, shape, CHANNELS_FIRST)]
    x = Tensor(name, x.shape, CHANNELS_FIRST)
    for axis, m in ((2, size[1]), (1, size[0])):
        n = x.shape[axis]
        if method == "nearest":
            x = take(graph, x, axis, np.arange(m) * n // m)
        elif m != n:
            matrix = interpolation_matrix(n, m, method == "align_corners")
            x = _multiply(graph, x, axis, matrix.astype(np.float32))
    return [x]


def _multiply(graph: Graph, x: Tensor, axis: int, matrix: np.ndarray) -> Tensor:
    """Rows (axis 1) or columns (axis 2) by a matrix."""
    if axis == 2:
        inputs = [x.name, graph.constant(matrix.T)]
    else:
        inputs = [graph.constant(matrix), x.name]
    shape = (*x.shape[:axis], len(matrix), *x.shape[axis + 1 :])
    return Tensor(graph.node("MatMul", inputs), shape, CHANNELS_FIRST)
