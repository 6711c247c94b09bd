"""Custom images with key points in COCO's JSON format."""

import dataclasses
import json
import logging
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from hrnet_jax.data.files.splitting import SPLITS
from hrnet_jax.data.points.custom import own_point_set
from hrnet_jax.data.points.items import (
    BOX_UNIT,
    LandmarkItem,
    box_around,
    box_from_corners,
    check_image_name,
    name_faces,
)
from hrnet_jax.data.points.source import (
    LandmarkSource,
    SplitItems,
    image_folder,
)
from hrnet_jax.data.points.splits import (
    check_apart,
    cut_by_image,
)
from hrnet_jax.errors import DataError

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class LandmarksCOCOOptions:
    """Options of the preparation.

    Attributes:
        train: annotation file of the training split in the source folder.
        val: that of the validation split, left out if absent.
        test: that of the test split, left out if absent.
        annotations: one file for all, cut by ratios, instead of those three.
        ratios: shares of train, val and test for `annotations`.
        seed: seed of that random split.
        images: folder of the images, with `{split}` for the split; `images`, or
            the source folder itself, if empty.
        category: name of the category, where several have key points.
        flip_pairs: points that swap when mirrored, `left_eye:right_eye`; if
            empty those of `flip_pairs.txt`, else by the names; `none` for none.
        normalizer: points whose distance divides the errors,
            `left_eye:right_eye`; the box if empty.
        point_origin: coordinate of the first pixel's centre, of points and boxes.
    """

    train: str = "annotations/train.json"
    val: str = "annotations/val.json"
    test: str = "annotations/test.json"
    annotations: str = ""
    ratios: tuple[float, ...] = (0.8, 0.2)
    seed: int = 0
    images: str = ""
    category: str = ""
    flip_pairs: tuple[str, ...] = ()
    normalizer: str = ""
    point_origin: float = 0.0


@dataclasses.dataclass(frozen=True)
class ImageFile:
    """An entry of 'images'.

    Attributes:
        name: of the file, below the folder of the images.
        size: (height, width) in pixels, if the entry tells both.
    """

    name: str
    size: tuple[float, float] | None


@dataclasses.dataclass(frozen=True)
class Category:
    """The category with key points.

    Attributes:
        id: its number in the annotations.
        names: names of the points.
        skeleton: pairs of points to join, from 0.
    """

    id: int
    names: tuple[str, ...]
    skeleton: tuple[tuple[int, ...], ...]


class LandmarksCOCO(LandmarkSource):
    """Own images with key points in COCO's JSON format.

    ```
    SOURCE/annotations/train.json  val.json  test.json
    SOURCE/images/ ...
    ```

    Each annotation with key points is one record; its box is the square around
    `bbox`. Key points with v = 0 count as not annotated, v = 1 as hidden.
    """

    Options: ClassVar[type] = LandmarksCOCOOptions
    source_decides: ClassVar[bool] = True

    def __init__(self, source: Path, options: LandmarksCOCOOptions) -> None:
        super().__init__(source, options)
        self.point_origin = options.point_origin
        self._documents = self._read_documents()
        found = {
            path: read_category(path, document, options.category)
            for path, document in self._documents.values()
        }
        (first, category), *rest = found.items()
        for path, other in rest:
            if other.names != category.names:
                raise DataError(
                    f"{path} has {len(other.names)} key points {list(other.names)}, "
                    f"{first} has {len(category.names)}: {list(category.names)}"
                )
        self._categories = found
        self.tight_boxes = not any(
            annotation.get("bbox")
            for path, document in self._documents.values()
            for annotation in document["annotations"]
            if annotation.get("category_id") == found[path].id
        )
        self.point_set = own_point_set(
            category.names,
            source,
            options.flip_pairs,
            options.normalizer,
            category.skeleton,
        )

    def read(self) -> SplitItems:
        """The annotations with key points, in the order of the files.

        Raises:
            DataError: naming the file and the annotation at fault.
        """
        faces = {
            split: self._read_faces(split, path, document)
            for split, (path, document) in self._documents.items()
        }
        if self.options.annotations:
            options = self.options
            cut = cut_by_image(faces[""], self.source, options.ratios, options.seed)
            return SplitItems(cut)
        check_apart(faces)
        return SplitItems(faces)

    def _read_documents(self) -> dict[str, tuple[Path, Mapping[str, Any]]]:
        defaults = LandmarksCOCOOptions()
        if self.options.annotations:
            for split in SPLITS:
                if getattr(self.options, split) != getattr(defaults, split):
                    raise DataError(
                        f"options annotations={self.options.annotations} and "
                        f"{split}={getattr(self.options, split)}: give one file to be "
                        "cut or those of the splits"
                    )
            path = self.source / self.options.annotations
            return {"": (path, read_document(path))}
        documents = {}
        for split in SPLITS:
            name = getattr(self.options, split)
            path = self.source / name
            if path.is_file() or name != getattr(defaults, split):
                documents[split] = (path, read_document(path))
        if not documents:
            raise DataError(
                f"{self.source} has none of {defaults.train}, {defaults.val}, "
                f"{defaults.test}; name your files with the options train, val and "
                "test, or annotations"
            )
        return documents

    def _read_faces(
        self, split: str, path: Path, document: Mapping[str, Any]
    ) -> list[LandmarkItem]:
        option = self.options.images.replace("{split}", split)
        images = image_folder(self.source, option, ("images",))
        files = _image_files(path, document)
        category = self._categories[path]
        chosen, skipped = [], 0
        for number, annotation in enumerate(document["annotations"], start=1):
            if annotation.get("category_id") != category.id:
                continue
            where = f"{path}: annotation {annotation.get('id', f'number {number}')}"
            points = _keypoints(annotation, len(category.names), where)
            if not (points[:, 2] > 0).any():
                skipped += 1
                continue
            image_id = annotation.get("image_id")
            if not isinstance(image_id, int | str) or image_id not in files:
                raise DataError(
                    f"{where} is on image {image_id!r}, which is not listed under "
                    "'images'"
                )
            chosen.append((files[image_id], points, annotation, where))
        if skipped:
            _log.info("%s: skipped %d annotations without key points", path, skipped)
        if not chosen:
            raise DataError(f"{path} has no annotation with key points")
        names = name_faces([file.name for file, *_ in chosen])
        return [
            _face(file, images, name, *rest)
            for (file, *rest), name in zip(chosen, names, strict=True)
        ]


def read_document(path: Path) -> Mapping[str, Any]:
    """A JSON file with the three lists of COCO.

    Raises:
        DataError: if it is missing, no JSON, or lacks a list of objects.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is not valid JSON: {error}") from None
    for key in ("images", "annotations", "categories"):
        if not isinstance(document, dict) or not isinstance(document.get(key), list):
            raise DataError(
                f"{path} has no list {key!r}; COCO key points have images, annotations "
                "and categories"
            )
        odd = [entry for entry in document[key] if not isinstance(entry, dict)]
        if odd:
            raise DataError(
                f"{path}: an entry of {key!r} is {odd[0]!r}, expected an object"
            )
    return document


def read_category(path: Path, document: Mapping[str, Any], wanted: str) -> Category:
    """The category that has key points.

    Args:
        path: the file, for messages.
        document: its content.
        wanted: its name; empty if there is only one.

    Raises:
        DataError: if there is none, or several to choose from; if its names are
            no list or not different, or the skeleton joins points that do not
            exist.
    """
    candidates = [c for c in document["categories"] if c.get("keypoints")]
    named = [c for c in candidates if wanted in ("", c.get("name"))]
    if not candidates:
        raise DataError(
            f"{path} has no category with 'keypoints' (a list of their names); is it a "
            "file of boxes only?"
        )
    if len(named) != 1:
        known = ", ".join(repr(c.get("name")) for c in candidates)
        raise DataError(
            f"{path}: categories with key points are {known}; choose one with the "
            "option category"
        )
    (category,) = named
    if "id" not in category:
        raise DataError(f"{path}: the category with key points has no 'id'")
    if not isinstance(category["keypoints"], list):
        raise DataError(
            f"{path}: 'keypoints' of the category is {category['keypoints']!r}, "
            "expected a list of names"
        )
    names = tuple(map(str, category["keypoints"]))
    doubled = [name for name, count in Counter(names).items() if count > 1]
    if doubled:
        raise DataError(f"{path}: key point {doubled[0]!r} is named twice")
    return Category(category["id"], names, _skeleton(path, category, len(names)))


def _skeleton(
    path: Path, category: Mapping[str, Any], num_points: int
) -> tuple[tuple[int, ...], ...]:
    """Pairs of points from 0, of pairs from 1; none where it is null or absent."""
    pairs = category.get("skeleton") or []
    if not isinstance(pairs, list):
        raise DataError(f"{path}: skeleton is {pairs!r}, expected a list of pairs")
    for pair in pairs:
        if not isinstance(pair, list) or not all(isinstance(end, int) for end in pair):
            raise DataError(f"{path}: skeleton has {pair!r}, expected two numbers")
        if any(not 1 <= end <= num_points for end in pair):
            raise DataError(
                f"{path}: skeleton {pair} joins points outside 1..{num_points}"
            )
    return tuple(tuple(end - 1 for end in pair) for pair in pairs)


def _image_files(path: Path, document: Mapping[str, Any]) -> dict[int | str, ImageFile]:
    files = {}
    for number, entry in enumerate(document["images"], start=1):
        where = f"{path}: entry {number} of 'images'"
        for key in ("id", "file_name"):
            if key not in entry:
                raise DataError(f"{where} has no {key!r}")
        if not isinstance(entry["id"], int | str):
            raise DataError(f"{where} has the id {entry['id']!r}, expected a number")
        size = entry.get("height"), entry.get("width")
        known = all(isinstance(side, int | float) for side in size)
        name = check_image_name(entry["file_name"], where)
        files[entry["id"]] = ImageFile(name, size if known else None)
    return files


def _keypoints(
    annotation: Mapping[str, Any], num_points: int, where: str
) -> np.ndarray:
    """x, y and v of each point, float64 [K, 3]; all zero if there are none."""
    values = annotation.get("keypoints") or [0] * (3 * num_points)
    if not isinstance(values, list):
        raise DataError(f"{where}: keypoints are {values!r}, expected a list")
    if len(values) != 3 * num_points:
        raise DataError(
            f"{where} has {len(values) / 3:g} key points, expected {num_points}"
        )
    for index, value in enumerate(values):
        if not isinstance(value, int | float) or not math.isfinite(value):
            raise DataError(
                f"{where}, key point {index // 3} {'xyv'[index % 3]}: {value!r} is not "
                "a finite number"
            )
    points = np.array(values, np.float64).reshape(num_points, 3)
    if not np.isin(points[:, 2], (0, 1, 2)).all():
        wrong = points[~np.isin(points[:, 2], (0, 1, 2)), 2][0]
        raise DataError(f"{where}: visibility v is {wrong:g}, expected 0, 1 or 2")
    return points


def _face(
    file: ImageFile,
    images: Path,
    name: str,
    points: np.ndarray,
    annotation: Mapping[str, Any],
    where: str,
) -> LandmarkItem:
    annotated = points[:, 2] > 0
    if annotation.get("bbox"):
        x, y, width, height = _bbox(annotation["bbox"], where)
        box = box_from_corners((x, y, x + width, y + height), where)
    else:
        box = box_around(points[annotated, :2], where)
    return LandmarkItem(
        image=images / file.name,
        image_id=name,
        points=np.where(annotated[:, None], points[:, :2], 0.0),
        visible=(points[:, 2] == 2).astype(np.uint8),
        annotated=annotated.astype(np.uint8),
        box=box,
        box_size=box.scale * BOX_UNIT,
        where=where,
        image_size=file.size,
    )


def _bbox(values: Any, where: str) -> Sequence[float]:
    listed = values if isinstance(values, list) else []
    numbers = [value for value in listed if isinstance(value, int | float)]
    if len(listed) != 4 or len(numbers) != 4 or not np.isfinite(numbers).all():
        raise DataError(
            f"{where}: bbox is {values}, expected [x, y, width, height] in pixels"
        )
    return numbers
