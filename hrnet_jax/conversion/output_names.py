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
from hrnet_jax.errors import DataError


def _split(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.replace("\n", " ").split(","))


LABEL_NAMES: dict[str, tuple[str, ...]] = {
    "coco": _split("""
nose, left eye, right eye, left ear, right ear, left shoulder, right shoulder, left
elbow, right elbow, left wrist, right wrist, left hip, right hip, left knee, right
knee, left ankle, right ankle
"""),
    "coco-stuff-10k": tuple(COCO_STUFF),
    "mpii": _split("""
right ankle, right knee, right hip, left hip, left knee, left ankle, pelvis, thorax,
upper neck, head top, right wrist, right elbow, right shoulder, left shoulder, left
elbow, left wrist
"""),
    # 60 classes with the background and 59 without.
    "pascal-context": tuple(PASCAL_CONTEXT_60),
    "pascal-context-59": tuple(PASCAL_CONTEXT_59),
    "pascal-context-60": tuple(PASCAL_CONTEXT_60),
    "voc12aug": tuple(VOC2012),
}

# Lines through points, to draw; a person's limbs.
POINT_LINES: dict[str, tuple[tuple[int, ...], ...]] = {
    "coco": (
        (3, 1, 0, 2, 4),
        (9, 7, 5, 6, 8, 10),
        (5, 11, 12, 6),
        (11, 13, 15),
        (12, 14, 16),
    ),
    "mpii": (
        (0, 1, 2, 6, 3, 4, 5),
        (6, 7, 8, 9),
        (10, 11, 12, 7, 13, 14, 15),
    ),
}


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
