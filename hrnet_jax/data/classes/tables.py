"""Rows of CSV tables with images and their classes."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from hrnet_jax.data.files.findings import Findings
from hrnet_jax.data.files.text_tables import Row, csv_rows
from hrnet_jax.errors import DataError

IMAGE_COLUMNS = (
    *("image", "image_name", "image_path", "file", "file_name", "filename"),
    *("path", "filepath"),
)
LABEL_COLUMNS = ("label", "labels", "class", "classes", "class_name", "category")
_FLAGS = {"0": False, "1": True, "0.0": False, "1.0": True, "": False}
_ENCODINGS = ", or name its encoding, such as encoding=cp1252 for Excel's plain CSV"


@dataclasses.dataclass(frozen=True)
class LabelledRow:
    """A row of a table.

    Attributes:
        image: the name of the image, as it is written.
        classes: names of its classes.
        where: file and line, for messages.
    """

    image: str
    classes: tuple[str, ...]
    where: str


def read_label_table(
    path: Path, separator: str, encoding: str, findings: Findings
) -> list[LabelledRow]:
    """The rows of a table with a column of images and one of labels.

    Args:
        path: the file.
        separator: between the classes in a cell; empty where a cell is one class.
            With it a table without a column of labels may have one of 0 and 1 for each
            class.
        encoding: of the file; empty for UTF-8, or what its byte-order mark says.
        findings: takes columns that are left out.

    Raises:
        DataError: for a file without these columns; naming the line of a cell that is
            wrong.
    """
    rows = csv_rows(path, _is_header, encoding, advice=_ENCODINGS)
    header = [cell.casefold() for cell in rows[0][1]] if rows else []
    image = _column(path, header, IMAGE_COLUMNS)
    label = _column(path, header, LABEL_COLUMNS)
    if image < 0 or (label < 0 and not separator):
        raise DataError(
            f"{path}: expected a header with a column of images "
            f"({', '.join(IMAGE_COLUMNS[:3])}, ...) and one of labels "
            f"({', '.join(LABEL_COLUMNS[:3])}, ...), got "
            f"{', '.join(map(repr, rows[0][1])) if rows else 'nothing'}"
        )
    names = rows[0][1]
    if label < 0:
        classes = [name for at, name in enumerate(names) if at != image]
        bad = [
            name
            for at, name in enumerate(classes)
            if not name.isprintable() or not name or name in classes[:at]
        ]
        if bad or not classes:
            raise DataError(
                f"{path}: expected columns with different names of classes beside that of "
                f"images, got {', '.join(map(repr, names))}"
            )
        return [_flags(path, row, image, names) for row in rows[1:]]
    for at, name in enumerate(names):
        if at not in (image, label):
            findings.count(path, f"columns {name!r}, left out")
    found = []
    for line, cells in rows[1:]:
        where = f"{path}:{line}"
        text = _cell(cells, label)
        parts = text.split(separator) if separator else [text]
        shown = tuple(dict.fromkeys(one.strip() for one in parts if one.strip()))
        bad = [one for one in shown if not one.isprintable()]
        if bad:
            raise DataError(f"{where}: {bad[0]!r} is no name of a class")
        if not shown and not separator:
            raise DataError(f"{where}, column {names[label]!r}: the cell is empty")
        found.append(LabelledRow(_cell(cells, image), shown, where))
    return found


def _flags(path: Path, row: Row, image: int, names: Sequence[str]) -> LabelledRow:
    """A row with 0 or 1 for each class."""
    line, cells = row
    where = f"{path}:{line}"
    classes = []
    for at, name in enumerate(names):
        if at == image:
            continue
        text = _cell(cells, at)
        if text not in _FLAGS:
            raise DataError(
                f"{where}, column {name!r}: {text!r}, expected 0 or 1; or name the column "
                f"of labels {LABEL_COLUMNS[0]!r}"
            )
        if _FLAGS[text]:
            classes.append(name)
    return LabelledRow(_cell(cells, image), tuple(classes), where)


def _column(path: Path, header: Sequence[str], names: Sequence[str]) -> int:
    """Position of the column with one of these names; -1 for none.

    Raises:
        DataError: if there are two.
    """
    found = [at for at, cell in enumerate(header) if cell in names]
    if len(found) > 1:
        raise DataError(
            f"{path} has the columns {header[found[0]]!r} and {header[found[1]]!r}; "
            "expected one of them"
        )
    return found[0] if found else -1


def _is_header(cells: Sequence[str]) -> bool:
    return any(cell.casefold() in IMAGE_COLUMNS for cell in cells)


def _cell(cells: Sequence[str], at: int) -> str:
    return cells[at] if at < len(cells) else ""
