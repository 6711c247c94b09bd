"""A folder of custom images and masks."""

import dataclasses
import functools
import logging
from pathlib import Path
from typing import ClassVar

from hrnet_jax.data.files.findings import Findings
from hrnet_jax.data.files.image_files import IMAGE_SUFFIXES
from hrnet_jax.data.files.label_files import read_label
from hrnet_jax.data.files.listing import contents_of, listed
from hrnet_jax.data.files.splitting import SPLITS, split_by_ratio
from hrnet_jax.data.files.text_tables import text_rows
from hrnet_jax.data.info import IGNORE_LABEL, DatasetInfo
from hrnet_jax.data.points.custom import flip_pairs_of_classes
from hrnet_jax.data.sources.class_list import read_classes
from hrnet_jax.data.sources.folder_layouts import folder_splits, layout_of
from hrnet_jax.data.sources.image_label_pairs import (
    FilePair,
    FileSource,
    check_files_exist,
)
from hrnet_jax.data.sources.mask_files import MaskFiles
from hrnet_jax.data.sources.mask_values import (
    ask_about_255,
    mask_values,
)
from hrnet_jax.errors import DataError
from hrnet_jax.imaging.palette import default_palette

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class FolderOptions:
    """Options of the preparation.

    Attributes:
        classes: class names in label order; read from `classes_file` if empty.
        classes_file: file in the source folder, one class name a line. A colour
            behind each name, as `sky #87ceeb`, is that of RGB masks and of pictures.
            None for `classes.txt`, or `labelmap.txt` of CVAT.
        ignore_colours: colours of RGB masks to ignore, as `#000000`.
        label_values: the mask value of each class; 0, 1, 2, ... if empty.
        label_map: instead, `VALUE:LABEL` for each mask value, as `0:0`, `255:1`;
            several values may have one label, `VALUE:ignore` ignores them.
        ignore_label: mask value to ignore; -1 if there is none; None for 255, unless
            that is the value of a class.
        ratios: shares of train, val and test, used when there is no
            `train.txt`.
        seed: seed of that random split.
        flip_pairs: classes that swap when mirrored, as `left arm:right arm`; `none`
            for none; required where names differ in the side only.
        images: name of the image folder; None for that of a known layout.
        masks: name of the mask folder; None for that of a known layout.
        image_suffix: what names of images end with, and those of masks do not, as
            `_leftImg8bit`.
        mask_suffix: what names of masks have behind those of images, as `_mask`.
    """

    classes: tuple[str, ...] = ()
    classes_file: str | None = dataclasses.field(
        default=None, metadata={"unsaid": "classes.txt"}
    )
    ignore_colours: tuple[str, ...] = ()
    label_values: tuple[int, ...] = ()
    label_map: tuple[str, ...] = ()
    ignore_label: int | None = dataclasses.field(
        default=None, metadata={"unsaid": IGNORE_LABEL}
    )
    ratios: tuple[float, ...] = (0.8, 0.2)
    seed: int = 0
    flip_pairs: tuple[str, ...] = ()
    images: str | None = dataclasses.field(default=None, metadata={"unsaid": "images"})
    masks: str | None = dataclasses.field(default=None, metadata={"unsaid": "masks"})
    image_suffix: str = ""
    mask_suffix: str = ""


class SegmentationFolder(FileSource):
    """Own images with label masks, split by lists or by ratio.

    ```
    SOURCE/images/a.jpg  b.png  park/c.jpg ...
    SOURCE/masks/a.png   b.png  park/c.png ...   label, palette or RGB PNG
    SOURCE/classes.txt                           one class name a line, for RGB
                                                 masks with a colour: sky #87ceeb
    SOURCE/train.txt  val.txt  test.txt          optional: image names, by line
    ```

    `images` and `masks` may be divided into `train`, `val` and `test`; masks of a test
    split may be missing. mmsegmentation's names are known as well (`img_dir`,
    `ann_dir`), and those of Pascal VOC and CVAT (`JPEGImages`, `SegmentationClass`,
    `labelmap.txt`, `ImageSets/Segmentation`).
    """

    Options: ClassVar[type] = FolderOptions
    source_decides: ClassVar[bool] = True

    def __init__(self, source: Path, options: FolderOptions) -> None:
        super().__init__(source, options)
        self.layout = layout_of(source, options)
        classes = read_classes(options.classes, source / self.layout.classes_file)
        self.findings = Findings()
        _log.info("%s: read in %s", source, self.layout.tool)
        self.class_names = classes.names
        self.class_colours = classes.colours
        self.colours = classes.labels_of_colours(options.ignore_colours)
        self.flip_pairs = flip_pairs_of_classes(options.flip_pairs, self.class_names)
        self.values = mask_values(
            self.class_names,
            options.label_values,
            options.label_map,
            options.ignore_label,
        )
        self.table = self.values.table()
        self.meaning = self.values.meaning(len(self.class_names))

    def info(self, name: str) -> DatasetInfo:
        """Names, and the colours of the classes or of the first palette mask."""
        splits = self.splits()
        used = [split for split in SPLITS if splits.get(split)]
        labelled = [split for split in used if splits[split][0].label] or used
        return DatasetInfo(
            name=name,
            num_classes=len(self.class_names),
            class_names=self.class_names,
            palette=self._palette(splits[labelled[0]][0]),
            flip_pairs=self.flip_pairs,
            default_splits={
                "train": labelled[0],
                "eval": "val" if "val" in labelled else labelled[-1],
            },
            unlabelled_splits=tuple(split for split in used if split not in labelled),
            findings=self.findings.listed(),
        )

    def splits(self) -> dict[str, list[FilePair]]:
        """Items by the lists, or by ratio where there is no `train.txt`.

        Raises:
            DataError: naming the file, for images without a mask, masks
                without an image, listed images that do not exist, an image in
                two splits; for masks of 0 and 255 only, where no option says
                what 255 is.
        """
        return self._splits

    @functools.cached_property
    def _splits(self) -> dict[str, list[FilePair]]:
        splits = self._found_splits()
        if self.values.assumed:
            pairs = (pair for pairs in splits.values() for pair in pairs)
            masks = (pair.label for pair in pairs if pair.label)
            ask_about_255(masks, self.class_names, bool(self.class_colours))
        return splits

    def _found_splits(self) -> dict[str, list[FilePair]]:
        images = self._images()
        folder = self.source / self.layout.masks
        masks = MaskFiles(folder, self.options.mask_suffix)
        lists = self.source / self.layout.lists
        splits, by_list = self._listed_splits(images, lists), True
        if not splits:
            by_list = False
            masks.check_have_images(images, self.source / self.layout.images)
            splits = folder_splits(images)
            for split, keys in splits.items():
                what = f"images, of split {split} by their folder"
                self.findings.count(self.source / self.layout.images, what, len(keys))
        splits = splits or split_by_ratio(
            sorted(images), self.options.ratios, self.options.seed
        )
        # Whoever holds back the labels of a test leaves out their folder.
        without = {"test"} if not by_list and not (folder / "test").is_dir() else set()
        without &= folder_splits(images).keys()
        pairs = {
            split: [
                FilePair(images[k], None if split in without else masks.path(k), k)
                for k in keys
            ]
            for split, keys in splits.items()
        }
        check_files_exist(
            pairs,
            f"{lists}/{{split}}.txt",
            lambda pair: masks.advice(pair.image_id, images),
        )
        return pairs

    def _images(self) -> dict[str, Path]:
        """Images by their path below the folder, without suffix."""
        folder = self.source / self.layout.images
        suffix = self.options.image_suffix
        if not folder.is_dir():
            raise DataError(
                f"{folder} is missing; expected the images there; {self.source} holds "
                f"{contents_of(self.source)}"
            )
        images: dict[str, Path] = {}
        for path in listed(folder, "**/*"):
            if path.suffix.lower() not in IMAGE_SUFFIXES:
                continue
            stem = path.relative_to(folder).with_suffix("").as_posix()
            if not stem.endswith(suffix):
                what = f"images without {suffix}, left out"
                self.findings.count(folder, what)
                continue
            key = stem.removesuffix(suffix)
            if key in images:
                raise DataError(f"{images[key]} and {path} share the mask {key}.png")
            images[key] = path
        if not images:
            ending = f" whose names end with {suffix}" if suffix else ""
            raise DataError(
                f"{folder} has no images{ending} ({', '.join(IMAGE_SUFFIXES)})"
            )
        return images

    def _listed_splits(
        self, images: dict[str, Path], folder: Path
    ) -> dict[str, list[str]]:
        """The images of the lists; of one list for all, cut by ratio.

        Nothing where there is neither `train.txt` nor `default.txt`.
        """
        if not (folder / "train.txt").is_file():
            # CVAT divides a set by the names that its user gave, or not at all.
            whole = folder / "default.txt"
            if self.layout.lists == "." or not whole.is_file():
                return {}
            keys = sorted(self._listed_keys(whole, images, {}))
            return split_by_ratio(keys, self.options.ratios, self.options.seed)
        seen: dict[str, str] = {}
        return {
            split: self._listed_keys(folder / f"{split}.txt", images, seen)
            for split in SPLITS
            if (folder / f"{split}.txt").is_file()
        }

    def _listed_keys(
        self, path: Path, images: dict[str, Path], seen: dict[str, str]
    ) -> list[str]:
        """The images of one list; adds them to those that were listed before."""
        keys = []
        for number, line in text_rows(path):
            key = self._listed_key(line, images, f"{path}:{number}")
            if key in seen:
                raise DataError(
                    f"{path}:{number}: image {key!r} is already in {seen[key]}"
                )
            seen[key] = path.name
            keys.append(key)
        if not keys:
            raise DataError(f"{path} lists no images")
        return keys

    def _listed_key(self, line: str, images: dict[str, Path], where: str) -> str:
        """Accepts `a`, `a.jpg` and `images/a.jpg`."""
        name = line.replace("\\", "/").removeprefix(f"{self.layout.images}/")
        stem, dot, suffix = name.rpartition(".")
        has_suffix = f"{dot}{suffix}".lower() in IMAGE_SUFFIXES
        for key in [name] + [stem] * has_suffix:
            key = key.removesuffix(self.options.image_suffix)
            if key in images:
                return key
        raise DataError(
            f"{where} names {line!r}, which is not in "
            f"{self.source / self.layout.images}"
        )

    def _palette(self, first: FilePair) -> tuple[tuple[int, int, int], ...]:
        if self.class_colours:
            return self.class_colours
        stored = read_label(first.label).palette if first.label else None
        # The first value of each class.
        ordered = reversed(list(self.values.labels.items()))
        values = {label: value for value, label in ordered}
        classes = range(len(self.class_names))
        if stored and all(values.get(c, len(stored)) < len(stored) for c in classes):
            return tuple(stored[values[c]] for c in classes)
        return default_palette(len(classes))
