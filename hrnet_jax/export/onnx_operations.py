"""From JAX's operations to ONNX's: those that an HRNet is made of."""

import collections
import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.export import is_symbolic_dim
from jax.extend import core
from onnx import helper

from hrnet_jax.errors import ExportError
from hrnet_jax.export.onnx_graph import CHANNELS_FIRST, Graph, Tensor, Value
from hrnet_jax.export.onnx_indexing import cut, gather, top_k
from hrnet_jax.export.onnx_numbers import (
    SAME,
    clamp,
    elementwise,
    inverse_root,
    is_finite,
    not_equal,
    power,
    remainder,
)
from hrnet_jax.export.onnx_regions import pool_regions, suppress
from hrnet_jax.export.onnx_spatial import convolution, pool, resize, take

# Calls of an inner program, by the parameter that holds it.
_CALLS = {
    "jit": "jaxpr",
    "pjit": "jaxpr",
    "closed_call": "call_jaxpr",
    "custom_jvp_call": "call_jaxpr",
    "custom_vjp_call": "call_jaxpr",
}
# An operation of `runtime.whole_operations` in a traced program.
whole_p = core.Primitive("whole")
whole_p.multiple_results = True

_UNCHANGED = ("copy", "stop_gradient", "optimization_barrier")


@whole_p.def_abstract_eval
def _shapes_of_whole(*_, operation, shapes, parameters):
    return [jax.core.ShapedArray(shape.shape, shape.dtype) for shape in shapes]


def convert(graph: Graph, jaxpr: core.ClosedJaxpr, inputs: list[Value]) -> list[Value]:
    """Adds the operations of a traced function to a graph.

    Args:
        graph: to add to.
        jaxpr: traced with a batch of symbolic size and with `whole_p` in the place
            of whole operations.
        inputs: its arguments.

    Returns:
        Its results.

    Raises:
        ExportError: for an operation that has no counterpart here.
    """
    program = jaxpr.jaxpr
    known = dict(zip(program.invars, inputs, strict=True))
    known |= zip(program.constvars, map(np.asarray, jaxpr.consts), strict=True)
    uses = collections.Counter(
        var
        for equation in program.eqns
        for var in equation.invars
        if isinstance(var, core.Var)
    )

    def read(var) -> Value:
        if isinstance(var, core.Literal):
            about: Any = var.aval
            return np.asarray(var.val, about.dtype)
        return known[var]

    for equation in program.eqns:
        values = [read(var) for var in equation.invars]
        once = [isinstance(v, core.Var) and uses[v] == 1 for v in equation.invars]
        results = _convert_equation(graph, equation, values, once)
        known |= zip(equation.outvars, results, strict=True)
    return [read(var) for var in program.outvars]


def _convert_equation(
    graph: Graph, equation: Any, values: list[Any], once: list[bool]
) -> list[Value]:
    """Results of one operation; `once` marks operands read nowhere else."""
    name, params = equation.primitive.name, equation.params
    if name in _CALLS:
        inner = params[_CALLS[name]]
        if isinstance(inner, core.Jaxpr):
            inner = core.ClosedJaxpr(inner, ())
        return convert(graph, inner, values)
    if name in _UNCHANGED:
        return values
    if name == "broadcast_in_dim":  # Also of constants: stays small.
        return [_broadcast(graph, *values, **params)]
    if name not in ("whole", "top_k") and _is_constant(values):
        return _computed(equation, values)
    if name in _STRICT:
        values = [
            graph.full(value, var.aval.shape)
            for value, var in zip(values, equation.invars, strict=True)
        ]
    if name == "top_k":
        return list(top_k(graph, *values, **params))
    if name == "whole":
        known, shapes = params["parameters"], params["shapes"]
        operation = _WHOLE[params["operation"]]
        return list(operation(graph, *values, shapes=shapes, **known))
    if name == "add" and (fused := _add_bias(graph, values, once)):
        return [fused]
    if name in SAME:
        return [elementwise(graph, SAME[name], values)]
    if name not in _OPERATIONS:
        raise ExportError(f"the operation {name!r} has no counterpart in ONNX here")
    return [_OPERATIONS[name](graph, *values, **params)]


def _is_constant(values: Sequence[Value]) -> bool:
    return all(isinstance(value, np.ndarray) for value in values)


def _computed(equation: Any, values: list[Any]) -> list[Value]:
    """Results of an operation on constants, which may stand for any batch of them."""
    params = dict(equation.params)
    if equation.primitive.name == "reshape":
        known = _of_one(equation.invars[0].aval.shape)
        sizes = _of_one(params["new_sizes"])
        return [np.broadcast_to(values[0], known).reshape(sizes)]
    if equation.primitive.name in _STRICT:
        values = [
            np.broadcast_to(value, _of_one(var.aval.shape))
            for value, var in zip(values, equation.invars, strict=True)
        ]
    with jax.ensure_compile_time_eval():
        result = equation.primitive.bind(*values, **params)
    many = equation.primitive.multiple_results
    return [np.asarray(leaf) for leaf in (result if many else [result])]


def _of_one(shape: Sequence[Any]) -> list[int]:
    """A shape with batches of one, where their size is left open."""
    return [1 if is_symbolic_dim(size) else size for size in shape]


def _add_bias(graph: Graph, values: list[Value], once: list[bool]) -> Tensor | None:
    """Gives a bias to the convolution before it, if its result is read nowhere else."""
    for (x, bias), alone in ((values, once[0]), (values[::-1], once[1])):
        if not isinstance(x, Tensor) or not isinstance(bias, np.ndarray) or not alone:
            continue
        producer = graph.producer(x.name)
        if producer is None or producer.op_type != "Conv" or len(producer.input) != 2:
            continue
        if bias.shape == (1, 1, 1, x.shape[-1]):
            producer.input.append(graph.constant(bias.ravel()))
            return x
    return None


def _broadcast(graph: Graph, x: Value, *, shape, broadcast_dimensions, **_) -> Value:
    """Inserts axes of length one; the repetition itself is left to ONNX."""
    new = [axis for axis in range(len(shape)) if axis not in broadcast_dimensions]
    if isinstance(x, np.ndarray):
        return np.expand_dims(x, new)
    if not new:
        return x
    name = graph.node("Unsqueeze", [graph.plain(x), graph.integers(*new)])
    sizes = tuple(
        x.shape[broadcast_dimensions.index(axis)] if axis not in new else 1
        for axis in range(len(shape))
    )
    return Tensor(name, sizes, tuple(range(len(shape))))


def _cast(graph: Graph, x: Tensor, *, new_dtype, **_) -> Tensor:
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(new_dtype))
    return Tensor(graph.node("Cast", [x.name], to=kind), x.shape, x.order)


def _product(graph: Graph, x: Value, y: Value, *, dimension_numbers, **_) -> Tensor:
    """A matrix product; with a constant matrix on the channels, a convolution."""
    (of_x, of_y), (batch_x, batch_y) = dimension_numbers
    on_last = tuple(of_x) == (len(x.shape) - 1,) and tuple(of_y) == (0,)
    if on_last and isinstance(y, np.ndarray) and y.ndim == 2 and not batch_x:
        shape = (*x.shape[:-1], y.shape[1])
        if len(x.shape) == 2:
            name = graph.node("MatMul", [graph.plain(x), graph.constant(y)])
            return Tensor(name, shape, (0, 1))
        if len(x.shape) == 4:
            inputs = [
                graph.arranged(x, CHANNELS_FIRST),
                graph.constant(y.T[:, :, None, None]),
            ]
            return Tensor(graph.node("Conv", inputs), shape, CHANNELS_FIRST)
    return _einsum(graph, x, y, of_x, of_y, batch_x, batch_y)


def _einsum(graph, x, y, of_x, of_y, batch_x, batch_y) -> Tensor:
    """Any product of two, its axes named by letters."""
    letters = iter("abcdefghijklmnopqrstuvwxyz")
    left = [next(letters) for _ in x.shape]
    right = [next(letters) for _ in y.shape]
    for one, other in zip((*of_x, *batch_x), (*of_y, *batch_y), strict=True):
        right[other] = left[one]
    sizes = dict(zip(left + right, (*x.shape, *y.shape), strict=True))
    batch = [left[axis] for axis in batch_x]
    contracted = {left[axis] for axis in of_x}
    free = [a for a in left + right if a not in contracted and a not in batch]
    result = batch + list(dict.fromkeys(free))
    order = CHANNELS_FIRST if len(result) == 4 else tuple(range(len(result)))

    def name_and_letters(value: Value, letters: list[str]) -> tuple[str, str]:
        if isinstance(value, np.ndarray):
            return graph.constant(value), "".join(letters)
        return value.name, "".join(letters[axis] for axis in value.order)

    (x_name, x_letters), (y_name, y_letters) = (
        name_and_letters(x, left),
        name_and_letters(y, right),
    )
    equation = f"{x_letters},{y_letters}->{''.join(result[axis] for axis in order)}"
    name = graph.node("Einsum", [x_name, y_name], equation=equation)
    return Tensor(name, tuple(sizes[letter] for letter in result), order)


def _reshape(graph: Graph, x: Tensor, *, new_sizes, **_) -> Tensor:
    return _reshaped(graph, x, tuple(new_sizes))


def _squeeze(graph: Graph, x: Tensor, *, dimensions, **_) -> Tensor:
    keep = [size for axis, size in enumerate(x.shape) if axis not in dimensions]
    return _reshaped(graph, x, tuple(keep))


def _reshaped(graph: Graph, x: Tensor, shape: tuple) -> Tensor:
    sizes = [-1 if is_symbolic_dim(size) else int(size) for size in shape]
    if sizes.count(-1) > 1:
        raise ExportError(f"a reshape to {shape} has no counterpart in ONNX here")
    name = graph.node("Reshape", [graph.plain(x), graph.integers(*sizes)])
    return Tensor(name, shape, tuple(range(len(shape))))


def _transpose(graph: Graph, x: Tensor, *, permutation) -> Tensor:
    """Costs nothing: only the names of the axes change."""
    shape = tuple(x.shape[axis] for axis in permutation)
    return Tensor(x.name, shape, tuple(permutation.index(axis) for axis in x.order))


def _concatenate(graph: Graph, *values: Value, dimension) -> Tensor:
    order = next(value.order for value in values if isinstance(value, Tensor))
    names = [graph.arranged(value, order) for value in values]
    name = graph.node("Concat", names, axis=order.index(dimension))
    shape = list(values[0].shape)
    shape[dimension] = sum(value.shape[dimension] for value in values)
    return Tensor(name, tuple(shape), order)


def _stack(graph: Graph, *values: Value, axis: int) -> Tensor:
    """A new axis; of arrays of one shape."""
    place = graph.integers(axis)
    names = [graph.node("Unsqueeze", [graph.plain(one), place]) for one in values]
    name = graph.node("Concat", names, axis=axis)
    shape = values[0].shape
    shape = (*shape[:axis], len(values), *shape[axis:])
    return Tensor(name, shape, tuple(range(len(shape))))


def _reduce(graph: Graph, x: Tensor, *, operation: str, axes, **_) -> Tensor:
    places = graph.integers(*(x.axis(axis) for axis in axes))
    name = graph.node(operation, [x.name, places], keepdims=0)
    kept = [axis for axis in range(x.rank) if axis not in axes]
    order = tuple(kept.index(axis) for axis in x.order if axis not in axes)
    return Tensor(name, tuple(x.shape[axis] for axis in kept), order)


def _select(graph: Graph, which: Value, *cases: Value) -> Tensor:
    if len(cases) != 2:
        raise ExportError("a choice among many has no counterpart in ONNX here")
    if _is_relu(graph, which, *cases):
        return elementwise(graph, "Relu", cases[:1])
    return elementwise(graph, "Where", [which, cases[1], cases[0]])


def _is_relu(graph: Graph, which: Value, x: Value, zero: Value) -> bool:
    """Whether this is `where(x <= 0, 0, x)`, as the models write it."""
    if not isinstance(which, Tensor) or not isinstance(x, Tensor):
        return False
    condition = graph.producer(which.name)
    return (
        condition is not None
        and condition.op_type == "LessOrEqual"
        and condition.input[0] == x.name
        and which.order == x.order
        and condition.input[1] == graph.constant(np.zeros((), np.float32))
        and isinstance(zero, np.ndarray)
        and not zero.any()
    )


def _reverse(graph: Graph, x: Tensor, *, dimensions) -> Tensor:
    for axis in dimensions:
        x = take(graph, x, axis, np.arange(x.shape[axis])[::-1])
    return x


def _reduce_and(graph: Graph, x: Tensor, *, axes, **_) -> Tensor:
    numbers = graph.node("Cast", [x.name], to=graph.kind(np.int32))
    least = Tensor(numbers, x.shape, x.order)
    least = _reduce(graph, least, operation="ReduceMin", axes=axes)
    return _cast(graph, least, new_dtype=np.bool_)


_OPERATIONS: dict[str, Callable[..., Tensor]] = {
    "clamp": clamp,
    "concatenate": _concatenate,
    "conv_general_dilated": convolution,
    "convert_element_type": _cast,
    "dot_general": _product,
    "gather": gather,
    "integer_pow": power,
    "is_finite": is_finite,
    "ne": not_equal,
    "reduce_and": _reduce_and,
    "reduce_max": functools.partial(_reduce, operation="ReduceMax"),
    "reduce_sum": functools.partial(_reduce, operation="ReduceSum"),
    "reduce_window_max": functools.partial(pool, average=False),
    "reduce_window_sum": functools.partial(pool, average=True),
    "reshape": _reshape,
    "rem": remainder,
    "rev": _reverse,
    "rsqrt": inverse_root,
    "select_n": _select,
    "slice": cut,
    "square": functools.partial(power, y=2),
    "squeeze": _squeeze,
    "stack": _stack,
    "transpose": _transpose,
}

# Those that read all repetitions of their operands.
_STRICT = {
    *("concatenate", "gather", "reduce_sum", "reshape", "slice", "stack", "top_k"),
    "whole",
}

# Of `runtime.whole_operations`.
_WHOLE: dict[str, Callable[..., list[Tensor]]] = {
    "nms": suppress,
    "resize": resize,
    "roi_align": pool_regions,
}
