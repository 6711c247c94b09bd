"""300W: 68 landmarks, from HRNet's CSV files or from `.pts` files."""

import dataclasses
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np

from hrnet_jax.data.files.image_files import IMAGE_SUFFIXES
from hrnet_jax.data.files.listing import listed
from hrnet_jax.data.files.text_tables import number, word_rows
from hrnet_jax.data.points import point_sets
from hrnet_jax.data.points.hrnet_csv import CsvFiles
from hrnet_jax.data.points.items import (
    LandmarkItem,
    box_around,
    fully_annotated,
)
from hrnet_jax.data.points.source import (
    LandmarkSource,
    SplitItems,
    check_layout,
    image_folder,
    positions_in,
)
from hrnet_jax.errors import DataError

_log = logging.getLogger(__name__)

NUM_POINTS = len(point_sets.W300.names)
LAYOUTS = ("auto", "csv", "pts")

_CSV_FILES = {
    "train": "face_landmarks_300w_train.csv",
    "common": "face_landmarks_300w_valid_common.csv",
    "challenge": "face_landmarks_300w_valid_challenge.csv",
    "test": "face_landmarks_300w_test.csv",
}
_FULL_CSV = "face_landmarks_300w_valid.csv"
# The official folders of each split (Sagonas et al., ICCV-W 2013); the first
# alternative that is there counts. iBUG's archive of the test set unpacks to `300W`.
_PTS_FOLDERS = {
    "train": (("afw", "helen/trainset", "lfpw/trainset"),),
    "common": (("helen/testset", "lfpw/testset"),),
    "challenge": (("ibug",),),
    "test": (
        ("Test",),
        ("300W/01_Indoor", "300W/02_Outdoor"),
        ("01_Indoor", "02_Outdoor"),
    ),
}


@dataclasses.dataclass(frozen=True)
class W300Options:
    """Options of the preparation.

    Attributes:
        layout: `csv` for HRNet's files, `pts` for the original `.pts` files
            beside the images, `auto` for CSV where there is one.
        images: folder of the images in the source folder; `images`, or the
            source folder itself, if empty.
    """

    layout: str = "auto"
    images: str = ""


class W300(LandmarkSource[LandmarkItem]):
    """300 Faces in the Wild: 68 landmarks.

    ```
    SOURCE/face_landmarks_300w_{train,valid_common,valid_challenge,test}.csv
    SOURCE/images/afw/  helen/  ibug/  lfpw/  Test/
    ```

    Without the CSV files the `.pts` beside each image are read. The test split
    may then be where iBUG's archive has it, in `300W/01_Indoor/` and
    `300W/02_Outdoor/`, or in these without `300W/`. Splits whose files are absent
    are left out; `full` is common and challenge together.
    """

    Options: ClassVar[type] = W300Options
    point_set = point_sets.W300
    point_origin = 1.0
    tight_boxes = True
    eval_splits: ClassVar[tuple[str, ...]] = ("full", "common", "challenge", "test")

    def read(self) -> SplitItems:
        """The splits that are there, by the layout.

        Raises:
            DataError: if there is none, or a file is not as expected.
        """
        layout = check_layout(self.options.layout, LAYOUTS)
        images = image_folder(self.source, self.options.images, ("images",))
        splits = {}
        if layout in ("auto", "csv"):
            splits = self._read_csv_files(images)
        if layout == "pts" or (layout == "auto" and not splits):
            splits = {
                split: _read_first(images, alternatives)
                for split, alternatives in _PTS_FOLDERS.items()
            }
            splits = {split: items for split, items in splits.items() if items}
        if not splits:
            raise DataError(f"{self.source} has no 300W: expected {_expected(layout)}")
        subsets = {}
        if {"common", "challenge"} <= splits.keys():
            subsets["full"] = {"common": None, "challenge": None}
        return SplitItems(splits, subsets)

    def _read_csv_files(self, images: Path) -> dict[str, Sequence[LandmarkItem]]:
        """The splits by their own files, or by that of the full test set."""
        files = CsvFiles(self.source, images, NUM_POINTS)
        splits = dict(files.read(_CSV_FILES, {}).splits)
        full = files.read({"full": _FULL_CSV}, {}).splits.get("full", ())
        for split in ("common", "challenge"):
            part = [face for face in full if _is_challenge(face) == (split != "common")]
            if split in splits:
                positions_in(splits[split], part, str(self.source / _CSV_FILES[split]))
            elif part:
                splits[split] = part
        return {split: splits[split] for split in _CSV_FILES if split in splits}


def _is_challenge(face: LandmarkItem) -> bool:
    return face.image_id.startswith("ibug/")


def _read_first(
    root: Path, alternatives: tuple[tuple[str, ...], ...]
) -> list[LandmarkItem]:
    """The faces of the first group of folders that holds some."""
    read = (read_pts_folders(root, folders) for folders in alternatives)
    return next(filter(None, read), [])


def read_pts_folders(root: Path, folders: tuple[str, ...]) -> list[LandmarkItem]:
    """The faces of all `.pts` files in some folders, sorted by path.

    Raises:
        DataError: naming a `.pts` file that is malformed or has no image.
    """
    faces = []
    unmarked = 0
    for folder in folders:
        paths = listed(root / folder, "**/*")
        images = {
            path.with_suffix(""): path
            for path in paths
            if path.suffix.lower() in IMAGE_SUFFIXES
        }
        marked = [path for path in paths if path.suffix.lower() == ".pts"]
        unmarked += len(images.keys() - {path.with_suffix("") for path in marked})
        for path in marked:
            stem = path.with_suffix("")
            if stem not in images:
                raise DataError(
                    f"{path} has no image {stem.name} beside it "
                    f"({', '.join(IMAGE_SUFFIXES)})"
                )
            points = read_pts(path, NUM_POINTS)
            face = fully_annotated(
                image=images[stem],
                image_id=stem.relative_to(root).as_posix(),
                points=points,
                box=box_around(points, str(path)),
                where=str(path),
            )
            faces.append(face)
    if unmarked:
        _log.info("%s: left out %d images without .pts", root, unmarked)
    return faces


def read_pts(path: Path, num_points: int) -> np.ndarray:
    """Points of an iBUG file: `version: 1`, `n_points: K`, `{`, K lines, `}`.

    Returns:
        float64 [K, 2], x y, where 1 is the centre of the first pixel.

    Raises:
        DataError: naming file and line, if it has another form, another number
            of points, or a value that is no finite number.
    """
    rows = word_rows(path)
    words = [row for _, row in rows]
    if ["{"] not in words or ["}"] not in words:
        raise DataError(
            f"{path} is no .pts file: expected 'version: 1', 'n_points: {num_points}' "
            "and the points between lines '{' and '}'"
        )
    rows = rows[words.index(["{"]) + 1 : words.index(["}"])]
    if len(rows) != num_points:
        raise DataError(f"{path} has {len(rows)} points, expected {num_points}")
    points = []
    for line, row in rows:
        if len(row) != 2:
            raise DataError(f"{path}:{line}: expected 'x y', got {' '.join(row)!r}")
        points.append([number(row[k], f"{path}:{line}", "xy"[k]) for k in range(2)])
    return np.array(points)


def _expected(layout: str) -> str:
    csv_files = f"{', '.join(_CSV_FILES.values())} or {_FULL_CSV}"
    folders = ", ".join(
        name for alternatives in _PTS_FOLDERS.values() for name in alternatives[0]
    )
    pts_files = f".pts files in {folders} (or 300W/01_Indoor, 300W/02_Outdoor)"
    forms = {"csv": csv_files, "pts": pts_files, "auto": f"{csv_files}, or {pts_files}"}
    return forms[layout]
