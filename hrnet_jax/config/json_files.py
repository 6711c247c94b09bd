"""JSON files that people may have edited."""

import json
import pathlib
from typing import Any

from hrnet_jax.errors import HRNetError


def read_object(path: pathlib.Path, error_class: type[HRNetError]) -> dict[str, Any]:
    """The keys and values of a JSON file; a byte order mark is no part of it.

    Args:
        path: of the file.
        error_class: of the errors about what is in it.

    Raises:
        HRNetError: of that class, naming the file, if it is no JSON, not of the form
            {...}, or has a key twice, whose values would hide each other.
        OSError: if it cannot be read.
    """
    # Not within `try`: what storage of a bucket says of itself is a `ValueError` too.
    data = path.read_bytes()
    try:
        return parse_object(data)
    except ValueError as error:
        raise error_class(f"{path}: {error}") from error


def parse_object(data: bytes) -> dict[str, Any]:
    """The keys and values of JSON text in UTF-8.

    Raises:
        ValueError: saying what is wrong with it.
    """
    try:
        content = json.loads(
            data.decode("utf-8-sig"), object_pairs_hook=_without_repeats
        )
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not valid JSON ({error})") from error
    if not isinstance(content, dict):
        kind = type(content).__name__
        raise ValueError(f"holds a {kind}, expected keys and values")  # noqa: TRY004
    return content


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"key {twice!r} is there twice")
    return found
