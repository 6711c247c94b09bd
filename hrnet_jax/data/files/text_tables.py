"""Cells of CSV and other text files, with the line they stand in."""

import csv
import io
import math
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from hrnet_jax.data.files.text_files import read_text
from hrnet_jax.errors import DataError
from hrnet_jax.imaging.boxes import FARTHEST

Row = tuple[int, list[str]]

# Excel separates by what the language of the machine leaves free.
SEPARATORS = (",", ";", "\t")
# What Excel takes for the separator, in a line before the header.
_DIRECTIVE = re.compile(r"""["']?sep=([^\w\s"']|\t)["']?\s*""", re.IGNORECASE)

DECIMALS = {"point": ".", "comma": ","}
# What may set thousands apart beside a decimal mark.
_APART = {".": ",", ",": "."}
# Decimal mark -> numbers that can be written with it, thousands apart or not.
_NUMBERS = {
    mark: re.compile(
        rf"[+-]?(\d{{1,3}}(\{apart}\d{{3}})+|\d+|(?=\{mark}\d))(\{mark}\d*)?"
        r"([eE][+-]?\d+)?",
        re.ASCII,
    )
    for mark, apart in _APART.items()
}
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+", re.ASCII)


def csv_rows(
    path: Path,
    is_header: Callable[[Sequence[str]], bool] = bool,
    encoding: str = "",
    *,
    advice: str = "",
) -> list[Row]:
    """Line number (from 1) and cells of every line that is not blank.

    Cells stand between commas, semicolons or tabs, whatever the first line has. Spaces
    around them are no part of them; nor are empty cells behind the last named column,
    as spreadsheets write them.

    Args:
        path: the file.
        is_header: tells the right one, where the first line can be divided in
            several ways.
        encoding: see `read_text`.
        advice: see `read_text`.

    Raises:
        DataError: if the file is missing, or is no CSV text.
    """
    text = read_text(path, encoding, advice=advice)
    directive = _DIRECTIVE.match(text)
    separator = directive[1] if directive else _separator(text, is_header)
    # The lines of the directive count too.
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    try:
        if directive:
            next(reader)
        rows = [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader]
    except csv.Error as error:
        raise DataError(f"{path} is not a CSV text file: {error}") from None
    rows = [(line, cells) for line, cells in rows if any(cells)]
    width = len(_without_empty_end(rows[0][1])) if rows else 0
    return [(line, _without_empty_end(cells, width)) for line, cells in rows]


def _separator(text: str, is_header: Callable[[Sequence[str]], bool]) -> str:
    """The separator of the first line that holds something."""
    line = next((line for line in text.splitlines() if line.strip(" ,;\t")), "")
    divided = {}
    for separator in SEPARATORS:
        try:
            (cells,) = list(csv.reader([line], delimiter=separator))
        except (csv.Error, ValueError):
            continue
        if len(cells) > 1:
            divided[separator] = [cell.strip() for cell in cells]
    if len(divided) > 1:
        fitting = [mark for mark, cells in divided.items() if is_header(cells)]
        if fitting:
            return fitting[0]
    return max(divided, key=lambda mark: len(divided[mark]), default=SEPARATORS[0])


def _without_empty_end(cells: list[str], width: int = 0) -> list[str]:
    """The cells up to the last that holds something, but at least so many."""
    end = len(cells)
    while end > width and not cells[end - 1]:
        end -= 1
    return cells[:end]


def decimal_mark(
    cells: Iterable[tuple[int, str]], path: Path, choice: str = "", option: str = ""
) -> str:
    """How the numbers of a file are written: with a decimal point or comma.

    Where a number has both marks, the last one is decimal. `1,250` alone may be 1.25 or
    1250; a file of such numbers only is an error that asks.

    Args:
        cells: line and text of every number; what is no number is left alone.
        path: the file.
        choice: `point` or `comma`, as the user said; empty to find out.
        option: with which the user can say so, for the message.

    Returns:
        `.` or `,`.

    Raises:
        DataError: if numbers of both kinds are in the file, or all may be either.
    """
    if choice:
        if choice not in DECIMALS:
            raise DataError(f"{option} {choice!r} is none of {', '.join(DECIMALS)}")
        return DECIMALS[choice]
    cells = list(cells)
    if not any("," in text for _, text in cells):
        return "."
    commas, points = [], []
    for line, text in cells:
        if any(form.fullmatch(text) for form in _NUMBERS.values()):
            if "," in text and "." in text:
                # No other way to read it; what contradicts it is named as no number.
                return max(",.", key=text.rindex)
            commas += [(line, text)] * ("," in text)
            points += [(line, text)] * ("." in text)
    if not commas:
        return "."
    line, text = commas[0]
    if points:
        raise DataError(
            f"{path}:{line}: {text!r} has a comma, but {points[0][1]!r} of line "
            f"{points[0][0]} a decimal point; write all numbers of a file alike"
        )
    if all(_THOUSANDS.fullmatch(text) for _, text in commas):
        say = "write numbers with a decimal point"
        if option:
            say = f"say {option}=comma or {option}=point"
        raise DataError(
            f"{path}:{line}: {text!r} may be {_value(text, ','):g} (decimal comma) or "
            f"{_value(text, '.'):g}, and no number of the file tells which; {say}"
        )
    return ","


def _value(text: str, mark: str) -> float:
    return float(text.replace(_APART[mark], "").replace(mark, "."))


def text_rows(path: Path) -> list[tuple[int, str]]:
    """Line number (from 1) and text of every line that is not blank.

    Line ends of Windows and a byte order mark, as its editors write them, are no part
    of the text, nor are spaces around it.

    Raises:
        DataError: if the file is missing, or is no text.
    """
    lines = read_text(path).splitlines()
    return [(line, row.strip()) for line, row in enumerate(lines, 1) if row.strip()]


def word_rows(path: Path) -> list[Row]:
    """Like `csv_rows`, for lines of words between spaces.

    Raises:
        DataError: as `text_rows`.
    """
    return [(line, row.split()) for line, row in text_rows(path)]


def name_rows(path: Path) -> list[Row]:
    """Like `word_rows`, for names: between commas where a line has one, else spaces.

    Raises:
        DataError: as `word_rows`.
    """
    return [(line, _names(words)) for line, words in word_rows(path)]


def _names(words: list[str]) -> list[str]:
    text = " ".join(words)
    if "," not in text:
        return words
    return [name for part in text.split(",") if (name := part.strip())]


def number(text: str, where: str, column: str, mark: str = "") -> float:
    """A finite number, of pixels.

    Args:
        text: the cell.
        where: file and line.
        column: its name.
        mark: from `decimal_mark`; thousands may then be set apart. Empty for a decimal
            point and nothing between thousands.

    Raises:
        DataError: naming file, line (`where`) and column.
    """
    value = math.nan
    if mark and _NUMBERS[mark].fullmatch(text):
        value = _value(text, mark)
    elif mark != "," and is_number(text):
        value = float(text)
    if not math.isfinite(value):
        raise DataError(f"{where}, column {column!r}: {text!r} is not a finite number")
    if abs(value) > FARTHEST:
        raise DataError(
            f"{where}, column {column!r}: {text!r} is too large, expected pixels"
        )
    return value


def is_number(text: str) -> bool:
    """Whether a cell holds a number (`nan` included) and not a word."""
    try:
        float(text)
    except ValueError:
        return False
    # Python's own freedom: `1_000`.
    return "_" not in text
