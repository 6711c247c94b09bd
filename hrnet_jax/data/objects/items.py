"""Objects as annotated, and the images that show them."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol


class ImageItem(Protocol):
    """One image of a source, whatever is annotated in it; see `ObjectItem`."""

    @property
    def image(self) -> Path: ...
    @property
    def image_id(self) -> str: ...
    @property
    def where(self) -> str: ...
    @property
    def size(self) -> tuple[float, float] | None: ...


@dataclasses.dataclass(frozen=True, slots=True)
class ImageObject:
    """One object of an image.

    Attributes:
        box: (x1, y1, x2, y2) in pixels of the image, the edges of its first pixel at 0.
        name: its class.
        where: file and annotation, for messages.
        crowd: whether it stands for several, which are neither trained on nor counted.
        area: in pixels, where the file tells it.
        mask: None; polygons, a list of [x, y, x, y, ...]; or run lengths of COCO,
            `{"size": [height, width], "counts": text or list}`.
    """

    box: tuple[float, float, float, float]
    name: str
    where: str
    crowd: bool = False
    area: float | None = None
    mask: Any = None


@dataclasses.dataclass(frozen=True, eq=False)
class ObjectItem:
    """One image and its objects.

    Attributes:
        image: the image file.
        image_id: its name, unique in its split.
        number: the id that the file of annotations gives it, as JSON.
        objects: what is annotated.
        where: file and entry, for messages.
        size: (height, width) in pixels as the file of annotations has it, or None.
    """

    image: Path
    image_id: str
    number: str
    objects: tuple[ImageObject, ...]
    where: str
    size: tuple[float, float] | None = None


@dataclasses.dataclass(frozen=True)
class ObjectSplits:
    """All that a source of objects holds.

    Attributes:
        splits: the images of each split, in record order.
        names: of the classes, in the order of their numbers.
        category_ids: number of each class in the files of annotations.
    """

    splits: Mapping[str, Sequence[ObjectItem]]
    names: tuple[str, ...]
    category_ids: tuple[int, ...]
