"""Tables for the terminal, and for Markdown."""

from collections.abc import Iterable, Sequence

_GAP = "  "


def columns(rows: Iterable[Sequence[str]], align: str = "l") -> list[str]:
    """Rows as lines with columns as wide as their widest cells.

    Args:
        rows: cells; a row may have fewer than the others.
        align: `l` (left) or `r` (right) for each column, the last one for all that
            follow.
    """
    rows = list(rows)
    widths = _widths(rows)
    return [_GAP.join(_padded(row, widths, align)).rstrip() for row in rows]


def markdown(
    header: Sequence[str], rows: Iterable[Sequence[str]], align: str = "lr"
) -> str:
    """A Markdown table whose columns line up, so that it reads in a terminal too.

    Args:
        header: names of the columns.
        rows: cells, as many in each as names.
        align: as for `columns`.
    """
    lines = [header, *rows]
    widths = _widths(lines)
    rule = [
        "-" * (width - 1) + ":" if side == "r" else "-" * width
        for width, side in zip(widths, _sides(align, len(widths)), strict=True)
    ]
    cells = [_padded(line, widths, align) for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in (cells[0], rule, *cells[1:]))


def _widths(rows: Sequence[Sequence[str]]) -> list[int]:
    number = max(map(len, rows), default=0)
    return [max(len(row[k]) for row in rows if k < len(row)) for k in range(number)]


def _padded(row: Sequence[str], widths: Sequence[int], align: str) -> list[str]:
    """The cells of one row, as wide as their columns."""
    return [
        cell.rjust(width) if side == "r" else cell.ljust(width)
        for cell, width, side in zip(
            row, widths, _sides(align, len(widths)), strict=False
        )
    ]


def _sides(align: str, number: int) -> str:
    return align.ljust(number, align[-1])
