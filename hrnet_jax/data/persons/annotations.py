"""The files beside records of persons: who is an example, and what is annotated."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from hrnet_jax.data.beside import arrays_in
from hrnet_jax.data.persons.items import Person, PersonItem
from hrnet_jax.errors import DataError

# Kinds of numbers and shape of each array of M persons with K points.
PERSON_SHAPES: dict[str, tuple[str, tuple]] = {
    "points": ("f", ("M", "K", 2)),
    "visible": ("u", ("M", "K")),
    "annotated": ("u", ("M", "K")),
    "box": ("f", ("M", 4)),
    "bbox": ("f", ("M", 4)),
    "area": ("f", ("M",)),
    "head_size": ("f", ("M",)),
    "crowd": ("u", ("M",)),
    "number": ("i", ("M",)),
}


def persons_as_arrays(
    persons: Sequence[Person], num_points: int
) -> dict[str, np.ndarray]:
    """Arrays of `PERSON_SHAPES`."""

    def stacked(key: str, dtype: type, *shape: int) -> np.ndarray:
        values = [getattr(person, key) for person in persons]
        return np.array(values, dtype).reshape(len(persons), *shape)

    return {
        "points": stacked("points", np.float64, num_points, 2),
        "visible": stacked("visible", np.uint8, num_points),
        "annotated": stacked("annotated", np.uint8, num_points),
        "box": stacked("box", np.float64, 4),
        "bbox": stacked("bbox", np.float64, 4),
        "area": stacked("area", np.float64),
        "head_size": stacked("head_size", np.float64),
        "crowd": stacked("crowd", np.uint8),
        "number": stacked("number", np.int64),
    }


def taught_places(items: Iterable[PersonItem]) -> np.ndarray:
    """Record, and place in it, of each person to learn from, int32 [N, 2]."""
    places = [
        (record, place)
        for record, item in enumerate(items)
        for place, person in enumerate(item.persons)
        if person.taught
    ]
    return np.array(places, np.int32).reshape(-1, 2)


def annotations_of(
    items: Sequence[PersonItem], num_points: int
) -> dict[str, np.ndarray]:
    """What `read_annotations` reads, of a split."""
    counts = [len(item.persons) for item in items]
    persons = [person for item in items for person in item.persons]
    return {
        "image_id": np.array([item.image_id for item in items], np.str_),
        "image_number": np.array([item.number for item in items], np.int64),
        "first": np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        **persons_as_arrays(persons, num_points),
    }


def read_annotations(path: Path, num_points: int, count: int) -> dict[str, np.ndarray]:
    """What is annotated in the N images of a split.

    Args:
        path: of the file.
        num_points: K.
        count: N.

    Returns:
        `image_id` text [N], `image_number` int64 [N], `first` int64 [N + 1], the row of
        the first person of each image and at last their number, and the arrays of
        `PERSON_SHAPES`.

    Raises:
        DataError: if it is missing, damaged, or of other images.
    """
    shapes = {
        "image_id": ("U", (count,)),
        "image_number": ("i", (count,)),
        "first": ("i", (count + 1,)),
        **{
            name: (kinds, tuple(num_points if side == "K" else side for side in shape))
            for name, (kinds, shape) in PERSON_SHAPES.items()
        },
    }
    found = arrays_in(path, shapes)
    first = found["first"]
    if first[0] != 0 or first[-1] != len(found["area"]) or (np.diff(first) < 0).any():
        raise DataError(
            f"{path}: 'first' does not divide {len(found['area'])} persons among "
            f"{count} images; prepare the data set again (--overwrite)"
        )
    return found
