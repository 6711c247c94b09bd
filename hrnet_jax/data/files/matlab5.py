"""Numeric arrays of MATLAB 5 files.

SciPy's reader was not made for damaged files: some of them end the process. This one
reads arrays of real numbers, and skips everything else that a file may hold ("MAT-File
Format", The MathWorks, chapter 1).
"""

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from hrnet_jax.data.files.image_files import read_bytes
from hrnet_jax.errors import DataError

HEADER, _VERSION = 128, 0x0100
_INT32, _MATRIX, COMPRESSED = 5, 14, 15
# Number of a type -> NumPy's letter and size.
_TYPES = {
    1: "i1",
    2: "u1",
    3: "i2",
    4: "u2",
    5: "i4",
    6: "u4",
    7: "f4",
    9: "f8",
    12: "i8",
    13: "u8",
}
_NUMERIC = range(6, 16)  # Classes of arrays, from double to uint64.
_COMPLEX = 0x08
# No array here needs more, and a few bytes may unpack to anything.
_MOST_BYTES = 2**26

# Bytes, or a view of them.
Element = tuple[int, Any]


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Arrays of real numbers by name.

    Raises:
        DataError: if the file is missing, of another version, truncated or damaged.
    """
    data = read_bytes(path)
    try:
        return dict(_arrays(data))
    except (struct.error, zlib.error, ValueError) as error:
        raise DataError(f"{path}: not a MATLAB 5 file ({error})") from None


def _arrays(data: bytes) -> Iterator[tuple[str, np.ndarray]]:
    """(name, array) of each array of real numbers.

    Raises:
        ValueError, struct.error, zlib.error: where the bytes are no such file.
    """
    order = order_of_bytes(data)
    for kind, content in elements(data[HEADER:], order):
        if kind == COMPRESSED:
            ((kind, content),) = elements(unpacked(content, _MOST_BYTES), order)
        found = array_of(content, order) if kind == _MATRIX else None
        if found is not None:
            yield found


def order_of_bytes(data: Any) -> str:
    """`<` or `>`, as `struct` has them, by the header of a file.

    Raises:
        ValueError: for a file of another version.
    """
    order = {b"IM": "<", b"MI": ">"}.get(bytes(data[126:HEADER]))
    if order is None or struct.unpack(order + "H", data[124:126]) != (_VERSION,):
        raise ValueError("its header is another")
    return order


def unpacked(content: Any, most: int) -> memoryview:
    """The bytes of a compressed element.

    Raises:
        ValueError: if they are cut, or more than so many.
    """
    unpacking = zlib.decompressobj()
    data = unpacking.decompress(content, most)
    if not unpacking.eof:
        raise ValueError("an array is cut or too large")
    return memoryview(data)


def elements(data: Any, order: str) -> Iterator[Element]:
    """(type, content) of the elements one behind the other."""
    at = 0
    while at < len(data):
        kind, size = struct.unpack_from(order + "II", data, at)
        start = at + 8
        if kind >> 16:  # A small element has size, type and content in 8 bytes.
            kind, size, start = kind & 0xFFFF, kind >> 16, at + 4
        if start + size > len(data) or (start == at + 4 and size > 4):
            raise ValueError(f"{size} bytes are announced, {len(data) - start} follow")
        yield kind, data[start : start + size]
        at = start + size
        if kind != COMPRESSED:
            at += -at % 8


def array_of(content: Any, order: str) -> tuple[str, np.ndarray] | None:
    """Name and array of a matrix element; None for another kind of content."""
    parts = list(elements(content, order))
    if len(parts) < 3:
        return None
    flags = struct.unpack_from(order + "I", parts[0][1])[0]
    if flags & 0xFF not in _NUMERIC or flags >> 8 & _COMPLEX or len(parts) != 4:
        return None
    if parts[1][0] != _INT32:
        raise ValueError(f"a shape of the type {parts[1][0]}")
    shape = _numbers(parts[1], order).tolist()
    name = bytes(parts[2][1]).decode("ascii")
    values = _numbers(parts[3], order)
    if any(side < 0 for side in shape):
        raise ValueError(f"array {name!r} has the shape {shape}")
    return name, values.reshape(shape, order="F")


def _numbers(element: Element, order: str) -> np.ndarray:
    kind, content = element
    if kind not in _TYPES:
        raise ValueError(f"numbers of the unknown type {kind}")
    return np.frombuffer(content, order + _TYPES[kind])
