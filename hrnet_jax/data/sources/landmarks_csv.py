"""Custom images with landmarks in CSV tables."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np

from hrnet_jax.data.files.splitting import SPLITS
from hrnet_jax.data.files.text_tables import csv_rows, is_number, number
from hrnet_jax.data.points.custom import BOX, FLIP_FILE, LINE_FILE, own_point_set
from hrnet_jax.data.points.items import (
    BOX_UNIT,
    LandmarkItem,
    SquareBox,
    box_around,
    box_from_corners,
    check_image_name,
    name_faces,
)
from hrnet_jax.data.points.point_sets import POINT_SETS, PointSet
from hrnet_jax.data.points.source import (
    LandmarkSource,
    SplitItems,
    image_folder,
)
from hrnet_jax.data.points.splits import (
    check_apart,
    cut_by_image,
)
from hrnet_jax.errors import DataError

ONE_TABLE = "landmarks.csv"

_NAME = "image_name"
_BOXES = (("center_x", "center_y", "scale"), ("x1", "y1", "x2", "y2"))
_ALIASES = {"center_w": "center_x", "center_h": "center_y"}  # HRNet's names
_BOX_SIZE = "box_size"
_FORMS = (
    f"{_NAME}, then none or one of ({'; '.join(', '.join(box) for box in _BOXES)}), "
    f"then, if you like, {_BOX_SIZE}, then for each point NAME_x, NAME_y and, if you "
    "like, NAME_visible"
)


@dataclasses.dataclass(frozen=True)
class LandmarksCSVOptions:
    """Options of the preparation.

    Attributes:
        images: folder of the images in the source folder; `images`, or the
            source folder itself, if empty.
        ratios: shares of train, val and test, where there is no `train.csv`.
        seed: seed of that random split.
        flip_pairs: points that swap when mirrored, `left_eye:right_eye`; if
            empty those of `flip_pairs.txt`, else by the names; `none` for none.
        normalizer: points whose distance divides the errors,
            `left_eye:right_eye`; the face box if empty. With `point_set` one of
            its own, or `box`.
        point_origin: coordinate of the first pixel's centre, of points and boxes; 1
            for MATLAB.
        point_set: 68, 98, 29 or 19 for points in the order of 300W, WFLW, COFW
            or AFLW, with their names, pairs, lines and normalisers.
    """

    images: str = ""
    ratios: tuple[float, ...] = (0.8, 0.2)
    seed: int = 0
    flip_pairs: tuple[str, ...] = ()
    normalizer: str = ""
    point_origin: float = 0.0
    point_set: int = 0


@dataclasses.dataclass(frozen=True)
class Table:
    """Columns of one CSV file.

    Attributes:
        path: the file.
        columns: name -> position.
        box: the columns of the box, or none.
        points: names of the points, in the order of their `_x` columns.
    """

    path: Path
    columns: Mapping[str, int]
    box: tuple[str, ...]
    points: tuple[str, ...]


class LandmarksCSV(LandmarkSource):
    """Own images with landmarks, in one CSV table a split.

    ```
    SOURCE/images/a.jpg  park/b.png ...
    SOURCE/train.csv  val.csv  test.csv     or landmarks.csv, cut by ratios
    SOURCE/flip_pairs.txt                   optional: two point names a line
    SOURCE/lines.txt                        optional: names of a polyline a line
    ```

    The header names the points: `image_name,nose_x,nose_y,...`.
    """

    Options: ClassVar[type] = LandmarksCSVOptions
    source_decides: ClassVar[bool] = True

    def __init__(self, source: Path, options: LandmarksCSVOptions) -> None:
        super().__init__(source, options)
        self.point_origin = options.point_origin
        self._tables = self._read_headers()
        self._columns = next(iter(self._tables.values())).points
        self.point_set = self._chosen_points()
        self.tight_boxes = not any(table.box for table in self._tables.values())

    def read(self) -> SplitItems:
        """The faces of every table.

        Raises:
            DataError: naming file and line of what is wrong; or if an image is
                in two tables.
        """
        images = image_folder(self.source, self.options.images, ("images",))
        faces = {
            split: _read_faces(table, self._columns, images)
            for split, table in self._tables.items()
        }
        if ONE_TABLE in faces:
            options = self.options
            return SplitItems(
                cut_by_image(
                    faces[ONE_TABLE], self.source, options.ratios, options.seed
                )
            )
        check_apart(faces)
        return SplitItems(faces)

    def _read_headers(self) -> dict[str, Table]:
        names = [f"{split}.csv" for split in SPLITS]
        found = {
            split: read_header(self.source / name)
            for split, name in zip(SPLITS, names, strict=True)
            if (self.source / name).is_file()
        }
        path = self.source / ONE_TABLE
        if found and path.is_file():
            raise DataError(
                f"{self.source} has {path.name} beside "
                f"{', '.join(table.path.name for table in found.values())}; keep "
                "either the one to be cut or those of the splits"
            )
        if not found:
            if not path.is_file():
                raise DataError(
                    f"{self.source} has none of {', '.join(names)}, {ONE_TABLE}"
                )
            found = {ONE_TABLE: read_header(path)}
        tables = list(found.values())
        for table in tables[1:]:
            if set(table.points) != set(tables[0].points):
                odd = sorted(set(table.points) ^ set(tables[0].points))
                raise DataError(
                    f"{table.path} has {len(table.points)} points, {tables[0].path} "
                    f"has {len(tables[0].points)}; only in one of them: "
                    f"{', '.join(odd)}"
                )
        return found

    def _chosen_points(self) -> PointSet:
        options = self.options
        if not options.point_set:
            known = len(self._columns) in POINT_SETS
            return own_point_set(
                self._columns,
                self.source,
                options.flip_pairs,
                options.normalizer,
                otherwise=f", or point_set={len(self._columns)}" if known else "",
            )
        if options.point_set not in POINT_SETS:
            sizes = ", ".join(map(str, sorted(POINT_SETS)))
            raise DataError(f"point_set {options.point_set} is none of {sizes}")
        self._check_only_the_point_set()
        if len(self._columns) != options.point_set:
            first = next(iter(self._tables.values())).path
            raise DataError(
                f"{first} has {len(self._columns)} points, expected "
                f"{options.point_set} (option point_set)"
            )
        chosen = POINT_SETS[options.point_set]
        normalizer = options.normalizer or chosen.default_normalizer
        if normalizer not in (BOX, *chosen.normalizers):
            raise DataError(
                f"normalizer {normalizer!r} is none of those of point_set "
                f"{options.point_set}: {', '.join((BOX, *chosen.normalizers))}"
            )
        return dataclasses.replace(chosen, default_normalizer=normalizer)

    def _check_only_the_point_set(self) -> None:
        """A known set has its pairs and lines; others would be left unused."""
        files = [
            name for name in (FLIP_FILE, LINE_FILE) if (self.source / name).is_file()
        ]
        if self.options.flip_pairs or files:
            given = "the option flip_pairs"
            if not self.options.flip_pairs:
                given = str(self.source / files[0])
            raise DataError(
                f"point_set {self.options.point_set} has its own flip pairs and lines; "
                f"leave out {given}"
            )


def read_header(path: Path) -> Table:
    """The columns of a table, in any order.

    Raises:
        DataError: for a file without header, or columns that are unknown,
            double or incomplete.
    """
    rows = csv_rows(path)
    header = rows[0][1] if rows else []
    if not header or any(is_number(cell) for cell in header):
        raise DataError(f"{path} has no header; its first line must be {_FORMS}")
    names = [_ALIASES.get(name, name) for name in header]
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise DataError(f"{path}: column {doubled[0]!r} is there twice")
    if _NAME not in names:
        raise DataError(f"{path} has no column {_NAME!r}; expected {_FORMS}")
    known = {_NAME, _BOX_SIZE, *_BOXES[0], *_BOXES[1]}
    points = [
        name.removesuffix("_x")
        for name in names
        if name.endswith("_x") and name not in known
    ]
    wanted = {f"{point}_{part}" for point in points for part in ("x", "y", "visible")}
    for name in names:
        if name not in known | wanted:
            raise DataError(f"{path}: unknown column {name!r}; expected {_FORMS}")
    for point in points:
        if f"{point}_y" not in names:
            raise DataError(f"{path}: column '{point}_x' has no '{point}_y'")
    if not points:
        raise DataError(f"{path} has no points; expected {_FORMS}")
    columns = {name: position for position, name in enumerate(names)}
    return Table(path, columns, _box_columns(path, columns), tuple(points))


def _box_columns(path: Path, columns: Mapping[str, int]) -> tuple[str, ...]:
    begun = [box for box in _BOXES if any(name in columns for name in box)]
    if len(begun) > 1:
        raise DataError(f"{path} has two kinds of boxes; expected {_FORMS}")
    for name in begun[0] if begun else ():
        if name not in columns:
            raise DataError(
                f"{path}: a box needs the columns {', '.join(begun[0])}; {name!r} is "
                "missing"
            )
    return begun[0] if begun else ()


def _read_faces(
    table: Table, points: tuple[str, ...], images: Path
) -> list[LandmarkItem]:
    rows = csv_rows(table.path)[1:]
    if not rows:
        raise DataError(f"{table.path} lists no images")
    where = [f"{table.path}:{line}" for line, _ in rows]
    for place, (_, cells) in zip(where, rows, strict=True):
        if len(cells) != len(table.columns):
            raise DataError(
                f"{place} has {len(cells)} values, expected {len(table.columns)} as in "
                "the header"
            )
        check_image_name(cells[table.columns[_NAME]], place)
    names = name_faces([cells[table.columns[_NAME]] for _, cells in rows])
    return [
        _read_face(
            table,
            points,
            dict(zip(table.columns, cells, strict=True)),
            place,
            name,
            images,
        )
        for (_, cells), place, name in zip(rows, where, names, strict=True)
    ]


def _read_face(
    table: Table,
    points: tuple[str, ...],
    cells: Mapping[str, str],
    where: str,
    name: str,
    images: Path,
) -> LandmarkItem:
    xy = np.zeros((len(points), 2))
    visible = np.zeros(len(points), np.uint8)
    annotated = np.zeros(len(points), np.uint8)
    for k, point in enumerate(points):
        flag = cells.get(f"{point}_visible", "1")
        texts = [cells[f"{point}_{axis}"] for axis in "xy"]
        if not flag and not any(texts):
            continue
        xy[k] = [
            _coordinate(text, where, point, axis)
            for text, axis in zip(texts, "xy", strict=True)
        ]
        visible[k] = _visible(flag, where, f"{point}_visible")
        annotated[k] = 1
    if not annotated.any():
        raise DataError(f"{where} has no annotated point")
    values = [number(cells[column], where, column) for column in table.box]
    box = _box(values, xy[annotated == 1], where)
    box_size = box.scale * BOX_UNIT
    if _BOX_SIZE in cells:
        box_size = number(cells[_BOX_SIZE], where, _BOX_SIZE)
    if box.scale <= 0 or box_size <= 0:
        raise DataError(
            f"{where}: the face box has no size (scale {box.scale:g}, box_size "
            f"{box_size:g})"
        )
    return LandmarkItem(
        image=images / cells[_NAME],
        image_id=name,
        points=xy,
        visible=visible,
        annotated=annotated,
        box=box,
        box_size=box_size,
        where=where,
    )


def _box(values: list[float], points: np.ndarray, where: str) -> SquareBox:
    if len(values) == len(_BOXES[1]):
        return box_from_corners((values[0], values[1], values[2], values[3]), where)
    if values:
        return SquareBox((values[0], values[1]), values[2])
    return box_around(points, where)


def _coordinate(text: str, where: str, point: str, axis: str) -> float:
    if not text:
        raise DataError(
            f"{where}, column '{point}_{axis}' is empty; give a number, or leave "
            f"{point}_x, {point}_y and {point}_visible empty if it is not annotated"
        )
    return number(text, where, f"{point}_{axis}")


def _visible(text: str, where: str, column: str) -> int:
    if not is_number(text) or float(text) not in (0.0, 1.0):
        raise DataError(f"{where}, column {column!r}: {text!r}, expected 0 or 1")
    return int(float(text))
