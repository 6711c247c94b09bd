"""Names and colours of what converted weights put out."""

import dataclasses
import importlib
import pathlib
from collections.abc import Mapping
from typing import Any

from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.data.registry import SOURCES, source_class
from hrnet_jax.errors import DataError
from hrnet_jax.segmentation.drawing import default_palette


def label_info(family: str, labels: str, count: int) -> DatasetInfo:
    """What `count` outputs of a model of this family mean.

    Args:
        family: `segmentation`, `classification`, `landmarks`, `pose` or `pyramid`.
        labels: a data set with fixed classes (segmentation), a text file with one
            name a line, or nothing for numbers.
        count: how many outputs the weights have.

    Raises:
        DataError: if the names are not as many.
    """
    if family == "segmentation":
        return class_info(labels, count)
    empty = DatasetInfo(_set_name(labels, family), 0, (), ())
    if family == "pyramid":
        return empty
    if family == "classification":
        names = _names(labels, "class", count)
        return dataclasses.replace(empty, image_class_names=names)
    names = _names(labels, "point", count)
    return dataclasses.replace(empty, point_names=names)


def num_outputs(options: Mapping[str, Any]) -> int:
    """Classes or points among the options of a model; 0 where it has neither."""
    return options.get("num_classes", options.get("num_points", 0))


def class_info(classes: str, count: int) -> DatasetInfo:
    """Names and colours for `count` classes of pixels; see `label_info`."""
    palette = tuple(default_palette(count))
    if classes in SOURCES:
        table = _class_table(classes)
        names, palette = tuple(table), _palette(table)
        _check_count(classes, names, count)
    else:
        names = _names(classes, "class", count)
    return DatasetInfo(_set_name(classes, "classes"), count, names, palette)


def has_classes(data: str) -> bool:
    """Whether a data set of this name has fixed classes of pixels."""
    return data in SOURCES and hasattr(_module(data), "CLASSES")


def _names(labels: str, what: str, count: int) -> tuple[str, ...]:
    if not labels:
        return tuple(f"{what} {index}" for index in range(count))
    path = pathlib.Path(labels)
    if not path.is_file():
        raise DataError(
            f"{labels}: neither a file of {what} names nor one of the data sets "
            f"{', '.join(sorted(SOURCES))}"
        )
    lines = path.read_text().splitlines()
    names = tuple(line.strip() for line in lines if line.strip())
    _check_count(labels, names, count)
    return names


def _check_count(labels: str, names: tuple[str, ...], count: int) -> None:
    if len(names) != count:
        raise DataError(
            f"{labels} names {len(names)} classes, the weights have {count}"
        )


def _set_name(labels: str, default: str) -> str:
    return pathlib.Path(labels).stem or default


def _module(data: str):
    return importlib.import_module(source_class(data).__module__)


def _class_table(data: str) -> dict:
    if not has_classes(data):
        raise DataError(f"the data set {data!r} has no fixed classes")
    return _module(data).CLASSES


def _palette(table: dict) -> tuple[tuple[int, int, int], ...]:
    """Colours of a class table: name -> colour, or name -> (id, colour)."""
    return tuple(value if len(value) == 3 else value[1] for value in table.values())
