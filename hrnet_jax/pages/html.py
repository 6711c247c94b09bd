"""HTML from nested calls; all text is escaped."""

import html
import json
from collections.abc import Iterable, Sequence
from typing import Any

# Elements without an end.
_VOID = {"br", "img", "input", "link", "meta"}


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def tag(name: str, /, *children: Any, **attributes: Any) -> Markup:
    """One element.

    Args:
        name: of the element.
        *children: `Markup` as it is, anything else as escaped text; of iterables each
            of their items; None is nothing.
        **attributes: `class_` is `class`, `aria_label` is `aria-label`; True stands for
            an attribute without a value, None and False for none.
    """
    text = "".join(
        f" {key.rstrip('_').replace('_', '-')}"
        + ("" if value is True else f'="{html.escape(str(value))}"')
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    if name in _VOID:
        return Markup(f"<{name}{text}>")
    return Markup(f"<{name}{text}>{join(children)}</{name}>")


def join(children: Iterable[Any]) -> Markup:
    """Children of an element one after the other; see `tag`."""
    return Markup("".join(map(_text, children)))


def _text(child: Any) -> str:
    if child is None:
        return ""
    if isinstance(child, Markup):
        return child
    if isinstance(child, Iterable) and not isinstance(child, str):
        return join(child)
    return html.escape(str(child))


def data(name: str, value: Any) -> Markup:
    """JSON for a script to read, in an element with this id."""
    # Within a script nothing is escaped, and a name may say `</script>`.
    text = json.dumps(value, allow_nan=False).replace("<", "\\u003c")
    return tag("script", Markup(text), type="application/json", id=name)


def table(
    rows: Sequence[Sequence[Any]], caption: str = "", **attributes: Any
) -> Markup:
    """A table; the first row and the first column are headers.

    Args:
        rows: of cells, as children of `tag`.
        caption: above it.
        **attributes: of the table.
    """
    head, *body = rows
    return tag(
        "div",
        tag(
            "table",
            tag("caption", caption) if caption else None,
            tag("thead", tag("tr", (tag("th", cell, scope="col") for cell in head))),
            tag("tbody", (_row(row) for row in body)),
            **attributes,
        ),
        class_="wide",
        # So that keys can scroll it.
        tabindex=0,
    )


def _row(row: Sequence[Any]) -> Markup:
    first, *cells = row
    return tag("tr", tag("th", first, scope="row"), (tag("td", cell) for cell in cells))
