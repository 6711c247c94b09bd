"""Damaged forms of valid content, for the tests of readers of foreign files.

Every strategy begins with a valid file or document and changes little of it, so that a
reader comes far before it meets the damage.
"""

import copy
import json
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies

# What stands in JSON where something else was expected.
ODD_VALUES = strategies.sampled_from(
    [
        *(None, True, False, "", "x", "3", "nan", "a.b", "../..", "\u00e9\u0000"),
        *(0, -1, 3, 10**30, 10**400, 0.5, -0.0, 1e308, float("inf"), float("nan")),
        *([], [[]], [None], ["a"], [1, 2], [0.1, 0.2, 0.3], [-1], list(range(70))),
        *({}, {"": 1}, {"a": {}}, {"a.b": 1}, {"name": "x"}, {"0": [1, 2]}),
    ]
)
_KEYS = strategies.sampled_from(["", "x", "a.b", "name", "task", "0", "\u00e9"])


@strategies.composite
def damaged_bytes(draw, content: bytes, most: int = 3) -> bytes:
    """The bytes with up to `most` places changed, left out, repeated or put in."""
    data = bytearray(content)
    for _ in range(draw(strategies.integers(1, most))):
        at = draw(strategies.integers(0, max(len(data) - 1, 0)))
        kind = draw(strategies.integers(0, 9))
        if kind == 0:  # cut: seldom, as it hides what else was done
            del data[at:]
            continue
        size = draw(strategies.integers(1, 8))
        if kind < 4:
            data[at : at + 1] = bytes([draw(strategies.integers(0, 255))])
        elif kind == 4:
            del data[at : at + size]
        elif kind == 5:
            data[at:at] = data[at : at + size]
        elif kind == 6:
            data[at : at + size] = bytes(len(data[at : at + size]))
        elif kind == 7:
            data[at : at + size] = b"\xff" * len(data[at : at + size])
        else:
            data[at : at + size] = draw(strategies.binary(min_size=size, max_size=size))
    return bytes(data)


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every container and key in a document."""
    keys: Any = ()
    if isinstance(value, dict):
        keys = list(value)
    elif isinstance(value, list):
        keys = range(len(value))
    for key in keys:
        yield value, key
        yield from _places(value[key])


@strategies.composite
def edited(draw, document: Any, most: int = 3) -> Any:
    """A JSON document edited by hand, in up to `most` places.

    Values are left out, replaced, nested wrongly, repeated, taken from elsewhere in the
    document, or given under another key.
    """
    document = copy.deepcopy(document)
    for _ in range(draw(strategies.integers(1, most))):
        places = list(_places(document))
        if not places:
            return draw(ODD_VALUES)
        where = draw(strategies.integers(-1, len(places) - 1))
        if where < 0:  # seldom
            return draw(ODD_VALUES)
        parent, key = places[where]
        _edit(draw, parent, key, places)
    return document


def _edit(draw, parent: Any, key: Any, places: list) -> None:
    kind = draw(strategies.integers(0, 12))
    if kind < 4:
        parent[key] = copy.deepcopy(draw(ODD_VALUES))
    elif kind == 4:
        del parent[key]
    elif kind == 5:
        parent[key] = [parent[key]]
    elif kind == 6:
        parent[key] = {draw(_KEYS): parent[key]}
    elif kind == 7:
        other, name = places[draw(strategies.integers(0, len(places) - 1))]
        parent[key] = copy.deepcopy(other[name])
    elif kind == 8 and isinstance(parent, dict):
        parent[draw(_KEYS)] = parent.pop(key)
    elif kind == 8:
        parent.insert(key, copy.deepcopy(parent[key]))
    else:
        parent[key] = draw(strategies.sampled_from(_like(parent[key])))


def _like(value: Any) -> list:
    """Values of the same type, or almost, that may be outside what is allowed."""
    if isinstance(value, bool):
        return [not value, int(value), str(value)]
    if isinstance(value, int):
        return [0, 1, -1, 3, -value, value + 1, 2 * value, 10**30, str(value)]
    if isinstance(value, float):
        return [0.0, -value, 1e-30, 1e308, float("nan"), float("inf"), str(value)]
    if isinstance(value, str):
        return ["", value[:-1], value.upper(), [*value], "none"]
    if isinstance(value, list):
        return [[], value[:-1], value[::-1], [*value, *value]]
    return [{}, [], {**(value or {}), "x": 1}, {**(value or {}), "num_classes": 3}]


@strategies.composite
def json_files(draw, document: Any, most: int = 3) -> bytes:
    """A JSON file after somebody's editor had it: content, text or bytes."""
    kind = draw(strategies.integers(0, 9))
    if kind < 6:
        return json.dumps(draw(edited(document, most))).encode()
    text = json.dumps(document, indent=2)
    if kind == 6:
        return draw(damaged_bytes(text.encode(), most))
    whole = text.encode()
    lines = text.splitlines()
    at = draw(strategies.integers(0, len(lines) - 1))
    forms = {
        "truncated": lambda: "\n".join(lines[:at]).encode(),
        "byte order mark": lambda: b"\xef\xbb\xbf" + whole,
        "windows": lambda: text.replace("\n", "\r\n").encode(),
        "utf-16": lambda: text.encode("utf-16"),
        "latin-1": lambda: whole.replace(b'"', b'"\xe9', 1),
        "comment": lambda: _with_line(lines, at, "// a comment"),
        "hash": lambda: _with_line(lines, at, "# a comment"),
        "trailing comma": lambda: _with_line(lines, at, ","),
        "quotes": lambda: whole.replace(b'"', b"'"),
        "line left out": lambda: "\n".join(lines[:at] + lines[at + 1 :]).encode(),
        "line twice": lambda: _with_line(lines, at, lines[at]),
        "deep": lambda: b"[" * 100_000,
        "long number": lambda: _with_line(lines, at, '"seed": ' + "1" * 5000 + ","),
        "empty": lambda: b"",
    }
    return forms[draw(strategies.sampled_from(list(forms)))]()


def _with_line(lines: list[str], at: int, line: str) -> bytes:
    return "\n".join([*lines[: at + 1], line, *lines[at + 1 :]]).encode()
