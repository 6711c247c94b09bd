"""Counts the multiply-adds of a function, as the papers do."""

import math
from collections.abc import Callable
from typing import Any

import jax
from jax.extend import core

from hrnet_jax.runtime.pieces import inner_jaxprs


def multiply_adds(function: Callable, *args: Any) -> int:
    """Multiply-adds of all convolutions and matrix products of a function.

    Norms, activations and other elementwise work are not counted. The function
    is only traced, so arguments may be `jax.ShapeDtypeStruct`.

    Returns:
        The exact count; loops count as often as they run.
    """
    return jaxpr_multiply_adds(jax.make_jaxpr(function)(*args).jaxpr)


def jaxpr_multiply_adds(jaxpr: core.Jaxpr) -> int:
    """Multiply-adds of a traced function; see `multiply_adds`."""
    total = 0
    for equation in jaxpr.eqns:
        repeat = equation.params.get("length", 1)
        if equation.primitive.name == "conv_general_dilated":
            total += _convolution(equation)
        elif equation.primitive.name == "dot_general":
            total += _matrix_product(equation)
        for inner in inner_jaxprs(equation):
            total += repeat * jaxpr_multiply_adds(inner)
    return total


def _convolution(equation) -> int:
    """Outputs times the kernel elements that make each of them.

    Where the input is dilated (the gradient of a strided convolution) only
    every s-th kernel element per side meets a non-zero input.
    """
    out = equation.outvars[0].aval
    kernel = equation.invars[1].aval
    numbers = equation.params["dimension_numbers"]
    per_output = math.prod(kernel.shape) // kernel.shape[numbers.rhs_spec[0]]
    dilation = math.prod(equation.params["lhs_dilation"])
    return out.size * per_output // dilation


def _matrix_product(equation) -> int:
    (contracted, _), _ = equation.params["dimension_numbers"]
    shape = equation.invars[0].aval.shape
    return equation.outvars[0].aval.size * math.prod(shape[axis] for axis in contracted)
