"""Label maps of COCO's panoptic files: a JSON file and a folder of PNG of segments."""

import dataclasses
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from hrnet_jax.data.files.coco_json import Document, Id, as_id, read_document, shown
from hrnet_jax.data.files.coco_layouts import AnnotationFiles, annotation_files
from hrnet_jax.data.files.file_names import check_image_name
from hrnet_jax.data.files.findings import Findings
from hrnet_jax.data.files.image_names import ImageFinder
from hrnet_jax.data.files.label_files import LabelFile, label_table, read_label
from hrnet_jax.data.files.splitting import SPLITS, split_by_ratio
from hrnet_jax.data.info import IGNORE_LABEL, DatasetInfo
from hrnet_jax.data.objects.coco_file import read_categories, read_images
from hrnet_jax.data.points.custom import flip_pairs_of_classes
from hrnet_jax.data.points.source import image_folder
from hrnet_jax.data.sources.image_label_pairs import (
    FilePair,
    FileSource,
    check_files_exist,
)
from hrnet_jax.errors import DataError
from hrnet_jax.imaging.palette import Colour, default_palette

_LAYOUTS = tuple(
    {split: f"annotations/panoptic_{split}{year}.json" for split in SPLITS}
    for year in ("2017", "")
)
# A segment's number of its red, green and blue.
_PACK = np.array([1, 1 << 8, 1 << 16], np.int32)


@dataclasses.dataclass(frozen=True)
class PanopticOptions(AnnotationFiles):
    """Options of the preparation.

    Attributes:
        images: folder of the images, with `{split}` for the split; `{split}2017`,
            `images` and the source folder itself, if empty.
        segments: folder of the PNG files, with `{split}` for the split; the name of
            the annotation file without its ending, if empty.
        flip_pairs: classes that swap when mirrored, as `left arm:right arm`; `none`
            for none; required where names differ in the side only.
    """

    segments: str = ""
    flip_pairs: tuple[str, ...] = ()


class SegmentationPanoptic(FileSource):
    """Images with COCO's panoptic annotations, as label maps of all its categories.

    ```
    SOURCE/annotations/panoptic_train2017.json  panoptic_val2017.json
    SOURCE/annotations/panoptic_train2017/NAME.png  (or beside `annotations`)
    SOURCE/train2017/NAME.jpg  val2017/
    ```

    A pixel without a segment is ignored.
    """

    Options: ClassVar[type] = PanopticOptions
    source_decides: ClassVar[bool] = True

    def __init__(self, source: Path, options: Any) -> None:
        super().__init__(source, options)
        self.findings = Findings()
        self._segments: dict[Path, dict[int, int]] = {}

    def info(self, name: str) -> DatasetInfo:
        """Names and colours of the categories, the splits that are there."""
        names, colours = self._classes
        splits = [split for split in SPLITS if self.splits().get(split)]
        return DatasetInfo(
            name=name,
            num_classes=len(names),
            class_names=names,
            palette=colours,
            flip_pairs=flip_pairs_of_classes(self.options.flip_pairs, names),
            default_splits={
                "train": splits[0],
                "eval": "val" if "val" in splits else splits[-1],
            },
            findings=self.findings.listed(),
        )

    @property
    def table(self) -> np.ndarray:  # type: ignore[override]
        """Labels as `label_file` gives them."""
        return label_table(range(len(self._classes[0])), IGNORE_LABEL)

    meaning = "the categories"

    def splits(self) -> dict[str, list[FilePair]]:
        """The images of all files.

        Raises:
            DataError: naming the file and the annotation at fault.
        """
        return self._splits

    def label_file(self, item: FilePair) -> LabelFile:
        """Labels of a PNG of segments.

        Raises:
            DataError: naming the file, and segments that its annotation does not have.
        """
        path = item.label
        assert path is not None
        values = read_label(path).values
        if values.ndim != 3:
            raise DataError(
                f"{path} has one channel, expected segments in red, green and blue"
            )
        numbers, places, counts = np.unique(
            values.astype(np.int32) @ _PACK, return_inverse=True, return_counts=True
        )
        known = self._segments[path] | {0: IGNORE_LABEL}
        wrong = [k for k, number in enumerate(numbers.tolist()) if number not in known]
        if wrong:
            shown_ones = ", ".join(
                f"{numbers[k]} ({counts[k]} pixels)" for k in wrong[:5]
            )
            raise DataError(
                f"{path} holds segment {shown_ones}"
                f"{f' and {len(wrong) - 5} more' if len(wrong) > 5 else ''}; expected "
                "those of its annotation's 'segments_info', or 0"
            )
        labels = np.array([known[number] for number in numbers.tolist()], np.uint8)
        return LabelFile(labels[places].reshape(values.shape[:2]), None)

    @functools.cached_property
    def _documents(self) -> dict[str, tuple[Path, Document]]:
        files = annotation_files(self.source, self.options, _LAYOUTS)
        what = "COCO panoptic annotations"
        return {split: (p, read_document(p, what)) for split, p in files.items()}

    @functools.cached_property
    def _classes(self) -> tuple[tuple[str, ...], tuple[Colour, ...]]:
        """Names of the categories, and their colours where all have one.

        Raises:
            DataError: if files differ in them, or they are not 2 to 255.
        """
        (path, document), *others = self._documents.values()
        names = tuple(read_categories(path, document).values())
        for other, content in others:
            if tuple(read_categories(other, content).values()) != names:
                raise DataError(f"{other} and {path} differ in their categories")
        if not 2 <= len(names) <= IGNORE_LABEL:
            raise DataError(
                f"{path} has {len(names)} categories, expected 2..{IGNORE_LABEL}"
            )
        told = {
            entry["name"].strip(): entry.get("color")
            for entry in document["categories"]
        }
        if all(map(_is_colour, told.values())):
            return names, tuple(tuple(told[name]) for name in names)  # type: ignore[misc]
        return names, default_palette(len(names))

    @functools.cached_property
    def _splits(self) -> dict[str, list[FilePair]]:
        splits = {
            split: self._pairs(split, path, document)
            for split, (path, document) in self._documents.items()
        }
        if "" in splits:
            pairs = {pair.image_id: pair for pair in splits[""]}
            options = self.options
            cut = split_by_ratio(sorted(pairs), options.ratios, options.seed)
            splits = {
                split: [pairs[key] for key in keys] for split, keys in cut.items()
            }
        check_files_exist(splits, f"{self.source}, annotations of {{split}}:")
        return splits

    def _pairs(self, split: str, path: Path, document: Document) -> list[FilePair]:
        categories = {
            key: label for label, key in enumerate(read_categories(path, document))
        }
        images = read_images(path, document, self.findings)
        option = self.options.images.replace("{split}", split)
        folders = [image_folder(self.source, option, ("images",))]
        if not option:
            near = (f"{split}2017", split, f"images/{split}", f"images/{split}2017")
            folders += [self.source / name for name in near]
        finder = ImageFinder(folders, path, self.findings)
        segments = self._segments_folder(split, path)
        pairs = []
        for number, entry in enumerate(document["annotations"], start=1):
            where = f"{path}: annotation number {number}"
            identity = as_id(entry.get("image_id")) or ""
            if identity not in images:
                raise DataError(
                    f"{where} is on image {shown(entry.get('image_id'))}, which is not "
                    "listed under 'images'"
                )
            image, name = finder.find(images[identity].name, where)
            label = segments / check_image_name(entry.get("file_name"), where)
            if label in self._segments:
                raise DataError(f"{where} names {label}, as another does")
            self._segments[label] = _segments(entry, categories, where)
            pairs.append(FilePair(image, label, Path(name).with_suffix("").as_posix()))
        if not pairs:
            raise DataError(f"{path} has no annotations")
        return pairs

    def _segments_folder(self, split: str, path: Path) -> Path:
        """The folder of the PNG files.

        Raises:
            DataError: if it is missing.
        """
        if self.options.segments:
            return self.source / self.options.segments.replace("{split}", split)
        beside = [path.with_suffix(""), self.source / path.stem]
        for folder in beside:
            if folder.is_dir():
                return folder
        raise DataError(
            f"{beside[0]} is missing; expected the PNG files of the segments there or in "
            f"{beside[1]}, or --option segments=FOLDER"
        )


def _segments(
    entry: Mapping[str, Any], categories: Mapping[Id, int], where: str
) -> dict[int, int]:
    """Number of each segment of an image -> label."""
    listed = entry.get("segments_info")
    if not isinstance(listed, list):
        raise DataError(
            f"{where} has no list 'segments_info'; expected panoptic annotations (those "
            "of instances are prepared as segmentation_coco)"
        )
    found: dict[int, int] = {}
    for segment in listed:
        told = segment if isinstance(segment, Mapping) else {}
        number, category = told.get("id"), as_id(told.get("category_id")) or ""
        if type(number) is not int or not 0 < number < 1 << 24 or number in found:
            raise DataError(
                f"{where}: a segment has the id {shown(number)}, expected a number of "
                "its own, 1..16777215"
            )
        if category not in categories:
            raise DataError(
                f"{where}: segment {number} is of category "
                f"{shown(told.get('category_id'))}, which is not listed under "
                "'categories'"
            )
        found[number] = categories[category]
    return found


def _is_colour(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 3
        and all(type(one) is int and 0 <= one <= 255 for one in value)
    )
