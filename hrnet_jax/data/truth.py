"""What the persons of a split are, without its images: what evaluators compare with."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True, eq=False)
class Persons:
    """All annotated persons of a split, which are M.

    Attributes:
        image: int32 [M], position of the image of each among those of the split.
        points: float64 [M, K, 2], as in the files.
        visible: uint8 [M, K].
        annotated: uint8 [M, K].
        bbox: float64 [M, 4], (x, y, width, height) as the files tell it.
        area: float64 [M], in pixels.
        head_size: float64 [M]; 0 where it is not known.
        crowd: uint8 [M].
        number: int64 [M], ids of the annotations.
    """

    image: np.ndarray
    points: np.ndarray
    visible: np.ndarray
    annotated: np.ndarray
    bbox: np.ndarray
    area: np.ndarray
    head_size: np.ndarray
    crowd: np.ndarray
    number: np.ndarray

    @property
    def counted(self) -> np.ndarray:
        """bool [M], those that metrics count: with points, and no crowds."""
        return (self.annotated > 0).any(1) & (self.crowd == 0)


@dataclasses.dataclass(frozen=True, eq=False)
class Truth:
    """A split whose N examples are boxes in R images, with all that is annotated there.

    Attributes:
        examples: name of each example.
        image: int32 [N], position of its image.
        person: int32 [N], which of the persons it is; -1 where a box was given.
        box: float64 [N, 4], (x1, y1, x2, y2) in the frame of the points.
        box_score: float64 [N]; 1 for annotated boxes.
        image_names: of the R images.
        image_numbers: int64 [R], ids of the images in the files of annotations.
        persons: those that are annotated in these images.
    """

    examples: tuple[str, ...]
    image: np.ndarray
    person: np.ndarray
    box: np.ndarray
    box_score: np.ndarray
    image_names: tuple[str, ...]
    image_numbers: np.ndarray
    persons: Persons
