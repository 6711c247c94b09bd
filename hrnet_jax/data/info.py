"""Facts about a prepared data set, stored beside its records."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hrnet_jax.config.json_files import read_object
from hrnet_jax.config.options import read_fields, shortened
from hrnet_jax.errors import DataError
from hrnet_jax.storage.paths import as_path

# Records always store this value for pixels without a class, whatever value
# the source files used.
IGNORE_LABEL = 255
# Of a record, what splits without published labels lack.
LABEL_KEY, CLASS_KEY = "label", "class"
LABEL_KEYS = (LABEL_KEY, CLASS_KEY)

# TFDS writes its metadata dictionary under this name, in the same directory
# (and the same atomic rename) as the records.
METADATA_FILE = "metadata.json"
# Beside it, of sets of labels and of objects: int32 [N, 2], height and width of each image.
SIZES_FILE = "sizes_{split}.npy"
# Beside them, of sets of persons: int32 [N, 2], record and place in it of each person to
# learn from; and what is annotated in the whole split, without the images.
PERSONS_FILE = "persons_{split}.npy"
ANNOTATIONS_FILE = "annotations_{split}.npz"


@dataclasses.dataclass(frozen=True)
class DatasetInfo:
    """Facts about one prepared data set.

    Attributes:
        name: the name that `open_records` knows it by.
        num_classes: number of segmentation classes, without the ignore label.
        class_names: their names, in label order.
        palette: an RGB colour (0..255) for each class.
        ignore_label: label of pixels that count neither in loss nor metrics.
        counts: split -> number of images.
        label_histogram: split -> pixels of each class.
        ignored_pixels: split -> pixels with the ignore label.
        pixels_where_present: split -> for each class, labelled pixels of the
            images that show the class; median-frequency weights need it.
        max_size: split -> largest (height, width), each side on its own.
        min_size: split -> smallest (height, width), each side on its own.
        flip_pairs: label pairs that swap when an image is mirrored.
        default_splits: which split to train on ("train") and which to
            evaluate on ("eval").
        point_names: names of the key points, in order.
        point_flip_pairs: key point pairs that swap when mirrored.
        point_origin: coordinate that the annotation files give to the centre
            of the first pixel; 1.0 where MATLAB made them.
        point_lines: polylines through key points, to draw; a closed one
            repeats its first index.
        normalizers: name -> two groups of key points; errors are divided by
            the distance of the groups' centroids. `box` (the `box_size` of a
            record) exists as well.
        default_normalizer: the one that the benchmark of this data set uses.
        tight_boxes: whether the face boxes are the squares around the points, so
            that points tell their box.
        point_sigmas: of each key point, how far annotators scatter, a share of the root
            of the person's area; what object key point similarity divides by. Empty
            where nobody measured it.
        uncounted_points: key points that the benchmark leaves out of its mean.
        head_sizes: whether each person to evaluate has a `head_size`, which errors are
            divided by.
        point_category: number of the category with key points in the files of
            annotations, which results for a server name.
        persons: split -> number of persons to learn from, of sets whose records are
            images with several.
        subsets: splits that are parts of stored ones: subset -> stored split
            -> its record indices, None for all of them. `counts`, `max_size`
            and `min_size` include the subsets.
        unlabelled_splits: stored splits whose labels are not published; their records
            have images alone.
        box_class_names: names behind `box_class`, without a background.
        category_ids: number of each of these classes in the files of annotations,
            which results for a server name.
        max_objects: most objects that an image has.
        object_masks: whether each object has a mask.
        image_class_names: names behind `class`, or `classes` of sets with `multi_label`.
        image_class_ids: what the source calls each of these classes: its folder, or its
            number in WordNet.
        image_class_counts: split -> images of each of them.
        multi_label: whether an image can be of several classes, or of none.
        key_names: key of the stored records -> key of the samples, for records that
            another program wrote.
        findings: (file, what, how often) of what the preparation left out or derived.
        prepared_from: source folder and options of the preparation.
    """

    name: str
    num_classes: int
    class_names: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]
    ignore_label: int = IGNORE_LABEL
    counts: Mapping[str, int] = dataclasses.field(default_factory=dict)
    label_histogram: Mapping[str, list[int]] = dataclasses.field(default_factory=dict)
    ignored_pixels: Mapping[str, int] = dataclasses.field(default_factory=dict)
    pixels_where_present: Mapping[str, list[int]] = dataclasses.field(
        default_factory=dict
    )
    max_size: Mapping[str, tuple[int, int]] = dataclasses.field(default_factory=dict)
    min_size: Mapping[str, tuple[int, int]] = dataclasses.field(default_factory=dict)
    flip_pairs: tuple[tuple[int, int], ...] = ()
    default_splits: Mapping[str, str] = dataclasses.field(
        default_factory=lambda: {"train": "train", "eval": "val"}
    )
    point_names: tuple[str, ...] = ()
    point_flip_pairs: tuple[tuple[int, int], ...] = ()
    point_origin: float = 0.0
    point_lines: tuple[tuple[int, ...], ...] = ()
    normalizers: Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]] = (
        dataclasses.field(default_factory=dict)
    )
    default_normalizer: str = "box"
    tight_boxes: bool = False
    point_sigmas: tuple[float, ...] = ()
    uncounted_points: tuple[int, ...] = ()
    head_sizes: bool = False
    point_category: int = 1
    persons: Mapping[str, int] = dataclasses.field(default_factory=dict)
    subsets: Mapping[str, Mapping[str, tuple[int, ...] | None]] = dataclasses.field(
        default_factory=dict
    )
    unlabelled_splits: tuple[str, ...] = ()
    box_class_names: tuple[str, ...] = ()
    category_ids: tuple[int, ...] = ()
    max_objects: int = 0
    object_masks: bool = False
    image_class_names: tuple[str, ...] = ()
    image_class_ids: tuple[str, ...] = ()
    image_class_counts: Mapping[str, list[int]] = dataclasses.field(
        default_factory=dict
    )
    multi_label: bool = False
    key_names: Mapping[str, str] = dataclasses.field(default_factory=dict)
    findings: tuple[tuple[str, str, int], ...] = ()
    prepared_from: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """A dictionary of plain lists, numbers and strings."""
        return json.loads(json.dumps(dataclasses.asdict(self)))

    @classmethod
    def from_json(cls, values: Any) -> "DatasetInfo":
        """The inverse of `to_json`.

        Raises:
            DataError: naming a key that is missing or unknown, or its value where that
                is of another type or contradicts another key.
        """
        if not isinstance(values, Mapping):
            raise DataError(f"expected facts about a data set, got {shortened(values)}")
        info = read_fields(cls, values, DataError)
        _check(info)
        return info


# As many as the array of counts holds that a set is written with.
MOST_PIXELS = 2**63 - 1


def _check(info: DatasetInfo) -> None:
    """Checks that what the keys say goes together.

    Raises:
        DataError: naming a key that does not.
    """
    _check_image_classes(info)
    for key in ("class_names", "palette"):
        if len(getattr(info, key)) != info.num_classes:
            raise DataError(
                f"key {key!r} has {len(getattr(info, key))} entries for "
                f"num_classes={info.num_classes}"
            )
    if not all(0 <= value <= 255 for colour in info.palette for value in colour):
        raise DataError("key 'palette' has values outside 0..255")
    check_flip_pairs(info.flip_pairs, info.num_classes, "key 'flip_pairs'")
    _check_points(info)
    if len(info.category_ids) not in (0, len(info.box_class_names)):
        raise DataError(
            f"key 'category_ids' has {len(info.category_ids)} numbers for "
            f"{len(info.box_class_names)} 'box_class_names'"
        )
    if info.max_objects < 0:
        raise DataError(f"key 'max_objects' is {info.max_objects}, expected 0 or more")
    _check_splits(info)


def _check_points(info: DatasetInfo) -> None:
    points = len(info.point_names)
    check_flip_pairs(info.point_flip_pairs, points, "key 'point_flip_pairs'")
    groups = [group for both in info.normalizers.values() for group in both]
    for key, lists in (
        ("point_lines", info.point_lines),
        ("normalizers", groups),
        ("uncounted_points", [info.uncounted_points]),
    ):
        if not all(0 <= index < points for one in lists for index in one):
            raise DataError(f"key {key!r} has an index outside 0..{points - 1}")
    if not all(groups):
        raise DataError("key 'normalizers' has a group without points")
    if len(info.point_sigmas) not in (0, points):
        raise DataError(
            f"key 'point_sigmas' has {len(info.point_sigmas)} numbers for {points} "
            "'point_names'"
        )
    if not all(0 < sigma < np.inf for sigma in info.point_sigmas):
        raise DataError("key 'point_sigmas' has a number that is not positive")


def _check_image_classes(info: DatasetInfo) -> None:
    classes = len(info.image_class_names)
    if len(info.image_class_ids) not in (0, classes):
        raise DataError(
            f"key 'image_class_ids' has {len(info.image_class_ids)} entries for "
            f"{classes} 'image_class_names'"
        )
    for split, counts in info.image_class_counts.items():
        if len(counts) != classes or min(counts, default=0) < 0:
            raise DataError(
                f"key 'image_class_counts.{split}' must have a number of images for "
                f"each of {classes} 'image_class_names'"
            )


def _check_splits(info: DatasetInfo) -> None:
    for key in ("train", "eval"):
        if key not in info.default_splits:
            raise DataError(f"key 'default_splits' has no split for {key!r}")
    if not info.counts:  # classes or points alone, without images
        return
    for key in ("max_size", "min_size"):
        unknown = info.counts.keys() - getattr(info, key).keys()
        if unknown and not info.key_names:
            raise DataError(f"key {key!r} lacks splits of key 'counts'")
    for subset, parts in info.subsets.items():
        for split, indices in parts.items():
            count = info.counts.get(split, 0)
            if subset not in info.counts or not all(
                0 <= index < count for index in indices or ()
            ):
                raise DataError(
                    f"key 'subsets' has records in {subset!r} that split {split!r} "
                    f"of {count} lacks"
                )
    stored = info.counts.keys() - info.subsets.keys() if info.num_classes else set()
    for key in ("label_histogram", "pixels_where_present"):
        pixels = getattr(info, key)
        if any(len(pixels.get(split, ())) != info.num_classes for split in stored):
            raise DataError(
                f"key {key!r} does not have num_classes={info.num_classes} numbers for "
                "each split of key 'counts'"
            )
        every = [number for one in pixels.values() for number in one]
        if any(number < 0 for number in every):
            raise DataError(f"key {key!r} has a negative number of pixels")
        if any(number > MOST_PIXELS for number in every):
            raise DataError(f"key {key!r} has a number of pixels above {MOST_PIXELS}")
    for split in stored:
        shown = zip(
            info.label_histogram[split], info.pixels_where_present[split], strict=True
        )
        if any(pixels > around for pixels, around in shown):
            raise DataError(
                f"keys 'label_histogram' and 'pixels_where_present' of split {split!r}: "
                "a class has more pixels than the images that show it"
            )
    if stored - info.ignored_pixels.keys():
        raise DataError("key 'ignored_pixels' lacks splits of key 'counts'")
    if unknown := set(info.unlabelled_splits) - info.counts.keys():
        raise DataError(
            f"key 'unlabelled_splits' names {min(unknown)!r}, which key 'counts' lacks"
        )


def load_info(directory: Path) -> DatasetInfo:
    """Reads the metadata of the prepared data set in `directory`.

    Those of a classification set that TFDS prepared are put together from its
    descriptions; sizes of images are not known there.

    Raises:
        DataError: if the directory was written neither by this package nor by TFDS
            with classes of images.
    """
    # Predictions read what was written here alone.
    from hrnet_jax.data.tfds_classes import class_facts, describes_classes

    path = as_path(directory) / METADATA_FILE
    try:
        values = read_object(path, DataError)
    except FileNotFoundError:
        if describes_classes(directory):
            return DatasetInfo(**class_facts(directory))
        raise DataError(
            f"{path} is missing: these records were not prepared by "
            "scripts/prepare_data.py"
        ) from None
    try:
        return DatasetInfo.from_json(values)
    except DataError as error:
        raise DataError(f"{path}: {error}; prepare it again (--overwrite)") from None


def label_pixels(
    info: DatasetInfo,
    split: str | None = None,
    counted: Mapping[str, list[int]] | None = None,
) -> np.ndarray:
    """Pixels of each class in a split, or in a subset of whole splits (`trainval`).

    Args:
        info: of the data set.
        split: whose pixels are counted; None for the one to train on.
        counted: `info.pixels_where_present` for these counts instead.

    Returns:
        float64 [num_classes].

    Raises:
        DataError: for a split whose pixels nobody counted.
    """
    split = info.default_splits["train"] if split is None else split
    counted = info.label_histogram if counted is None else counted
    parts = info.subsets.get(split, {split: None})
    known = counted.keys() - set(info.unlabelled_splits)
    if (
        not parts
        or set(parts) - known
        or any(part is not None for part in parts.values())
    ):
        raise DataError(
            f"data set {info.name!r} has no counts of the pixels of {split!r}; expected "
            f"one of {', '.join(sorted(known))}, or several whole ones together"
        )
    return np.sum([np.asarray(counted[part], np.float64) for part in parts], axis=0)


def pairs_from_names(
    pairs: Sequence[tuple[str, str]], names: Sequence[str], what: str = "classes"
) -> tuple[tuple[int, int], ...]:
    """Turns pairs of class or point names into pairs of labels or indices.

    Args:
        pairs: names that swap when an image is mirrored.
        names: the known names, in order.
        what: what they name, for the message.

    Raises:
        DataError: if a name is not known.
    """
    labels = {name: label for label, name in enumerate(names)}
    for name in (name for pair in pairs for name in pair):
        if name not in labels:
            raise DataError(f"flip pair names {name!r}, {what} are {list(names)}")
    return tuple((labels[left], labels[right]) for left, right in pairs)


def check_flip_pairs(
    pairs: Sequence[tuple[int, int]], num_points: int, where: str
) -> None:
    """Checks that mirroring twice gives back every key point.

    Args:
        pairs: indices of the points that swap.
        num_points: number of points.
        where: what holds the pairs, for the message.

    Raises:
        DataError: naming the pair, if an index is not 0..num_points - 1, pairs
            with itself, or is in two pairs.
    """
    partner: dict[int, int] = {}
    for left, right in pairs:
        for index in (left, right):
            if not 0 <= index < num_points:
                raise DataError(
                    f"{where}: flip pair ({left}, {right}) has an index outside "
                    f"0..{num_points - 1}"
                )
        if left == right:
            raise DataError(
                f"{where}: flip pair ({left}, {right}) pairs a point with itself; "
                "leave out points that stay"
            )
        for index, other in ((left, right), (right, left)):
            if index in partner:
                raise DataError(
                    f"{where}: point {index} is in two flip pairs, with "
                    f"{partner[index]} and with {other}"
                )
            partner[index] = other
