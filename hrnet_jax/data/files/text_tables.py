"""Cells of CSV and other text files, with the line they stand in."""

import csv
import math
from pathlib import Path

from hrnet_jax.errors import DataError

Row = tuple[int, list[str]]


def csv_rows(path: Path) -> list[Row]:
    """Line number (from 1) and cells of every line that is not blank.

    Raises:
        DataError: if the file is missing, or is no CSV text.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            rows = [
                (reader.line_num, [cell.strip() for cell in cells]) for cells in reader
            ]
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} is not a CSV text file: {error}") from None
    return [(line, cells) for line, cells in rows if any(cells)]


def text_rows(path: Path) -> list[tuple[int, str]]:
    """Line number (from 1) and text of every line that is not blank.

    Line ends of Windows and a byte order mark, as its editors write them, are no part
    of the text, nor are spaces around it.

    Raises:
        DataError: if the file is missing, or is no text.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not a text file: {error}") from None
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


def number(text: str, where: str, column: str) -> float:
    """A finite number.

    Raises:
        DataError: naming file, line (`where`) and column.
    """
    if not is_number(text) or not math.isfinite(float(text)):
        raise DataError(f"{where}, column {column!r}: {text!r} is not a finite number")
    return float(text)


def is_number(text: str) -> bool:
    """Whether a cell holds a number (`nan` included) and not a word."""
    try:
        float(text)
    except ValueError:
        return False
    return True
