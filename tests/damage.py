"""Strategies that damage valid files: what Hypothesis gives to readers."""

import copy
import json
from collections.abc import Iterable
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


def documents(valid: Iterable[Any]) -> st.SearchStrategy[bytes]:
    """JSON files: valid documents with entries dropped, doubled or replaced."""

    @st.composite
    def damaged(draw: st.DrawFn) -> bytes:
        document = copy.deepcopy(draw(st.sampled_from(list(valid))))
        for _ in range(draw(st.integers(0, 4))):
            document = _change(draw, document)
        try:
            text = json.dumps(document, ensure_ascii=draw(st.booleans()))
        except ValueError:  # More digits than Python writes.
            text = json.dumps(str(document)[:50])
        return draw(encoded(text))

    return damaged()


def tables(valid: Iterable[str]) -> st.SearchStrategy[bytes]:
    """Text files: valid ones with cells, lines and separators changed."""

    @st.composite
    def damaged(draw: st.DrawFn) -> bytes:
        text = draw(st.sampled_from(list(valid)))
        for _ in range(draw(st.integers(0, 5))):
            lines = text.split("\n")
            at = draw(st.integers(0, len(lines) - 1))
            separator = max(",; \t", key=lines[at].count)
            kind = draw(st.integers(0, 5))
            if kind <= 1:
                cells = lines[at].split(separator)
                cells[draw(st.integers(0, len(cells) - 1))] = draw(_CELLS)
                lines[at] = separator.join(cells)
            elif kind == 2:
                del lines[at]
            elif kind == 3:
                lines.insert(at, draw(st.sampled_from(lines)))
            elif kind == 4:
                lines[at] = lines[at].replace(
                    separator, draw(st.sampled_from(",;\t |"))
                )
            else:
                lines[at] = draw(st.text(max_size=20))
            text = draw(st.sampled_from(["\n", "\n", "\r\n", "\r"])).join(lines)
        return draw(encoded(text))

    return damaged()


_CELLS = st.one_of(
    st.sampled_from(ODD_CELLS),
    st.text(max_size=5),
    st.floats(width=32).map(str),
    st.integers().map(str),
)


@st.composite
def encoded(draw: st.DrawFn, text: str) -> bytes:
    """A text in some encoding, most often the right one, and at times cut."""
    encoding = "utf-8"
    if draw(st.integers(0, 7)) == 0:
        encoding = draw(st.sampled_from(ENCODINGS))
    data = text.encode(encoding, errors="replace")
    return cut(data, draw(CUTS)) if draw(st.integers(0, 7)) == 0 else data


# (where, how many bytes go or None for all that follow, what comes) of each cut.
CUTS = st.lists(
    st.tuples(
        st.integers(0, 2**20),
        st.sampled_from([0, 1, 2, 8, None]),
        st.binary(max_size=8),
    ),
    min_size=1,
    max_size=4,
)


def cut(data: bytes, cuts: Iterable[tuple[int, int | None, bytes]]) -> bytes:
    """Bytes with some of them replaced, taken out or put in."""
    damaged = bytearray(data)
    for where, gone, new in cuts:
        start = where % (len(damaged) + 1)
        end = len(damaged) if gone is None else start + gone
        damaged[start:end] = new
    return bytes(damaged)


def _change(draw: st.DrawFn, document: Any) -> Any:
    """The document with one change at some depth."""
    place = document
    while isinstance(place, dict | list) and place:
        keys = list(place) if isinstance(place, dict) else range(len(place))
        key = draw(st.sampled_from(list(keys)))
        inner = place[key]
        if isinstance(inner, dict | list) and inner and draw(st.integers(0, 3)):
            place = inner
            continue
        kind = draw(st.integers(0, 5))
        if kind == 0:
            del place[key]
        elif kind == 1 and isinstance(place, list):
            place.insert(key, copy.deepcopy(draw(st.sampled_from(place))))
        elif kind == 2 and isinstance(place, dict):
            place[str(key).upper()] = place.pop(key)
        else:
            place[key] = copy.deepcopy(draw(_VALUES))
        return document
    return draw(_VALUES)


_VALUES = st.one_of(
    st.sampled_from(ODD_VALUES),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.lists(st.one_of(st.integers(-9, 99), st.none()), max_size=10),
)
