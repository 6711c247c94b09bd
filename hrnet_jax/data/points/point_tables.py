"""CSV tables with points: which column holds what."""

import dataclasses
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from hrnet_jax.data.files.findings import Findings
from hrnet_jax.data.files.text_tables import Row, csv_rows, is_number
from hrnet_jax.errors import DataError

NAME = "image_name"
BOXES = (("center_x", "center_y", "scale"), ("x1", "y1", "x2", "y2"))
BOX_SIZE = "box_size"

# What else a column of image names is called.
_NAMES = (NAME, "image", "image_path", "file", "file_name", "filename", "path")
_ALIASES = {"center_w": "center_x", "center_h": "center_y"}  # HRNet's names
_PART = re.compile(r"(.*?)[\s_.\-]+(x|y|visible)", re.DOTALL | re.IGNORECASE)
_FORMS = (
    f"{NAME}, then none or one of ({'; '.join(', '.join(box) for box in BOXES)}), "
    f"then, if you like, {BOX_SIZE}, then for each point NAME_x, NAME_y and, if you "
    "like, NAME_visible"
)
_ENCODINGS = ", or name its encoding, such as encoding=cp1252 for Excel's plain CSV"

# First cells of the lines of a header of DeepLabCut.
_SCORER, _INDIVIDUALS, _PARTS, _AXES = "scorer", "individuals", "bodyparts", "coords"
_UNIQUE = "single"  # The individual whose parts are those of no animal.


@dataclasses.dataclass(frozen=True)
class PointColumns:
    """Positions of the cells of one point; that of `visible` is -1 for none."""

    x: int
    y: int
    visible: int = -1


@dataclasses.dataclass(frozen=True)
class Table:
    """One CSV file with points.

    Attributes:
        path: the file.
        rows: its lines below the header.
        width: cells in each of them.
        name: position of the image's name, or of its folders and file.
        box: name -> position of the columns of the box, in order; none without.
        box_size: position of that column, -1 for none.
        faces: for each of the faces that a line has, point -> columns.
    """

    path: Path
    rows: tuple[Row, ...]
    width: int
    name: tuple[int, ...]
    faces: tuple[Mapping[str, PointColumns], ...]
    box: Mapping[str, int] = dataclasses.field(default_factory=dict)
    box_size: int = -1

    @property
    def points(self) -> tuple[str, ...]:
        """Names of the points, in the order of their columns of x."""
        return tuple(self.faces[0])

    def number_columns(self) -> list[int]:
        """Positions of the columns whose cells are numbers with a decimal mark."""
        columns = [*self.box.values(), self.box_size]
        for face in self.faces:
            columns += [
                at for columns in face.values() for at in (columns.x, columns.y)
            ]
        return [column for column in columns if column >= 0]


def read_table(
    path: Path, encoding: str, ignore: Collection[str], findings: Findings
) -> Table:
    """A table with one header line, or with those of DeepLabCut.

    Names of columns are compared without regard to case and to spaces around them, and
    `nose x`, `nose.x` stand for `nose_x`. Columns without name must be empty, or the
    numbers of the lines that pandas writes.

    Args:
        path: the file.
        encoding: its encoding; empty for UTF-8, or what its byte-order mark says.
        ignore: names of columns to leave out.
        findings: takes what is left out.

    Raises:
        DataError: for a file without header, or columns that are unknown,
            double or incomplete.
    """
    rows = csv_rows(path, _is_header, encoding, advice=_ENCODINGS)
    header = rows[0][1] if rows else []
    if header and header[0].casefold() == _SCORER:
        return _read_deeplabcut(path, rows, findings)
    if not header or any(is_number(cell) for cell in header):
        raise DataError(f"{path} has no header; its first line must be {_FORMS}")
    ignored = {name.casefold() for name in ignore}
    columns: dict[str, int] = {}
    for position, cell in enumerate(header):
        if not cell:
            _check_nameless(path, rows[1:], position, findings)
            continue
        if cell.casefold() in ignored:
            findings.count(path, f"columns {cell!r}, left out as said")
            continue
        name = _standard_name(cell)
        if name.casefold() in map(str.casefold, columns):
            raise DataError(f"{path}: column {name!r} is there twice")
        columns[name] = position
    return _read_plain(path, rows[1:], len(header), columns)


def _is_header(cells: Sequence[str]) -> bool:
    return cells[0].casefold() == _SCORER or any(
        cell.casefold() in _NAMES for cell in cells
    )


def _standard_name(cell: str) -> str:
    """The name of a column as it stands in `_FORMS`; names of points keep their case."""
    name = cell.casefold()
    name = _ALIASES.get(name, name)
    if name in (*_NAMES, BOX_SIZE, *BOXES[0], *BOXES[1]):
        return name
    part = _PART.fullmatch(cell)
    return f"{part[1]}_{part[2].lower()}" if part and part[1] else cell


def _check_nameless(
    path: Path, rows: Sequence[Row], position: int, findings: Findings
) -> None:
    """Checks that a column without name holds nothing that is needed."""
    cells = [cells[position] for _, cells in rows if position < len(cells)]
    if not any(cells):
        return
    if position == 0 and cells == [str(number) for number in range(len(cells))]:
        findings.count(path, "columns of line numbers, left out")
        return
    raise DataError(
        f"{path}: column {position + 1} has values, but no name in the header; expected "
        f"{_FORMS}"
    )


def _read_plain(
    path: Path, rows: Sequence[Row], width: int, columns: Mapping[str, int]
) -> Table:
    """The table of a header line of `_FORMS`, in any order."""
    images = [name for name in _NAMES if name in columns]
    if not images:
        raise DataError(f"{path} has no column {NAME!r}; expected {_FORMS}")
    known = {images[0], BOX_SIZE, *BOXES[0], *BOXES[1]}
    # A point is called as in its column of x; the others may differ in case.
    by_name = {name.casefold(): position for name, position in columns.items()}
    points = {}
    wanted = set(known)
    for column in columns:
        if column.endswith("_x") and column not in known:
            point = column.removesuffix("_x")
            parts = {
                part: f"{point}_{part}".casefold() for part in ("x", "y", "visible")
            }
            wanted |= set(parts.values())
            if parts["y"] not in by_name:
                raise DataError(f"{path}: column {column!r} has no '{point}_y'")
            found = {
                part: by_name[name] for part, name in parts.items() if name in by_name
            }
            points[point] = PointColumns(**found)
    for name in columns:
        if name.casefold() not in wanted:
            raise DataError(
                f"{path}: unknown column {name!r} (ignore={name} leaves it out); "
                f"expected {_FORMS}"
            )
    if not points:
        raise DataError(f"{path} has no points; expected {_FORMS}")
    return Table(
        path,
        tuple(rows),
        width,
        (columns[images[0]],),
        (points,),
        {name: columns[name] for name in _box_columns(path, columns)},
        columns.get(BOX_SIZE, -1),
    )


def _box_columns(path: Path, columns: Mapping[str, int]) -> tuple[str, ...]:
    begun = [box for box in BOXES if any(name in columns for name in box)]
    if len(begun) > 1:
        raise DataError(f"{path} has two kinds of boxes; expected {_FORMS}")
    for name in begun[0] if begun else ():
        if name not in columns:
            raise DataError(
                f"{path}: a box needs the columns {', '.join(begun[0])}; {name!r} is "
                "missing"
            )
    return begun[0] if begun else ()


def _read_deeplabcut(path: Path, rows: Sequence[Row], findings: Findings) -> Table:
    """The table of a header of three lines, or of four where there are individuals.

    ```
    scorer,,,me,me,...
    individuals,,,first,first,...
    bodyparts,,,nose,nose,...
    coords,,,x,y,...
    labeled-data,video,img01.png,12.5,80,...
    ```

    The name of the image may be in one cell or, as here, in three.
    """
    kinds = [_SCORER, _PARTS, _AXES]
    if len(rows) > 1 and rows[1][1][0].casefold() == _INDIVIDUALS:
        kinds.insert(1, _INDIVIDUALS)
    header = {}
    for number, kind in enumerate(kinds):
        if number >= len(rows) or rows[number][1][0].casefold() != kind:
            raise DataError(
                f"{path} begins like a table of DeepLabCut; expected the lines "
                f"{', '.join(kinds)}, line {number + 1} is not {kind!r}"
            )
        header[kind] = rows[number][1]
    width = max(map(len, header.values()))
    if any(len(cells) != width for cells in header.values()):
        raise DataError(f"{path}: the lines of its header are not equally long")
    axes = header[_AXES]
    first = next((at for at in range(1, width) if axes[at]), width)
    faces: dict[str, dict[str, dict[str, int]]] = {}
    for at in range(first, width):
        axis = axes[at].casefold()
        if axis not in ("x", "y"):
            raise DataError(
                f"{path}: column {at + 1} is {axes[at]!r}, expected x or y; labels are in "
                "CollectedData_*.csv, tables with 'likelihood' are predictions"
            )
        individual = header[_INDIVIDUALS][at] if _INDIVIDUALS in header else ""
        parts = faces.setdefault(individual, {}).setdefault(header[_PARTS][at], {})
        if axis in parts:
            raise DataError(
                f"{path}: {axis} of {header[_PARTS][at]!r} is there twice (column "
                f"{at + 1}); several scorers need a table each"
            )
        parts[axis] = at
    if len(faces) > 1 and faces.pop(_UNIQUE, {}):
        findings.count(path, f"individuals {_UNIQUE!r} (parts of none), left out")
    return Table(
        path,
        tuple(rows[len(kinds) :]),
        width,
        tuple(range(first)),
        tuple(_individual(path, *one, faces) for one in faces.items()),
    )


def _individual(
    path: Path,
    name: str,
    parts: Mapping[str, Mapping[str, int]],
    faces: Mapping[str, Mapping[str, Mapping[str, int]]],
) -> dict[str, PointColumns]:
    """The columns of one individual, whose parts must be those of the first."""
    order = next(iter(faces.values()))
    if parts.keys() != order.keys():
        odd = sorted(parts.keys() ^ order.keys())
        raise DataError(
            f"{path}: individual {name!r} has other parts than the first: "
            f"{', '.join(odd)}"
        )
    for part, found in parts.items():
        if not part or len(found) != 2:
            raise DataError(f"{path}: part {part!r} has no column of x or of y")
    return {part: PointColumns(parts[part]["x"], parts[part]["y"]) for part in order}
