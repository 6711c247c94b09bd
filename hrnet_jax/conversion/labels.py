"""Names and colours of what converted weights put out."""

import dataclasses
import importlib
import pathlib
from collections.abc import Mapping
from typing import Any

from hrnet_jax.conversion.output_names import LABEL_NAMES, POINT_LINES, flip_pairs
from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.data.points.custom import pairs_by_side
from hrnet_jax.data.points.point_sets import AFLW, COFW, W300, WFLW, PointSet
from hrnet_jax.data.registry import SOURCES, source_class
from hrnet_jax.errors import DataError
from hrnet_jax.segmentation.drawing import default_palette

# Data sets of faces, by the names that records of released files use.
FACES = {"300w": W300, "300wlp": W300, "aflw": AFLW, "cofw": COFW, "wflw": WFLW}
FACES["w300"] = W300  # as the data set is called here
# Annotations that count pixels from one.
_FROM_ONE = (W300, COFW)

_PLURALS = {"class": "classes", "point": "points"}


def label_info(family: str, labels: str, count: int) -> DatasetInfo:
    """What `count` outputs of a model of this family mean.

    Args:
        family: `segmentation`, `classification`, `landmarks`, `pose` or `pyramid`.
        labels: a data set whose classes or points have names here, a text file with
            one name a line, or nothing for numbers.
        count: how many outputs the weights have.

    Raises:
        DataError: if the names are not as many.
    """
    name = pathlib.Path(labels).stem or family
    if family == "pyramid":
        return DatasetInfo(name, 0, (), ())
    is_points = family in ("landmarks", "pose")
    if is_points and labels in FACES:
        return _face_info(name, FACES[labels], count)
    names = _names(labels, "point" if is_points else "class", count)
    # Only own names are left to tell; data sets with names here are listed whole.
    own = labels not in LABEL_NAMES
    pairs = pairs_by_side(names) if own else flip_pairs(labels)
    if is_points:
        empty = DatasetInfo(name, 0, (), ())
        return dataclasses.replace(
            empty,
            point_names=names,
            point_flip_pairs=pairs,
            point_lines=POINT_LINES.get(labels, ()),
        )
    if family == "classification":
        return DatasetInfo(name, 0, (), (), image_class_names=names)
    palette = tuple(default_palette(count))
    if labels in SOURCES:
        palette = _palette(_class_table(labels))
    return DatasetInfo(name, count, names, palette, flip_pairs=pairs)


def known_labels(data: str, count: int) -> str:
    """The data set itself if there are names for all its outputs, else nothing."""
    if data in FACES:
        names = FACES[data].names
    elif data in SOURCES:
        names = getattr(_module(data), "CLASSES", ())
    else:
        names = LABEL_NAMES.get(data, ())
    return data if len(names) == count else ""


def _face_info(name: str, points: PointSet, count: int) -> DatasetInfo:
    """A description of a set of facial landmarks."""
    _check_count(name, "point", points.names, count)
    return DatasetInfo(
        name,
        0,
        (),
        (),
        point_names=points.names,
        point_origin=float(points in _FROM_ONE),
        point_flip_pairs=points.flip_pairs,
        point_lines=points.lines,
        normalizers=points.normalizers,
        default_normalizer=points.default_normalizer,
        tight_boxes=points is not AFLW,
    )


def num_outputs(options: Mapping[str, Any]) -> int:
    """Classes or points among the options of a model; 0 where it has neither."""
    return options.get("num_classes", options.get("num_points", 0))


def _names(labels: str, what: str, count: int) -> tuple[str, ...]:
    if not labels:
        return tuple(f"{what} {index}" for index in range(count))
    path = pathlib.Path(labels)
    if labels in LABEL_NAMES:
        names = LABEL_NAMES[labels]
    elif labels in SOURCES:
        names = tuple(_class_table(labels))
    elif path.is_file():
        lines = path.read_text().splitlines()
        names = tuple(line.strip() for line in lines if line.strip())
    else:
        raise DataError(
            f"{labels}: neither a file of {what} names nor one of the data sets "
            f"{', '.join(sorted({*SOURCES, *LABEL_NAMES, *FACES}))}"
        )
    _check_count(labels, what, names, count)
    return names


def _check_count(labels: str, what: str, names: tuple[str, ...], count: int) -> None:
    if len(names) != count:
        raise DataError(
            f"{labels} names {len(names)} {_PLURALS[what]}, the weights have {count}"
        )


def _module(data: str):
    return importlib.import_module(source_class(data).__module__)


def _class_table(data: str) -> dict:
    if not hasattr(_module(data), "CLASSES"):
        raise DataError(f"the data set {data!r} has no fixed classes")
    return _module(data).CLASSES


def _palette(table: dict) -> tuple[tuple[int, int, int], ...]:
    """Colours of a class table: name -> colour, or name -> (id, colour)."""
    return tuple(value if len(value) == 3 else value[1] for value in table.values())
