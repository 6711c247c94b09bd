"""Everything in MATLAB 5 files that is not an array of numbers: structs, cells, texts.

Beside `matlab5`, which says why SciPy's reader is not used ("MAT-File Format", The
MathWorks, chapter 1).
"""

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from hrnet_jax.data.files import matlab5
from hrnet_jax.data.files.image_files import read_bytes
from hrnet_jax.errors import DataError

_CELL, _STRUCT, _CHAR = 1, 2, 4
_MATRIX = 14
# Letters of texts: number of a type -> encoding.
_TEXTS = {1: "latin-1", 2: "latin-1", 4: "utf-16", 16: "utf-8", 17: "utf-16"}
# What is nested deeper was made by nobody.
_DEEPEST = 20
# The largest file of annotations unpacks to some hundred megabytes.
_MOST_BYTES = 2**30


def read_values(path: Path) -> dict[str, Any]:
    """What a file holds by name.

    Returns:
        Arrays of real numbers as they are; texts; cells as lists; structs as lists of
        dictionaries, one for each element; None for what is of another kind.

    Raises:
        DataError: if the file is missing, of another version, truncated or damaged.
    """
    data = read_bytes(path)
    try:
        return dict(_values(memoryview(data)))
    except (struct.error, zlib.error, ValueError) as error:
        raise DataError(f"{path}: not a MATLAB 5 file ({error})") from None


def _values(data: memoryview) -> Iterator[tuple[str, Any]]:
    order = matlab5.order_of_bytes(data)
    for kind, content in matlab5.elements(data[matlab5.HEADER :], order):
        if kind == matlab5.COMPRESSED:
            ((kind, content),) = matlab5.elements(
                matlab5.unpacked(content, _MOST_BYTES), order
            )
        if kind == _MATRIX:
            yield _named(content, order, 0)


def _named(content: Any, order: str, depth: int) -> tuple[str, Any]:
    """Name and value of a matrix element."""
    if depth > _DEEPEST:
        raise ValueError(f"structs in structs, {depth} deep")
    parts = list(matlab5.elements(content, order))
    if not parts:  # of an empty field
        return "", np.zeros((0, 0))
    if len(parts) < 3:
        return "", None
    kind = struct.unpack_from(order + "I", parts[0][1])[0] & 0xFF
    name = bytes(parts[2][1]).decode("ascii")
    if kind == _CELL:
        return name, [_named(part[1], order, depth + 1)[1] for part in parts[3:]]
    if kind == _STRUCT:
        return name, _struct(parts, order, depth)
    if kind == _CHAR:
        return name, _text(parts[3], order) if len(parts) > 3 else ""
    found = matlab5.array_of(content, order)
    return found if found is not None else (name, None)


def _struct(parts: list, order: str, depth: int) -> list[dict[str, Any]]:
    """Elements of a struct, each field -> value."""
    if len(parts) < 5:
        raise ValueError("a struct without fields")
    (length,) = struct.unpack_from(order + "i", parts[3][1])
    names = bytes(parts[4][1])
    if length < 1:
        raise ValueError(f"names of fields of {length} letters")
    fields = [
        names[at : at + length].split(b"\0")[0].decode("ascii")
        for at in range(0, len(names), length)
    ]
    values = [_named(part[1], order, depth + 1)[1] for part in parts[5:]]
    if not fields:
        return []
    if len(values) % len(fields):
        raise ValueError(f"{len(values)} values of {len(fields)} fields")
    return [
        dict(zip(fields, values[at : at + len(fields)], strict=True))
        for at in range(0, len(values), len(fields))
    ]


def _text(element: tuple[int, Any], order: str) -> str:
    kind, content = element
    encoding = _TEXTS.get(kind)
    if encoding is None:
        raise ValueError(f"a text of the unknown type {kind}")
    if encoding == "utf-16":
        encoding += "-le" if order == "<" else "-be"
    return bytes(content).decode(encoding)
