"""Operations that formats of exported files have as one of their own.

Here they are loops, products and copies of many. While a program is traced for such a
format they stay whole, so that the format's own operation can take their place.
"""

import contextvars
from collections.abc import Callable
from typing import Any

import jax

# Called as (name, arrays, shapes, parameters) in the place of the many; see `whole`.
SUBSTITUTE: contextvars.ContextVar[Callable | None] = contextvars.ContextVar(
    "SUBSTITUTE", default=None
)

Shapes = tuple[jax.ShapeDtypeStruct, ...]


def are_kept() -> bool:
    """Whether the program being traced is for such a format."""
    return SUBSTITUTE.get() is not None


def whole(
    name: str,
    function: Callable[..., tuple[jax.Array, ...]],
    *arrays: jax.Array,
    shapes: Shapes,
    **parameters: Any,
) -> tuple[jax.Array, ...]:
    """`function(*arrays)`, or in the programs above one operation in its place.

    Args:
        name: `resize`, `nms` or `roi_align`: what the formats know.
        function: the operation in many.
        *arrays: its arguments.
        shapes: of its results.
        **parameters: what else the operation depends on.
    """
    substitute = SUBSTITUTE.get()
    if substitute is None:
        return function(*arrays)
    results: tuple[jax.Array, ...] = substitute(name, arrays, shapes, parameters)
    return results
