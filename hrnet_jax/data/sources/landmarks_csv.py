"""Custom images with landmarks in CSV tables."""

import dataclasses
from pathlib import Path
from typing import ClassVar

import numpy as np

from hrnet_jax.data.files.image_names import ImageFinder
from hrnet_jax.data.files.splitting import SPLITS
from hrnet_jax.data.files.text_tables import decimal_mark
from hrnet_jax.data.points.custom import BOX, FLIP_FILE, LINE_FILE, own_point_set
from hrnet_jax.data.points.items import (
    BOX_UNIT,
    LandmarkItem,
    name_faces,
)
from hrnet_jax.data.points.marks import box_around_marked, check_zeros, without_zeros
from hrnet_jax.data.points.point_sets import POINT_SETS, PointSet
from hrnet_jax.data.points.point_tables import Table, read_table
from hrnet_jax.data.points.source import LandmarkSource, SplitItems, image_folder
from hrnet_jax.data.points.splits import check_apart, cut_by_image
from hrnet_jax.data.points.table_rows import FaceRow
from hrnet_jax.errors import DataError

ONE_TABLE = "landmarks.csv"


@dataclasses.dataclass(frozen=True)
class LandmarksCSVOptions:
    """Options of the preparation.

    Attributes:
        table: one table to be cut by ratios, instead of `landmarks.csv`.
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
        decimal: how numbers are written, `point` or `comma`; asked where `1,250` may
            be either.
        encoding: of the tables; empty for UTF-8, or what a byte-order mark says.
        ignore: names of columns to leave out.
        zeros: what points at 0, 0 are: `missing` or `points`; asked where there are
            some.
        min_points: faces with fewer annotated points are left out.
    """

    table: str = ""
    images: str = ""
    ratios: tuple[float, ...] = (0.8, 0.2)
    seed: int = 0
    flip_pairs: tuple[str, ...] = ()
    normalizer: str = ""
    point_origin: float = 0.0
    point_set: int = 0
    decimal: str = ""
    encoding: str = ""
    ignore: tuple[str, ...] = ()
    zeros: str = ""
    min_points: int = 1


class LandmarksCSV(LandmarkSource):
    """Own images with landmarks, in one CSV table a split.

    ```
    SOURCE/images/a.jpg  park/b.png ...
    SOURCE/train.csv  val.csv  test.csv     or landmarks.csv, cut by ratios
    SOURCE/flip_pairs.txt                   optional: two point names a line
    SOURCE/lines.txt                        optional: names of a polyline a line
    ```

    The header names the points: `image_name,nose_x,nose_y,...`. Tables of DeepLabCut,
    whose header has several lines, are read as well.
    """

    Options: ClassVar[type] = LandmarksCSVOptions
    source_decides: ClassVar[bool] = True

    def __init__(self, source: Path, options: LandmarksCSVOptions) -> None:
        super().__init__(source, options)
        check_zeros(options.zeros)
        self.point_origin = options.point_origin
        self._tables = self._read_tables()
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
            split: self._read_faces(table, images)
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

    def _read_tables(self) -> dict[str, Table]:
        if self.options.table:
            return {ONE_TABLE: self._read_table(self.source / self.options.table)}
        names = [f"{split}.csv" for split in SPLITS]
        found = {
            split: self._read_table(self.source / name)
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
                    f"{self.source} has none of {', '.join(names)}, {ONE_TABLE} (the "
                    "option table=FILE names another)"
                )
            found = {ONE_TABLE: self._read_table(path)}
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

    def _read_table(self, path: Path) -> Table:
        options = self.options
        return read_table(path, options.encoding, options.ignore, self.findings)

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

    def _read_faces(self, table: Table, images: Path) -> list[LandmarkItem]:
        """The faces of a table; counts the lines that have no points."""
        if not table.rows:
            raise DataError(f"{table.path} lists no images")
        finder = ImageFinder([images, self.source], table.path, self.findings)
        mark = self._decimal_mark(table)
        marked = []
        for line, cells in table.rows:
            where = f"{table.path}:{line}"
            if len(cells) != table.width:
                more = (
                    "; a cell with the separator in it, such as a decimal comma, needs "
                    "quotes around it"
                )
                raise DataError(
                    f"{where} has {len(cells)} values, expected {table.width} as in "
                    f"the header{more if len(cells) > table.width else ''}"
                )
            image = finder.find("/".join(cells[at] for at in table.name), where)
            for columns in table.faces:
                row = FaceRow(table, cells, columns, mark, where)
                xy, annotated, visible = self._marked_points(row)
                reason = self._too_few(annotated)
                if not reason:
                    marked.append((image, row, xy, annotated, visible))
                    continue
                kind = "lines" if len(table.faces) == 1 else "individuals"
                self.findings.count(table.path, f"{kind} {reason}, left out")
        if not marked:
            raise DataError(f"{table.path} has no annotated point")
        names = name_faces([name for (_, name), *_ in marked])
        return [
            self._face(row, xy, annotated, visible, file, name)
            for ((file, _), row, xy, annotated, visible), name in zip(
                marked, names, strict=True
            )
        ]

    def _decimal_mark(self, table: Table) -> str:
        columns = table.number_columns()
        numbers = (
            (line, cells[at])
            for line, cells in table.rows
            for at in columns
            if at < len(cells)
        )
        return decimal_mark(numbers, table.path, self.options.decimal, "decimal")

    def _too_few(self, annotated: np.ndarray) -> str:
        """Why a face is left out; empty for one that is not."""
        if not annotated.any():
            return "without annotated points"
        least = self.options.min_points
        few = f"with fewer than {least} annotated points"
        return few if annotated.sum() < least else ""

    def _marked_points(self, row: FaceRow) -> tuple[np.ndarray, ...]:
        """Coordinates float64 [K, 2], annotated and visible bool [K]."""
        order = self._columns
        xy = np.zeros((len(order), 2))
        annotated, visible = np.zeros((2, len(order)), bool)
        for index, point in enumerate(order):
            marked = row.point(point)
            if marked is not None:
                (*xy[index], visible[index]), annotated[index] = marked, True
        kept = without_zeros(xy, annotated, self.options.zeros, order, row.where)
        self.findings.count(
            row.table.path,
            "points at 0, 0, taken for not annotated",
            int(annotated.sum() - kept.sum()),
        )
        return np.where(kept[:, None], xy, 0.0), kept, visible & kept

    def _face(
        self,
        row: FaceRow,
        xy: np.ndarray,
        annotated: np.ndarray,
        visible: np.ndarray,
        file: Path,
        name: str,
    ) -> LandmarkItem:
        box = row.box()
        if box is None:
            if row.table.box:
                self.findings.count(
                    row.table.path, "boxes around the points, as theirs are empty"
                )
            box = box_around_marked(xy[annotated], row.where, "columns x1, y1, x2, y2")
        box_size = row.box_size()
        if box_size is None:
            box_size = box.scale * BOX_UNIT
        if box.scale <= 0 or box_size <= 0:
            raise DataError(
                f"{row.where}: the face box has no size (scale {box.scale:g}, box_size "
                f"{box_size:g})"
            )
        return LandmarkItem(
            image=file,
            image_id=name,
            points=xy,
            visible=visible.astype(np.uint8),
            annotated=annotated.astype(np.uint8),
            box=box,
            box_size=box_size,
            where=row.where,
        )
