"""Names of the classes and points of data sets that released weights were trained on.

In the order of the outputs. Data sets that can be prepared here keep their names in
files of their own.
"""

from hrnet_jax.data.class_tables import (
    COCO_STUFF,
    PASCAL_CONTEXT_59,
    PASCAL_CONTEXT_60,
    VOC2012,
)
from hrnet_jax.data.points.person_sets import COCO17, MPII16
from hrnet_jax.data.points.point_sets import PointSet
from hrnet_jax.errors import DataError


def _spaced(points: PointSet) -> tuple[str, ...]:
    return tuple(name.replace("_", " ") for name in points.names)


LABEL_NAMES: dict[str, tuple[str, ...]] = {
    "coco": _spaced(COCO17),
    "coco-stuff-10k": tuple(COCO_STUFF),
    "mpii": _spaced(MPII16),
    # 60 classes with the background and 59 without.
    "pascal-context": tuple(PASCAL_CONTEXT_60),
    "pascal-context-59": tuple(PASCAL_CONTEXT_59),
    "pascal-context-60": tuple(PASCAL_CONTEXT_60),
    "voc12aug": tuple(VOC2012),
}

# Lines through points, to draw; a person's limbs.
POINT_LINES = {"coco": COCO17.lines, "mpii": MPII16.lines}


def flip_pairs(data: str) -> tuple[tuple[int, int], ...]:
    """Pairs of outputs that swap when an image is mirrored.

    Left and right of the same part, by the names.

    Raises:
        DataError: for a data set without names here.
    """
    if data not in LABEL_NAMES:
        raise DataError(
            f"no names of {data!r}; expected one of {', '.join(LABEL_NAMES)}"
        )
    names = LABEL_NAMES[data]
    return tuple(
        (index, names.index(name.replace("left", "right", 1)))
        for index, name in enumerate(names)
        if name.startswith("left") and name.replace("left", "right", 1) in names
    )
