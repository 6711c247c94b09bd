"""Base of sources of objects: what is asked, checked and stored."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, TypeVar

import numpy as np
import tensorflow_datasets as tfds

from hrnet_jax.data.annotated import AnnotatedSource
from hrnet_jax.data.files.image_files import Example, read_image
from hrnet_jax.data.files.splitting import split_by_ratio
from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.data.objects import checks, masks
from hrnet_jax.data.objects.items import (
    ImageItem,
    ImageObject,
    ObjectItem,
    ObjectSplits,
)
from hrnet_jax.data.writing import image_feature
from hrnet_jax.errors import DataError
from hrnet_jax.imaging import run_lengths

_BYTES_OF_AN_OBJECT = 100
_WITH_OBJECTS = "train_with_objects"

Item = TypeVar("Item", bound=ImageItem)


@dataclasses.dataclass(frozen=True)
class ObjectOptions:
    """Options of all sets of objects of one's own.

    Attributes:
        classes: names of the classes to take, in order; if empty all of the files.
        empty: what images without an object are: `keep` for negatives, which show none
            of the classes, or `drop`; asked where there are some.
        unused: what becomes of a class without an object: `keep` or `drop`; asked
            where there is one.
        invalid: `drop` leaves out objects whose box or mask is wrong, which otherwise
            is an error.
    """

    classes: tuple[str, ...] = ()
    empty: str = ""
    unused: str = ""
    invalid: str = ""

    def __post_init__(self):
        for key, known in (
            ("empty", ("", "keep", "drop")),
            ("unused", ("", "keep", "drop")),
            ("invalid", ("", "drop")),
        ):
            if getattr(self, key) not in known:
                raise DataError(
                    f"option {key}={getattr(self, key)}: expected one of "
                    f"{', '.join(filter(None, known))}"
                )


class ObjectSource(AnnotatedSource[ObjectSplits]):
    """Base of sources of images with boxes, and masks where there are some.

    `published` sets keep wrong boxes, classes without objects and images without objects.
    """

    Options: ClassVar[type] = ObjectOptions

    def checked(self, found: ObjectSplits) -> ObjectSplits:
        """What was read, without what the options leave out.

        Raises:
            DataError: naming the file and entry at fault.
        """
        checks.check_images(found.splits)
        if self.published:
            return found
        found = self._of_chosen_classes(found)
        invalid = self.options.invalid
        splits = {
            split: [
                checks.checked(item, _size_of(item), invalid, self.findings)
                for item in items
            ]
            for split, items in found.splits.items()
        }
        found = dataclasses.replace(found, splits=self._without_empty(splits))
        checks.check_crowds(found.splits)
        return self._without_unused(found)

    def info(self, name: str) -> DatasetInfo:
        """Names and numbers of the classes, and subsets."""
        found = self.contents
        objects = [
            one
            for items in found.splits.values()
            for item in items
            for one in item.objects
        ]
        subsets = self._subsets()
        return DatasetInfo(
            name=name,
            num_classes=0,
            class_names=(),
            palette=(),
            default_splits=self._chosen_splits(subsets),
            subsets=subsets,
            box_class_names=found.names,
            category_ids=found.category_ids,
            max_objects=max(
                (
                    len(item.objects)
                    for items in found.splits.values()
                    for item in items
                ),
                default=0,
            ),
            object_masks=bool(objects) and all(one.mask for one in objects),
            findings=self.findings.listed(),
        )

    def features(self) -> dict[str, tfds.features.FeatureConnector]:
        """Image, names, boxes, classes, and masks if an object has one."""
        items = (item for items in self.contents.splits.values() for item in items)
        some = any(one.mask for item in items for one in item.objects)
        return object_features(masks=some)

    def item_bytes(self, item: ObjectItem) -> int:
        """Size of the image file plus something for each object."""
        return item.image.stat().st_size + _BYTES_OF_AN_OBJECT * len(item.objects)

    def example(self, split: str, item: ObjectItem) -> Example:
        """Reads the image, checks its size, and draws the masks.

        Raises:
            DataError: naming the image or the annotation at fault.
        """
        del split
        image = read_image(item.image)
        size = image.height, image.width
        checks.check_size(item, size)
        numbers = {name: label for label, name in enumerate(self.contents.names)}
        labels = [numbers[one.name] for one in item.objects]
        texts = [_encoded(one, size) for one in item.objects]
        stored = object_example(
            [one.box for one in item.objects],
            labels,
            crowd=[one.crowd for one in item.objects],
            area=[
                _area(one, text) for one, text in zip(item.objects, texts, strict=True)
            ],
            masks=texts if "masks" in self._feature_names else None,
        )
        stored |= {
            "image": image.data,
            "image_id": item.image_id,
            "image_number": item.number,
        }
        return Example(stored, size)

    @functools.cached_property
    def _feature_names(self) -> frozenset[str]:
        return frozenset(self.features())

    def _of_chosen_classes(self, found: ObjectSplits) -> ObjectSplits:
        """Only the classes of the option, in its order."""
        chosen = self.options.classes
        if not chosen:
            return found
        unknown = [name for name in chosen if name not in found.names]
        if unknown:
            raise DataError(
                f"option classes has {unknown[0]!r}, the files have "
                f"{checks.listed_names(found.names)}"
            )
        return _restricted(found, chosen)

    def _without_empty(
        self, splits: dict[str, list[ObjectItem]]
    ) -> dict[str, list[ObjectItem]]:
        """Asks what images without an object are, and leaves them out if asked to."""
        for split, items in splits.items():
            empty = [item for item in items if not item.objects]
            if not empty:
                continue
            if not self.options.empty:
                raise DataError(
                    f"{empty[0].where}: image {empty[0].image.name!r} has no object "
                    f"({len(empty)} of {len(items)} in {split!r}); say empty=keep "
                    "(negatives, which show none of the classes) or empty=drop"
                )
            kept = self.options.empty == "keep"
            what = "images without objects, " + ("negatives" if kept else "left out")
            self.findings.count(self.source, what, len(empty))
            if not kept:
                splits = splits | {split: [item for item in items if item.objects]}
        if not any(splits.values()):
            raise DataError(f"{self.source}: no image has an object")
        return splits

    def _without_unused(self, found: ObjectSplits) -> ObjectSplits:
        used = {
            one.name
            for items in found.splits.values()
            for item in items
            for one in item.objects
        }
        unused = [name for name in found.names if name not in used]
        if not unused or self.options.unused == "keep":
            return found
        names = checks.listed_names(unused)
        if not self.options.unused:
            raise DataError(
                f"{self.source}: no image shows an object of {names}; leave such classes "
                "out with unused=drop (or classes=...), or say unused=keep"
            )
        self.findings.count(
            self.source, f"classes without objects, left out: {names}", len(unused)
        )
        return _restricted(found, [name for name in found.names if name in used])

    def _subsets(self) -> dict[str, dict[str, tuple[int, ...] | None]]:
        """The training images that show something, where some do not."""
        train = self.contents.splits.get("train", ())
        some = tuple(index for index, item in enumerate(train) if item.objects)
        if not some or len(some) == len(train):
            return {}
        return {_WITH_OBJECTS: {"train": some}}

    def _chosen_splits(self, subsets: Mapping[str, Any]) -> dict[str, str]:
        stored = self.contents.splits
        splits = self.default_splits(
            [split for split, items in stored.items() if items],
            [
                split
                for split, items in stored.items()
                if any(not one.crowd for item in items for one in item.objects)
            ],
        )
        # Networks are published that learned from images with objects.
        return splits | ({"train": _WITH_OBJECTS} if self.published and subsets else {})


def object_features(*, masks: bool) -> dict[str, tfds.features.FeatureConnector]:
    """Features of one image with N objects.

    `image`, `image_id` and `image_number` (the id in the file of annotations, as
    JSON); `boxes` float32 [N, 4], (x1, y1, x2, y2) in pixels; `box_class` int32 [N];
    `box_crowd` uint8 [N]; `box_area` float32 [N], in pixels; `masks`, the run lengths of
    each object for the whole image, with a space between; empty for one without.
    """

    def per_object(dtype: Any, *shape: int) -> tfds.features.Tensor:
        return tfds.features.Tensor(shape=(None, *shape), dtype=dtype)

    features = {
        "image": image_feature(),
        "image_id": tfds.features.Text(),
        "image_number": tfds.features.Text(),
        "boxes": per_object(np.float32, 4),
        "box_class": per_object(np.int32),
        "box_crowd": per_object(np.uint8),
        "box_area": per_object(np.float32),
    }
    return features | ({"masks": tfds.features.Text()} if masks else {})


def object_example(
    boxes: Any,
    classes: Any,
    *,
    crowd: Sequence[bool],
    area: Sequence[float],
    masks: Sequence[str] | None,
) -> dict[str, Any]:
    """What `object_features` stores of the objects of an image.

    Args:
        boxes: numbers [N, 4].
        classes: whole numbers [N].
        crowd: of each object.
        area: of each, in pixels.
        masks: run lengths of each; None where the set has none.
    """
    stored = {
        "boxes": np.asarray(boxes, np.float32).reshape(-1, 4),
        "box_class": np.asarray(classes, np.int32),
        "box_crowd": np.asarray(crowd, np.uint8),
        "box_area": np.asarray(area, np.float32),
    }
    return stored | ({} if masks is None else {"masks": " ".join(masks)})


def cut_images(
    items: Sequence[Item], ratios: tuple[float, ...], seed: int
) -> dict[str, list[Item]]:
    """Cuts images at random, by their names; see `split_by_ratio`.

    Raises:
        DataError: for wrong ratios or too few images.
    """
    cut = split_by_ratio(sorted(item.image_id for item in items), ratios, seed)
    split_of = {name: split for split, names in cut.items() for name in names}
    splits: dict[str, list[Item]] = {split: [] for split in cut}
    for item in items:
        splits[split_of[item.image_id]].append(item)
    return splits


def _restricted(found: ObjectSplits, names: Sequence[str]) -> ObjectSplits:
    """Objects of these classes only, in this order."""
    ids = dict(zip(found.names, found.category_ids, strict=True))
    kept = set(names)
    splits = {
        split: [
            dataclasses.replace(
                item, objects=tuple(one for one in item.objects if one.name in kept)
            )
            for item in items
        ]
        for split, items in found.splits.items()
    }
    return ObjectSplits(splits, tuple(names), tuple(ids[name] for name in names))


def _size_of(item: ObjectItem) -> tuple[int, int]:
    """(height, width) of an image by its file, which has to be the one told."""
    size = checks.upright_size(item.image)
    checks.check_size(item, size)
    return size


def _encoded(one: ImageObject, size: tuple[int, int]) -> str:
    reason = masks.wrong_with(one.mask, size)
    if reason:
        raise DataError(f"{one.where}: {reason}")
    return masks.encoded(one.mask, size)


def _area(one: ImageObject, mask: str) -> float:
    """Of the file where it tells one, else of the mask, else of the box."""
    if one.area is not None and one.area > 0:
        return one.area
    if mask:
        return float(run_lengths.area(mask))
    x1, y1, x2, y2 = one.box
    return max(0.0, x2 - x1) * max(0.0, y2 - y1)
