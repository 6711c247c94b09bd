"""Reads the CSV files that HRNet publishes for 300W, WFLW and AFLW."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from hrnet_jax.data.files.file_names import check_image_name
from hrnet_jax.data.files.text_tables import csv_rows, is_number, number
from hrnet_jax.data.points.items import (
    BOX_UNIT,
    LandmarkItem,
    SquareBox,
    fully_annotated,
    name_faces,
)
from hrnet_jax.data.points.source import (
    SplitItems,
    positions_in,
)
from hrnet_jax.errors import DataError

NAME_AND_BOX = ("image_name", "scale", "center_w", "center_h")
AFLW_NAME_AND_BOX = ("image_name", "scale", "box_size", "center_w", "center_h")


@dataclasses.dataclass(frozen=True)
class CsvFiles:
    """Places and contents of the CSV files.

    Attributes:
        folder: their folder.
        images: folder that image names are relative to.
        num_points: K.
        columns: names of the columns in front of the points.
    """

    folder: Path
    images: Path
    num_points: int
    columns: tuple[str, ...] = NAME_AND_BOX

    def read(
        self,
        splits: Mapping[str, str],
        subsets: Mapping[str, tuple[str, str]],
    ) -> SplitItems:
        """Reads the files that are there.

        Args:
            splits: split -> file name.
            subsets: subset -> (split, file name).

        Raises:
            DataError: as `read_hrnet_csv`; or if a subset has a row that its
                split lacks, or its split has no file.
        """
        found = {
            split: self.read_file(name)
            for split, name in splits.items()
            if (self.folder / name).is_file()
        }
        parts = {}
        for subset, (split, name) in subsets.items():
            if not (self.folder / name).is_file():
                continue
            if split not in found:
                raise DataError(
                    f"{self.folder / name} is a subset of {splits[split]}, which is "
                    "missing"
                )
            listed = str(self.folder / splits[split])
            positions = positions_in(found[split], self.read_file(name), listed)
            parts[subset] = {split: positions}
        return SplitItems(found, parts)

    def read_file(self, name: str) -> list[LandmarkItem]:
        """The faces of one file."""
        return read_hrnet_csv(
            self.folder / name, self.images, self.num_points, self.columns
        )


def read_hrnet_csv(
    path: Path, images: Path, num_points: int, columns: tuple[str, ...] = NAME_AND_BOX
) -> list[LandmarkItem]:
    """Faces in the order of the file.

    Args:
        path: the CSV file, with its header.
        images: folder that the image names are relative to.
        num_points: K.
        columns: names of the columns in front of the points.

    Raises:
        DataError: naming file and line: no header, columns in another order,
            another number of points, a value that is no finite number, a face
            box of size 0, an image without name, no rows.
    """
    rows = csv_rows(path, lambda cells: cells[: len(columns)] == list(columns))
    header = rows[0][1] if rows else []
    _check_header(path, header, num_points, columns)
    if len(rows) == 1:
        raise DataError(f"{path} lists no images")
    names = name_faces(
        [check_image_name(row[0], f"{path}:{line}") for line, row in rows[1:]]
    )
    faces = []
    for (line, row), name in zip(rows[1:], names, strict=True):
        where = f"{path}:{line}"
        if len(row) != len(header):
            raise DataError(
                f"{where} has {_points(row, columns)} points, expected {num_points}"
            )
        faces.append(_face(where, header, row, images, name))
    return faces


def _check_header(
    path: Path, header: list[str], num_points: int, columns: tuple[str, ...]
) -> None:
    points = [f"original_{k}_{axis}" for k in range(num_points) for axis in "xy"]
    expected = [*columns, *points]
    listing = f"{', '.join(columns)}, {points[0]}, {points[1]}, ..., {points[-1]}"
    if not header or any(is_number(cell) for cell in header):
        raise DataError(f"{path} has no header; its first line must be {listing}")
    pairs = zip(header, expected, strict=False)
    for position, (found, wanted) in enumerate(pairs, start=1):
        if found != wanted:
            raise DataError(
                f"{path}: column {position} is {found!r}, expected {wanted!r}; the "
                f"columns must be {listing}"
            )
    if len(header) != len(expected):
        raise DataError(
            f"{path}:1 has columns for {_points(header, columns)} points, expected "
            f"{num_points}"
        )


def _face(
    where: str, header: list[str], row: list[str], images: Path, name: str
) -> LandmarkItem:
    values = [
        number(text, where, column)
        for text, column in zip(row[1:], header[1:], strict=True)
    ]
    first = header.index("original_0_x")
    box = dict(zip(header[1:first], values, strict=False))
    for column in ("scale", "box_size"):
        if column in box and box[column] <= 0:
            raise DataError(
                f"{where}: the face box has no size ({column} {box[column]:g})"
            )
    face = fully_annotated(
        image=images / row[0],
        image_id=name,
        points=np.array(values[first - 1 :]).reshape(-1, 2),
        box=SquareBox((box["center_w"], box["center_h"]), box["scale"]),
        where=where,
    )
    box_size = box.get("box_size", box["scale"] * BOX_UNIT)
    return dataclasses.replace(face, box_size=box_size)


def _points(cells: list[str], columns: tuple[str, ...]) -> str:
    return f"{(len(cells) - len(columns)) / 2:g}"
