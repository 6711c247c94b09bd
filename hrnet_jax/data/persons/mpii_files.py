"""MPII's files: HRNet's JSON lists, the official MATLAB structure, head boxes."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from hrnet_jax.data.files.coco_json import is_pixels, shown
from hrnet_jax.data.files.file_names import check_image_name
from hrnet_jax.data.files.matlab5 import read_arrays
from hrnet_jax.data.files.matlab5_values import read_values
from hrnet_jax.data.files.text_files import read_json
from hrnet_jax.data.points.person_sets import MPII16
from hrnet_jax.errors import DataError
from hrnet_jax.imaging.boxes import FARTHEST

NUM_POINTS = len(MPII16.names)
# deep-high-resolution-net.pytorch, `lib/dataset/mpii.py`: of the diagonal of the head box.
HEAD_SHARE = 0.6
# JSON and MATLAB files write the same coordinate with different digits.
_SAME_POINT = 0.01  # pixels
_NAME = "mpii_human_pose_v1_u12_1.mat"


@dataclasses.dataclass(frozen=True, eq=False)
class Row:
    """A person of a file.

    Attributes:
        image: name of the file.
        points: float64 [16, 2], counted from 1.
        annotated: bool [16].
        visible: bool [16].
        center: (x, y), counted from 1.
        scale: height of the person / 200 pixels.
        head_size: in pixels; 0 where the file does not tell it.
        where: file and entry, for messages.
    """

    image: str
    points: np.ndarray
    annotated: np.ndarray
    visible: np.ndarray
    center: tuple[float, float]
    scale: float
    head_size: float
    where: str


def read_list(path: Path) -> list[Row]:
    """HRNet's list of persons, `train.json` or `valid.json`.

    Raises:
        DataError: naming the entry that is wrong.
    """
    entries = read_json(path)
    if not isinstance(entries, list):
        raise DataError(
            f"{path} is no list; expected HRNet's list of persons: image, center, scale, "
            "joints, joints_vis"
        )
    return [
        _row(entry, f"{path}: entry {number}")
        for number, entry in enumerate(entries, start=1)
    ]


def _row(entry: Any, where: str) -> Row:
    if not isinstance(entry, dict):
        raise DataError(f"{where} is {shown(entry)}, expected an object")
    points = _numbers(entry.get("joints"), (NUM_POINTS, 2), f"{where}: 'joints'")
    flags = _numbers(entry.get("joints_vis"), (NUM_POINTS,), f"{where}: 'joints_vis'")
    center = _numbers(entry.get("center"), (2,), f"{where}: 'center'")
    scale = _numbers(entry.get("scale"), (), f"{where}: 'scale'")
    annotated = flags > 0
    return Row(
        image=check_image_name(entry.get("image"), where),
        points=np.where(annotated[:, None], points, 0.0),
        annotated=annotated,
        visible=annotated,
        center=(float(center[0]), float(center[1])),
        scale=_scale(float(scale), where),
        head_size=0.0,
        where=where,
    )


def _numbers(values: Any, shape: tuple[int, ...], where: str) -> np.ndarray:
    """float64 of a shape, of lists of numbers of pixels."""
    expected = f"expected {' x '.join(map(str, shape)) or 'a'} number"
    expected += "s" if shape else ""
    flat = [values]
    for side in shape:
        if not all(isinstance(one, list) and len(one) == side for one in flat):
            raise DataError(f"{where} is {shown(values)}, {expected}")
        flat = [each for one in flat for each in one]
    if not all(map(is_pixels, flat)):
        raise DataError(f"{where} is {shown(values)}, {expected} of pixels")
    return np.array(flat, np.float64).reshape(shape)


def _scale(scale: float, where: str) -> float:
    if not 0 < scale <= FARTHEST:
        raise DataError(
            f"{where}: the person has scale {scale:g}, a box of zero size; expected its "
            "height / 200 pixels"
        )
    return scale


def with_head_sizes(rows: list[Row], path: Path) -> list[Row]:
    """The rows with the sizes of their heads, of `gt_valid.mat`.

    Persons are told by their points, so rows may be in any order, or a part.

    Args:
        rows: of `valid.json`.
        path: of the file with `pos_gt_src` [16, 2, N] and `headboxes_src` [2, 2, N].

    Raises:
        DataError: for a file of another kind, or a row whose person is not there.
    """
    arrays = read_arrays(path)
    points, boxes = arrays.get("pos_gt_src"), arrays.get("headboxes_src")
    if (
        points is None
        or boxes is None
        or points.ndim != 3
        or boxes.ndim != 3
        or (*points.shape[:2], *boxes.shape[:2]) != (NUM_POINTS, 2, 2, 2)
    ):
        raise DataError(
            f"{path} holds {', '.join(sorted(arrays)) or 'nothing'}; expected MPII's "
            "gt_valid.mat with pos_gt_src [16, 2, N] and headboxes_src [2, 2, N]"
        )
    if boxes.shape[2] != points.shape[2]:
        raise DataError(
            f"{path} has points of {points.shape[2]} persons and head boxes of "
            f"{boxes.shape[2]}; expected as many"
        )
    # A signalling NaN, which agrees with nothing below, makes NumPy warn.
    with np.errstate(invalid="ignore", over="ignore"):
        points = np.moveaxis(points, 2, 0).astype(np.float64)
        sides = np.diff(boxes.astype(np.float64), axis=0)[0]
        sizes = HEAD_SHARE * np.hypot(sides[0], sides[1])
    found = []
    for number, row in enumerate(rows):
        index = _same_person(row, points, number)
        if index is None or not sizes[index] > 0:
            raise DataError(
                f"{row.where}: no person of {path} with a head box has its points; "
                "expected the file that belongs to the list"
            )
        found.append(dataclasses.replace(row, head_size=float(sizes[index])))
    return found


def _same_person(row: Row, points: np.ndarray, likely: int) -> int | None:
    """Which of the persons [N, 16, 2] a row is; the one of its own number first."""
    wanted = row.points[row.annotated]
    if likely < len(points):
        off = np.abs(points[likely][row.annotated] - wanted)
        if off.max(initial=0) <= _SAME_POINT:
            return likely
    off = np.abs(points[:, row.annotated] - wanted).max((1, 2), initial=0)
    return int(np.argmin(off)) if len(off) and off.min() <= _SAME_POINT else None


def read_structure(path: Path) -> tuple[list[Row], int]:
    """Persons of the official `mpii_human_pose_v1_u12_1.mat`.

    The structure is described on the page of the data set: `RELEASE.annolist`, of each
    image `image.name` and `annorect`, of each person the head box `x1`, `y1`, `x2`, `y2`,
    `scale`, `objpos` and `annopoints.point` with `x`, `y`, `id` and `is_visible`;
    `RELEASE.img_train`.

    Args:
        path: of the file.

    Returns:
        The persons with points of all images to train on, in their order; the number of
        persons of these images without.

    Raises:
        DataError: for a file of another version, naming what it lacks.
    """
    content = read_values(path)
    release = content.get("RELEASE")
    if not isinstance(release, list) or len(release) != 1:
        raise _another(path, f"it holds {', '.join(sorted(content)) or 'nothing'}")
    images = release[0].get("annolist")
    train = release[0].get("img_train")
    if not isinstance(images, list) or not isinstance(train, np.ndarray):
        raise _another(path, f"RELEASE has {', '.join(release[0])}")
    if train.size != len(images):
        raise _another(
            path, f"annolist has {len(images)} images, img_train {train.size}"
        )
    rows, without = [], 0
    for number, (image, flag) in enumerate(zip(images, train.ravel(), strict=True), 1):
        if flag != 1:
            continue
        where = f"{path}: annolist({number})"
        if not isinstance(image, dict) or not {"image", "annorect"} <= image.keys():
            raise _another(path, f"annolist({number}) lacks image or annorect")
        name = _field(image["image"], "name")
        # An array would fill the message.
        name = name if isinstance(name, str) else None
        for person in image["annorect"] if _is_struct(image["annorect"]) else ():
            row = _annotated(person, check_image_name(name, where), where)
            if row is None:
                without += 1
            else:
                rows.append(row)
    return rows, without


def _another(path: Path, what: str) -> DataError:
    return DataError(
        f"{path}: {what}; expected version 1 of MPII, {_NAME}, with RELEASE.annolist and "
        "RELEASE.img_train"
    )


def _annotated(person: dict[str, Any], image: str, where: str) -> Row | None:
    """A person of `annorect`; None without points or without a place."""
    marks = _field(person.get("annopoints"), "point")
    x, y = (_number(_field(person.get("objpos"), axis)) for axis in "xy")
    scale = _number(person.get("scale"))
    if not _is_struct(marks) or x is None or y is None or scale is None:
        return None
    points = np.zeros((NUM_POINTS, 2))
    annotated, visible = np.zeros(NUM_POINTS, bool), np.zeros(NUM_POINTS, bool)
    for at in _points(marks, where):
        index, points[index], seen = at
        annotated[index], visible[index] = True, seen
    sides = [_number(person.get(key)) for key in ("x1", "y1", "x2", "y2")]
    head = 0.0
    if all(side is not None for side in sides):
        x1, y1, x2, y2 = (float(side) for side in sides if side is not None)
        head = HEAD_SHARE * float(np.hypot(x2 - x1, y2 - y1))
    return Row(
        image=image,
        points=points,
        annotated=annotated,
        visible=visible,
        center=(x, y),
        scale=_scale(scale, where),
        head_size=head,
        where=where,
    )


def _points(
    marks: list[dict[str, Any]], where: str
) -> Iterator[tuple[int, tuple[float, float], bool]]:
    """Index, place and visibility of each point."""
    for mark in marks:
        x, y, index = (_number(mark.get(key)) for key in ("x", "y", "id"))
        if x is None or y is None or index is None or index not in range(NUM_POINTS):
            raise DataError(
                f"{where}: a point has id {index}, x {x} and y {y}; expected an id of "
                f"0..{NUM_POINTS - 1} and pixels"
            )
        told = mark.get("is_visible")
        hidden = told == "0" or _number(told) == 0
        yield int(index), (x, y), not hidden


def _is_struct(value: Any) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(one, dict) for one in value)
    )


def _field(value: Any, name: str) -> Any:
    """A field of a struct of one element; None of anything else."""
    return value[0].get(name) if _is_struct(value) else None


def _number(value: Any) -> float | None:
    """The one number of an array; None of anything else."""
    if not isinstance(value, np.ndarray) or value.size != 1:
        return None
    number = float(value.ravel()[0])
    return number if abs(number) <= FARTHEST else None
