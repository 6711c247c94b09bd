"""Strategies that damage valid files: what Hypothesis gives to readers."""

import copy
import json
import random
from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import strategies as st

# Values that are wrong nearly everywhere in a JSON document.
ODD_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2, 3, 1.5, -0.0, 1e308, -1e308, 5e-324, 1e999),
    *(float("nan"), 10**400, -(10**4500), 2**63, "", " ", "0", "x", "\x00", "\ud800"),
    *("nan", "a/b", "..", "/", "\\", "x" * 300, "%00", "é", "\u2028"),
    *([], {}, [[]], [{}], [None], {"id": 1}, [1, 2, 3], [1, 2, 3, 4], ["a", "a"]),
)
# Texts that are wrong nearly everywhere in a table.
ODD_CELLS = (
    *(
        "",
        " ",
        "nan",
        "inf",
        "-inf",
        "1e308",
        "-1e308",
        "1e400",
        "0",
        "-1",
        "1,5",
        "1.5",
    ),
    *("1,234", "1.234,5", "1,234.5", "1_0", "0x1", "x", "\x00", "\ufeff", '"', '""'),
    *("a\nb", "..", "/", "\\", "é", "١", "x" * 300, "1" * 400, "True", "2", "NaN"),
)
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "cp1252", "cp500")


CUT_AT_MOST = 4

Damage = Callable[[random.Random], Any]


def by_seed(damage: Damage) -> st.SearchStrategy:
    """What a function makes with a generator of random numbers.

    One number decides all of it: drawing each part from Hypothesis takes longer than
    the readers do.
    """
    return st.integers(0, 2**64).map(lambda seed: damage(random.Random(seed)))


def documents(valid: Sequence[Any]) -> st.SearchStrategy[bytes]:
    """JSON files: valid documents with entries dropped, doubled or replaced."""

    def damaged(rng: random.Random) -> bytes:
        document = copy.deepcopy(rng.choice(valid))
        for _ in range(rng.randrange(5)):
            document = _change(rng, document)
        try:
            text = json.dumps(document, ensure_ascii=rng.random() < 0.5)
        except ValueError:  # More digits than Python writes.
            text = "1" * 5000
        return encoded(rng, text)

    return by_seed(damaged)


def tables(valid: Sequence[str]) -> st.SearchStrategy[bytes]:
    """Text files: valid ones with cells, lines and separators changed."""

    def damaged(rng: random.Random) -> bytes:
        text = rng.choice(valid)
        for _ in range(rng.randrange(6)):
            lines = text.split("\n")
            at = rng.randrange(len(lines))
            separator = max(",; \t", key=lines[at].count)
            kind = rng.randrange(6)
            if kind <= 1:
                cells = lines[at].split(separator)
                cells[rng.randrange(len(cells))] = _cell(rng)
                lines[at] = separator.join(cells)
            elif kind == 2:
                del lines[at]
            elif kind == 3:
                lines.insert(at, rng.choice(lines))
            elif kind == 4:
                lines[at] = lines[at].replace(separator, rng.choice(",;\t |"))
            else:
                lines[at] = _text(rng, 20)
            text = rng.choice(["\n", "\n", "\r\n", "\r"]).join(lines)
        return encoded(rng, text)

    return by_seed(damaged)


def encoded(rng: random.Random, text: str) -> bytes:
    """A text in some encoding, most often the right one, and at times cut."""
    encoding = "utf-8" if rng.randrange(8) else rng.choice(ENCODINGS)
    data = text.encode(encoding, errors="replace")
    return data if rng.randrange(8) else cut(rng, data)


def cut(rng: random.Random, data: bytes) -> bytes:
    """Bytes with some of them replaced, taken out or put in."""
    damaged = bytearray(data)
    for _ in range(rng.randint(1, CUT_AT_MOST)):
        start = rng.randint(0, len(damaged))
        gone = rng.choice([0, 1, 2, 8, rng.randint(0, len(damaged))])
        damaged[start : start + gone] = rng.randbytes(rng.choice([0, 1, 4, 8]))
    return bytes(damaged)


def _change(rng: random.Random, document: Any) -> Any:
    """The document with one change at some depth."""
    place = document
    while isinstance(place, dict | list) and place:
        key = rng.choice(list(place) if isinstance(place, dict) else range(len(place)))
        inner = place[key]
        if isinstance(inner, dict | list) and inner and rng.randrange(4):
            place = inner
            continue
        kind = rng.randrange(6)
        if kind == 0:
            del place[key]
        elif kind == 1 and isinstance(place, list):
            place.insert(key, copy.deepcopy(rng.choice(place)))
        elif kind == 2 and isinstance(place, dict):
            place[str(key).upper()] = place.pop(key)
        else:
            place[key] = _value(rng)
        return document
    return _value(rng)


def _value(rng: random.Random) -> Any:
    kind = rng.randrange(6)
    if kind == 0:
        return rng.randint(-(2**31), 2**31)
    if kind == 1:
        return rng.gauss(10, 30)
    if kind == 2:
        return _text(rng, 5)
    if kind == 3:
        return [
            rng.choice([rng.randint(-9, 99), None]) for _ in range(rng.randrange(10))
        ]
    return copy.deepcopy(rng.choice(ODD_VALUES))


def _cell(rng: random.Random) -> str:
    kind = rng.randrange(5)
    if kind == 0:
        return _text(rng, 5)
    if kind == 1:
        return str(
            rng.choice([rng.gauss(10, 30), rng.gauss(0, 1e300), rng.getrandbits(70)])
        )
    return rng.choice(ODD_CELLS)


def _text(rng: random.Random, length: int) -> str:
    """Letters from all over Unicode, halves of pairs included."""
    limits = [0x80, 0x80, 0x800, 0x10000, 0x110000]
    letters = (
        chr(rng.randrange(rng.choice(limits))) for _ in range(rng.randint(0, length))
    )
    return "".join(letters)
