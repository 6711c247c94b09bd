"""The cells of one face in a table with points."""

import dataclasses
from collections.abc import Mapping

from hrnet_jax.data.files.text_tables import is_number, number
from hrnet_jax.data.points.items import SquareBox, box_from_corners
from hrnet_jax.data.points.point_tables import BOX_SIZE, BOXES, PointColumns, Table
from hrnet_jax.errors import DataError

# What stands in cells of what is not annotated.
_EMPTY = ("", "nan", "na", "n/a", "#n/a", "null", "none")
# Excel writes truth in capital letters.
_FLAGS = {"0": 0, "1": 1, "false": 0, "true": 1}


@dataclasses.dataclass(frozen=True)
class FaceRow:
    """The cells of one face.

    Attributes:
        table: where they are.
        cells: of the whole line.
        columns: point -> its columns.
        mark: decimal mark of the numbers.
        where: file and line, for messages.
    """

    table: Table
    cells: list[str]
    columns: Mapping[str, PointColumns]
    mark: str
    where: str

    def point(self, name: str) -> tuple[float, float, int] | None:
        """x, y and whether it is in sight; None where it is not annotated."""
        columns = self.columns[name]
        flag = self.cells[columns.visible].lower() if columns.visible >= 0 else "1"
        texts = [self.cells[columns.x], self.cells[columns.y]]
        # A flag of 0 may be that of a point that is not annotated.
        no_flag = columns.visible < 0 or flag in _EMPTY or _flag(flag) == 0
        if no_flag and all(text.lower() in _EMPTY for text in texts):
            return None
        x, y = (
            self._coordinate(text, name, axis)
            for text, axis in zip(texts, "xy", strict=True)
        )
        visible = _flag(flag)
        if visible is None:
            raise DataError(
                f"{self.where}, column '{name}_visible': "
                f"{self.cells[columns.visible]!r}, expected 0 or 1"
            )
        return x, y, visible

    def box(self) -> SquareBox | None:
        """The box of the face; None where its cells are empty, or absent."""
        if all(self.cells[at].lower() in _EMPTY for at in self.table.box.values()):
            return None
        values = [
            number(self.cells[at], self.where, column, self.mark)
            for column, at in self.table.box.items()
        ]
        if len(values) == len(BOXES[1]):
            x1, y1, x2, y2 = values
            return box_from_corners((x1, y1, x2, y2), self.where)
        return SquareBox((values[0], values[1]), values[2])

    def box_size(self) -> float | None:
        """What the normaliser `box` divides by; None where the cell is empty."""
        at = self.table.box_size
        if at < 0 or self.cells[at].lower() in _EMPTY:
            return None
        return number(self.cells[at], self.where, BOX_SIZE, self.mark)

    def _coordinate(self, text: str, point: str, axis: str) -> float:
        if not text:
            raise DataError(
                f"{self.where}, column '{point}_{axis}' is empty; give a number, or "
                f"leave {point}_x, {point}_y and {point}_visible empty if it is not "
                "annotated"
            )
        return number(text, self.where, f"{point}_{axis}", self.mark)


def _flag(text: str) -> int | None:
    """0 or 1 of a cell, `1.0` included; None for anything else."""
    if is_number(text) and float(text) in (0.0, 1.0):
        return int(float(text))
    return _FLAGS.get(text)
