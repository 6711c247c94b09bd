"""Boxes of faces, persons and other objects, read from files.

A box is (x1, y1, x2, y2) in pixels of the image, pixel centres at integers.
"""

import os
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeGuard

import numpy as np

from hrnet_jax.data.files.file_names import check_image_name
from hrnet_jax.data.files.text_files import read_json
from hrnet_jax.data.files.text_tables import csv_rows, decimal_mark, number
from hrnet_jax.errors import DataError
from hrnet_jax.imaging.boxes import FARTHEST, from_edges
from hrnet_jax.inference.finder import USUAL_SCORE, check_classes, check_score

COLUMNS = ("image", "x1", "y1", "x2", "y2")

_SUMMARY = "summary.json"
_EXPECTED = (
    'expected {"photo.jpg": [[x1, y1, x2, y2], ...]}, a list of {"image": ..., '
    f'"boxes": [...]}}, or a {_SUMMARY} of scripts/predict.py'
)


class Boxes(dict):
    """Boxes float32 [N, 4] by image.

    Attributes:
        scores: of the boxes, float32 [N] by image, where a detector found them.
    """

    def __init__(
        self,
        boxes: Mapping[Any, np.ndarray],
        scores: Mapping[Any, np.ndarray] | None = None,
    ):
        super().__init__(boxes)
        self.scores = dict(scores or {})


def read_boxes(
    path: str | os.PathLike, *, classes: Sequence[str] = (), score: float | None = None
) -> Boxes:
    """Boxes by image from a JSON or CSV file.

    JSON: `{"photo.jpg": [[x1, y1, x2, y2], ...]}`; or a list of `{"image":
    "photo.jpg", "boxes": [...]}` or of `{"image": "photo.jpg", "box": [x1, y1, x2,
    y2]}`; or the `summary.json` that `scripts/predict.py` writes. CSV: a header
    `image,x1,y1,x2,y2` and a line for each box. Images are named as `boxes_for`
    explains. Of the `summary.json` of a detector those objects count that its
    `LoadedRun.finder` would find, moved by half a pixel from the edges of pixels to
    their centres.

    Args:
        path: of the file.
        classes: names of the objects wanted in the summary of a detector; all without
            any.
        score: objects of a higher score count there; None for 0.5.

    Returns:
        For each image named float32 [N, 4]; N is 0 where the file says that there is
        none. Of objects the scores as well.

    Raises:
        DataError: naming file and entry, if a box is not four finite numbers with
            x1 < x2 and y1 < y2, or the file has another format, or has no classes or
            scores to choose by.
        ConfigError: for a class that the detector does not know.
    """
    path = pathlib.Path(path)
    rows: dict[str, list] = {}
    scores: dict[str, list] = {}
    for image, boxes, where in _entries(path, classes, score, scores):
        check_image_name(image, where)
        if not isinstance(boxes, list):
            raise DataError(f"{where} ({image}): boxes are {boxes!r}, {_EXPECTED}")
        checked = [
            _checked_box(box, f"{where} ({image}), box {index}")
            for index, box in enumerate(boxes)
        ]
        rows.setdefault(image, []).extend(checked)
    if not rows:
        raise DataError(f"{path} holds no boxes")
    return Boxes(
        {
            image: np.array(boxes, np.float32).reshape(-1, 4)
            for image, boxes in rows.items()
        },
        {image: np.array(values, np.float32) for image, values in scores.items()},
    )


def boxes_for(path: str | os.PathLike, boxes: Mapping[str, np.ndarray]) -> np.ndarray:
    """The boxes of an image file.

    An entry names an image by its path, by the last parts of its path (`a/photo.jpg`,
    `photo.jpg`), or by those without the suffix (`photo`). The most exact one counts.

    Args:
        path: of the image.
        boxes: from `read_boxes`.

    Raises:
        DataError: if no entry names the image.
    """
    return boxes[_entry_of(pathlib.Path(path), _index(boxes))]


def match_boxes(
    paths: Iterable[str | os.PathLike], boxes: Mapping[str, np.ndarray]
) -> Boxes:
    """The boxes of many image files, see `boxes_for`.

    Raises:
        DataError: for an image without an entry, or an entry that names several
            images. Entries of other images are left alone.
    """
    found = Boxes({})
    known = boxes.scores if isinstance(boxes, Boxes) else {}
    taken: dict[str, pathlib.Path] = {}
    index = _index(boxes)
    for path in map(pathlib.Path, paths):
        entry = _entry_of(path, index)
        if entry in taken:
            raise DataError(
                f"boxes of {entry!r} fit {taken[entry]} and {path}; name them by "
                "their folders too"
            )
        taken[entry] = path
        found[path] = boxes[entry]
        if entry in known:
            found.scores[path] = known[entry]
    return found


def _index(names: Iterable[str]) -> dict[tuple[str, ...], str]:
    """Entries by the parts of the paths that they may mean."""
    index = {}
    for name in names:
        path = pathlib.Path(name)
        index[path.resolve().parts] = name
        index[tuple(part for part in path.parts if part != "..")] = name
    return index


def _entry_of(path: pathlib.Path, index: Mapping[tuple[str, ...], str]) -> str:
    """The entry that names an image file most exactly."""
    parts = path.absolute().parts
    candidates = [path.resolve().parts]
    for start in range(len(parts)):
        candidates.append(parts[start:])
        candidates.append((*parts[start:-1], path.stem))
    for candidate in candidates:
        if candidate in index:
            return index[candidate]
    raise DataError(f"no boxes for {path}; there are some for {_shown(index.values())}")


def _shown(names: Iterable[str]) -> str:
    """The first names, and how many more there are."""
    names = list(dict.fromkeys(names))
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


def _entries(
    path: pathlib.Path,
    classes: Sequence[str],
    score: float | None,
    scores: dict[str, list],
) -> Iterable[tuple[Any, Any, str]]:
    """(image, boxes, where) of each entry, whatever the format; see `read_boxes`.

    The scores of objects, by image, are added to `scores`.
    """
    suffix = path.suffix.lower()
    if suffix not in (".json", ".csv"):
        raise DataError(f"{path}: boxes are read from files ending in .json or .csv")
    content = None if suffix == ".csv" else read_json(path)
    if _lists_objects(content):
        return _object_entries(content, path, classes, score, scores)
    if classes or score is not None:
        raise DataError(
            f"{path}: its boxes have no classes and scores to choose by; expected the "
            f"{_SUMMARY} of a detector"
        )
    return _csv_entries(path) if suffix == ".csv" else _json_entries(content, path)


def _csv_entries(path: pathlib.Path) -> Iterable[tuple[str, list, str]]:
    """(image, boxes, where) of each line."""
    header, *rows = csv_rows(path, _is_header) or [(1, [])]
    if not _is_header(header[1]):
        raise DataError(
            f"{path}, line 1: {','.join(header[1])!r}, expected the header "
            f"{','.join(COLUMNS)}"
        )
    names = [name.lower() for name in header[1]]
    numbers = [
        (line, cell)
        for line, cells in rows
        for name, cell in zip(names, cells, strict=False)
        if name != COLUMNS[0]
    ]
    mark = decimal_mark(numbers, path)
    for line, cells in rows:
        where = f"{path}, line {line}"
        if len(cells) != len(COLUMNS):
            raise DataError(f"{where}: {len(cells)} cells, expected {len(COLUMNS)}")
        row = dict(zip(names, cells, strict=True))
        box = [number(row[name], where, name, mark) for name in COLUMNS[1:]]
        yield row["image"], [box], where


def _is_header(cells: Sequence[str]) -> bool:
    return sorted(cell.lower() for cell in cells) == sorted(COLUMNS)


def _json_entries(content: Any, path: pathlib.Path) -> Iterable[tuple[Any, Any, str]]:
    """(image, boxes, where) of each entry."""
    if isinstance(content, dict) and not _is_summary(content):
        for image, boxes in content.items():
            yield image, _as_list(boxes), f"{path}, entry {image!r}"
        return
    entries = content["images"] if isinstance(content, dict) else content
    if not isinstance(entries, list):
        raise DataError(f"{path}: {_EXPECTED}")
    for index, entry in enumerate(entries):
        where = f"{path}, entry {index}"
        if not isinstance(entry, dict) or "image" not in entry:
            raise DataError(f"{where}: no image is named, {_EXPECTED}")
        yield entry["image"], _boxes_of(entry, where), where


def _is_summary(content: dict) -> bool:
    """Whether this is a summary.json; its images are dicts, boxes are lists."""
    images = content.get("images")
    return isinstance(images, list) and all(isinstance(row, dict) for row in images)


def _lists_objects(content: Any) -> TypeGuard[dict]:
    """Whether this is the summary.json of a detector, which names its classes."""
    if not isinstance(content, dict) or not _is_summary(content):
        return False
    names = content.get("classes")
    return isinstance(names, list) and all(isinstance(name, str) for name in names)


def _object_entries(
    content: dict,
    path: pathlib.Path,
    classes: Sequence[str],
    score: float | None,
    scores: dict[str, list],
) -> Iterable[tuple[Any, Any, str]]:
    """(image, boxes, where) of each entry in the summary of a detector."""
    check_classes(classes, content["classes"], f"the detector of {path}")
    least = USUAL_SCORE if score is None else score
    check_score(least)
    for index, entry in enumerate(content["images"]):
        where = f"{path}, entry {index}"
        found = entry.get("found")
        if "image" not in entry or not isinstance(found, list):
            raise DataError(f"{where}: no objects of an image, {_EXPECTED}")
        boxes = []
        for position, row in enumerate(found):
            here = f"{where} ({entry['image']}), object {position}"
            name, value, (x1, y1, x2, y2) = _checked_object(row, here)
            # The finder leaves out what has no size, too.
            is_wanted = value > least and x1 < x2 and y1 < y2
            if is_wanted and (not classes or name in classes):
                boxes.append([x1, y1, x2, y2])
                scores.setdefault(str(entry["image"]), []).append(value)
        yield entry["image"], from_edges(np.array(boxes)).tolist(), where


def _checked_object(row: Any, where: str) -> tuple[str, float, list[float]]:
    """Name, score and box (edges) of an object.

    Raises:
        DataError: if one of them is missing or of another type.
    """
    wrong = DataError(f"{where}: {row!r}, expected name, score and box of an object")
    if not isinstance(row, dict):
        raise wrong
    name, score, box = row.get("name"), row.get("score"), row.get("box")
    if not isinstance(name, str) or not isinstance(score, int | float):
        raise wrong
    if not _are_four_numbers(box):
        raise wrong
    return name, score, box


def _boxes_of(entry: dict, where: str) -> list:
    """The boxes of one entry of a list."""
    if "boxes" in entry:
        return _as_list(entry["boxes"])
    if "box" in entry:
        return [entry["box"]]
    found = entry.get("found")
    if isinstance(found, list):
        boxes = [row["box"] for row in found if isinstance(row, dict) and "box" in row]
        if len(boxes) == len(found):
            return boxes
    raise DataError(f"{where} ({entry['image']}): no boxes, {_EXPECTED}")


def _as_list(boxes: Any) -> Any:
    """Boxes; a single one needs no list around it."""
    single = isinstance(boxes, list) and len(boxes) == 4
    if single and not any(isinstance(value, list) for value in boxes):
        return [boxes]
    return boxes


def _checked_box(box: Any, where: str) -> list[float]:
    if not _are_four_numbers(box):
        raise DataError(f"{where}: {box!r}, expected four finite numbers x1 y1 x2 y2")
    if box[2] <= box[0] or box[3] <= box[1]:
        raise DataError(
            f"{where}: {box!r} has no size, expected x1 < x2 and y1 < y2 (corners, "
            "not width and height)"
        )
    return box


def _are_four_numbers(box: Any) -> TypeGuard[list[float]]:
    # Not a number is not below the limit either.
    return (
        isinstance(box, list)
        and len(box) == 4
        and all(
            isinstance(value, int | float) and abs(value) <= FARTHEST for value in box
        )
    )
