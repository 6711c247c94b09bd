"""Base of sources of persons: what is asked, checked and stored."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from hrnet_jax.data.annotated import AnnotatedSource
from hrnet_jax.data.files.image_files import EncodedImage, Example, read_image
from hrnet_jax.data.info import (
    ANNOTATIONS_FILE,
    PERSONS_FILE,
    DatasetInfo,
    check_flip_pairs,
)
from hrnet_jax.data.objects.checks import check_images, check_size
from hrnet_jax.data.persons.annotations import (
    annotations_of,
    persons_as_arrays,
    taught_places,
)
from hrnet_jax.data.persons.items import Person, PersonItem, PersonSplits
from hrnet_jax.data.points.point_sets import PointSet
from hrnet_jax.data.points.source import exact_feature
from hrnet_jax.data.writing import image_feature
from hrnet_jax.errors import DataError

_BYTES_OF_A_POINT = 20


class PersonSource(AnnotatedSource[PersonSplits]):
    """Base of sources of images with persons.

    A subclass sets `point_set` before it reads, where its points are not those of a
    standard set. `published` sets keep images that are in several splits.

    Attributes:
        point_set: names, mirror pairs, limbs and what errors are divided by.
        point_origin: coordinate of the first pixel's centre in the files.
    """

    point_set: PointSet
    point_origin: float = 0.0

    def checked(self, found: PersonSplits) -> PersonSplits:
        """What was read, if there is somebody to learn from.

        Raises:
            DataError: naming the file and entry at fault.
        """
        if self.needs_source:
            check_images(found.splits, published=self.published)
        if found.splits and not any(_taught(found.splits)):
            raise DataError(
                f"{self.source}: no image of {', '.join(found.splits)} shows a person "
                "with points and a box"
            )
        return found

    def info(self, name: str) -> DatasetInfo:
        """Names, mirror pairs, limbs, and how many persons each split has."""
        chosen, found = self.point_set, self.contents
        check_flip_pairs(chosen.flip_pairs, len(chosen.names), name)
        taught = [
            split for split, items in found.splits.items() if any(_taught({"": items}))
        ]
        splits = self.default_splits(taught, taught)
        to_evaluate = [*_taught({"": found.splits.get(splits["eval"], ())})]
        return DatasetInfo(
            name=name,
            num_classes=0,
            class_names=(),
            palette=(),
            default_splits=splits,
            point_names=chosen.names,
            point_flip_pairs=chosen.flip_pairs,
            point_origin=self.point_origin,
            point_lines=chosen.lines,
            normalizers=chosen.normalizers,
            default_normalizer=chosen.default_normalizer,
            point_sigmas=chosen.sigmas,
            uncounted_points=chosen.uncounted,
            head_sizes=bool(to_evaluate)
            and all(one.head_size > 0 for one in to_evaluate),
            point_category=found.category,
            persons={
                split: sum(1 for _ in _taught({split: items}))
                for split, items in found.splits.items()
            },
            findings=self.findings.listed(),
        )

    def features(self) -> dict[str, tfds.features.FeatureConnector]:
        """Image, names, and persons."""
        return person_features(len(self.point_set.names))

    def item_bytes(self, item: PersonItem) -> int:
        """Size of the image file plus something for each point."""
        points = len(item.persons) * len(self.point_set.names)
        return item.image.stat().st_size + _BYTES_OF_A_POINT * points

    def image_of(self, split: str, item: PersonItem) -> EncodedImage:
        """The image of an item; read here, drawn by sets that are generated."""
        del split
        return read_image(item.image)

    def example(self, split: str, item: PersonItem) -> Example:
        """Reads the image and checks its size, and where its persons are.

        Raises:
            DataError: naming the image or the annotation at fault.
        """
        image = self.image_of(split, item)
        size = image.height, image.width
        check_size(item, size)
        for person in item.persons:
            check_place(person, size, self.point_origin)
        stored = persons_as_arrays(item.persons, len(self.point_set.names))
        renamed = {_STORED.get(key, key): value for key, value in stored.items()}
        del renamed["bbox"]
        return Example(
            {
                **renamed,
                "image": image.data,
                "image_id": item.image_id,
                "image_number": np.int64(item.number),
            },
            size,
        )

    def beside(self) -> dict[str, Any]:
        """Files that stand beside the records; see `writing.WritesBeside`."""
        count = len(self.point_set.names)
        files: dict[str, Any] = {}
        for split, items in self.contents.splits.items():
            files[PERSONS_FILE.format(split=split)] = taught_places(items)
            files[ANNOTATIONS_FILE.format(split=split)] = annotations_of(items, count)
        return files


# Names of arrays of persons among the features of an image.
_STORED = {
    "box": "person_boxes",
    "area": "person_area",
    "crowd": "person_crowd",
    "number": "person_number",
}


def person_features(num_points: int) -> dict[str, tfds.features.FeatureConnector]:
    """Features of one image with N persons of K points.

    `image`, `image_id` and `image_number` (the id in the file of annotations); `points`
    float64 [N, K, 2] in the frame of the files (`DatasetInfo.point_origin`); `visible`
    and `annotated` uint8 [N, K]; `person_boxes` float64 [N, 4], (x1, y1, x2, y2) in that
    frame; `person_area` and `head_size` (0 where it is not known) float64 [N], in
    pixels; `person_crowd` uint8 [N]; `person_number` int64 [N].
    """

    def of_persons(dtype: Any, *shape: int) -> tfds.features.Tensor:
        return tfds.features.Tensor(shape=(None, *shape), dtype=dtype)

    return {
        "image": image_feature(),
        "image_id": tfds.features.Text(),
        "image_number": tfds.features.Scalar(np.int64),
        "points": exact_feature((None, num_points, 2)),
        "visible": of_persons(np.uint8, num_points),
        "annotated": of_persons(np.uint8, num_points),
        "person_boxes": exact_feature((None, 4)),
        "person_area": exact_feature((None,)),
        "head_size": exact_feature((None,)),
        "person_crowd": of_persons(np.uint8),
        "person_number": of_persons(np.int64),
    }


def check_place(person: Person, size: tuple[int, int], origin: float) -> None:
    """Checks that the box of a person to learn from has something of its image.

    Args:
        person: of the image.
        size: (height, width) of the image.
        origin: coordinate of the first pixel's centre.

    Raises:
        DataError: if not.
    """
    x1, y1, x2, y2 = (side - origin for side in person.box)
    height, width = size
    if person.taught and (
        x2 < -0.5 or y2 < -0.5 or x1 > width - 0.5 or y1 > height - 0.5
    ):
        raise DataError(
            f"{person.where}: the box from ({x1 + origin:g}, {y1 + origin:g}) to "
            f"({x2 + origin:g}, {y2 + origin:g}) is outside its image of "
            f"{width}x{height}"
        )


def _taught(splits: Mapping[str, Sequence[PersonItem]]) -> Iterator[Person]:
    """The persons to learn from."""
    for items in splits.values():
        for item in items:
            yield from (person for person in item.persons if person.taught)
