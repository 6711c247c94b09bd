"""Base of sources of images with classes: what is checked and stored."""

import dataclasses
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds

from hrnet_jax.data.annotated import AnnotatedSource
from hrnet_jax.data.classes.duplicates import check_duplicates
from hrnet_jax.data.classes.images import read_class_image
from hrnet_jax.data.classes.items import ClassItem, ClassSplits, in_mixed_order
from hrnet_jax.data.files.file_names import is_plain
from hrnet_jax.data.files.image_files import Example
from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.data.writing import image_feature
from hrnet_jax.errors import DataError

_BYTES_OF_LABELS = 100


@dataclasses.dataclass(frozen=True)
class ClassOptions:
    """Options of all sets of images of one's own.

    Attributes:
        classes: classes to take, by their folders or names, in label order; if empty
            all, sorted.
        ratios: shares of train, val and test where nothing divides the images.
        seed: seed of that random split.
        duplicates: `keep` takes images that are there in two classes, byte by byte,
            which otherwise is an error.
    """

    classes: tuple[str, ...] = ()
    ratios: tuple[float, ...] = (0.8, 0.2)
    seed: int = 0
    duplicates: str = ""

    def __post_init__(self):
        if self.duplicates not in ("", "keep"):
            raise DataError(f"option duplicates={self.duplicates}: expected keep")
        doubled = [c for k, c in enumerate(self.classes) if c in self.classes[:k]]
        if doubled:
            raise DataError(f"option classes names {doubled[0]!r} twice")


class ClassSource(AnnotatedSource[ClassSplits]):
    """Base of sources of images with classes.

    `published` sets keep images that are there twice.
    """

    Options: ClassVar[type] = ClassOptions

    def checked(self, found: ClassSplits) -> ClassSplits:
        """What was listed, in mixed order, if there is something to tell apart.

        Raises:
            DataError: naming the file or folder at fault.
        """
        for items in found.splits.values():
            for item in items:
                if not is_plain(item.image_id):
                    raise DataError(
                        f"{str(item.place)!r} has a name that is no text in UTF-8"
                    )
        if len(found.ids) < (1 if found.several else 2):
            raise DataError(
                f"{self.source} has images of {len(found.ids)} classes "
                f"({', '.join(found.ids) or 'none'}), expected two or more"
            )
        if not self.published:
            keep = self.options.duplicates == "keep" or found.several
            check_duplicates(found, self.source, keep, self.findings)
            splits = {
                split: in_mixed_order(items) for split, items in found.splits.items()
            }
            found = dataclasses.replace(found, splits=splits)
        return found

    def info(self, name: str) -> DatasetInfo:
        """Names of the classes."""
        found = self.contents
        filled = [split for split, items in found.splits.items() if items]
        return DatasetInfo(
            name=name,
            num_classes=0,
            class_names=(),
            palette=(),
            default_splits=self.default_splits(filled, filled),
            image_class_names=found.names,
            image_class_ids=found.ids,
            multi_label=found.several,
            findings=self.findings.listed(),
        )

    def features(self) -> dict[str, tfds.features.FeatureConnector]:
        """Image, name and classes."""
        found = self.contents
        return class_features(len(found.ids), several=found.several, real=found.real)

    def item_bytes(self, item: ClassItem) -> int:
        """Size of the image file plus something for the labels."""
        return item.place.length() + _BYTES_OF_LABELS

    def example(self, split: str, item: ClassItem) -> Example:
        """Reads and checks the image.

        Raises:
            DataError: naming the image.
        """
        del split
        found = self.contents
        image, note = read_class_image(item.place)
        stored: dict[str, Any] = {"image": image.data, "image_id": item.image_id}
        if found.several:
            stored["classes"] = k_hot(item.labels, len(found.ids))
        else:
            (stored["class"],) = item.labels
        if found.real:
            stored["real"] = k_hot(item.real, len(found.ids))
        return Example(
            stored,
            (image.height, image.width),
            classes=item.labels,
            notes=(note,) if note else (),
        )


def class_features(
    num_classes: int, *, several: bool = False, real: bool = False
) -> dict[str, tfds.features.FeatureConnector]:
    """Features of one image with classes.

    `image` and `image_id`; `class` int64, or of sets with several for an image `classes`
    uint8 [K], 1 for those that it shows; with ReaL labels `real` uint8 [K], 1 for those
    that are right, all 0 where none are known.
    """
    features: dict[str, Any] = {
        "image": image_feature(),
        "image_id": tfds.features.Text(),
    }
    if several:
        features["classes"] = _flags(num_classes)
    else:
        features["class"] = tfds.features.Scalar(dtype=np.int64)
    return features | ({"real": _flags(num_classes)} if real else {})


def k_hot(labels: Sequence[int], num_classes: int) -> np.ndarray:
    """uint8 [K], 1 at some indices."""
    flags = np.zeros(num_classes, np.uint8)
    flags[list(labels)] = 1
    return flags


def _flags(num_classes: int) -> tfds.features.Tensor:
    return tfds.features.Tensor(
        shape=(num_classes,), dtype=np.uint8, encoding=tfds.features.Encoding.ZLIB
    )
