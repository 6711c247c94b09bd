"""A folder of custom images and masks."""

import dataclasses
import functools
from pathlib import Path
from typing import ClassVar

from hrnet_jax.data.files.image_files import IMAGE_SUFFIXES
from hrnet_jax.data.files.label_files import read_label
from hrnet_jax.data.files.listing import listed
from hrnet_jax.data.files.splitting import SPLITS, split_by_ratio
from hrnet_jax.data.files.text_tables import text_rows
from hrnet_jax.data.info import IGNORE_LABEL, DatasetInfo
from hrnet_jax.data.points.custom import NO_PAIRS, Pairs, pairs_by_side, pairs_of_option
from hrnet_jax.data.sources.class_list import read_classes
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


@dataclasses.dataclass(frozen=True)
class FolderOptions:
    """Options of the preparation.

    Attributes:
        classes: class names in label order; read from `classes_file` if empty.
        classes_file: file in the source folder, one class name a line. A colour
            behind each name, as `sky #87ceeb`, is that of RGB masks and of pictures.
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
        images: name of the image folder.
        masks: name of the mask folder.
        mask_suffix: what names of masks have behind those of images, as `_mask`.
    """

    classes: tuple[str, ...] = ()
    classes_file: str = "classes.txt"
    ignore_colours: tuple[str, ...] = ()
    label_values: tuple[int, ...] = ()
    label_map: tuple[str, ...] = ()
    ignore_label: int | None = dataclasses.field(
        default=None, metadata={"unsaid": IGNORE_LABEL}
    )
    ratios: tuple[float, ...] = (0.8, 0.2)
    seed: int = 0
    flip_pairs: tuple[str, ...] = ()
    images: str = "images"
    masks: str = "masks"
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
    """

    Options: ClassVar[type] = FolderOptions
    source_decides: ClassVar[bool] = True

    def __init__(self, source: Path, options: FolderOptions) -> None:
        super().__init__(source, options)
        classes = read_classes(options.classes, source / options.classes_file)
        self.class_names = classes.names
        self.class_colours = classes.colours
        self.colours = classes.labels_of_colours(options.ignore_colours)
        self.flip_pairs = self._flip_pairs()
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
        return DatasetInfo(
            name=name,
            num_classes=len(self.class_names),
            class_names=self.class_names,
            palette=self._palette(splits[used[0]][0]),
            flip_pairs=self.flip_pairs,
            default_splits={
                "train": used[0],
                "eval": "val" if "val" in used else used[-1],
            },
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
            masks = (pair.label for pairs in splits.values() for pair in pairs)
            ask_about_255(masks, self.class_names, bool(self.class_colours))
        return splits

    def _found_splits(self) -> dict[str, list[FilePair]]:
        images = self._images()
        masks = MaskFiles(self.source / self.options.masks, self.options.mask_suffix)
        if (self.source / "train.txt").is_file():
            splits = self._listed_splits(images)
        else:
            masks.check_have_images(images, self.source / self.options.images)
            splits = split_by_ratio(
                sorted(images), self.options.ratios, self.options.seed
            )
        pairs = {
            split: [FilePair(images[key], masks.path(key), key) for key in keys]
            for split, keys in splits.items()
        }
        check_files_exist(
            pairs,
            f"{self.source}/{{split}}.txt",
            lambda pair: masks.advice(pair.image_id, images),
        )
        return pairs

    def _flip_pairs(self) -> Pairs:
        """The pairs of the option.

        Raises:
            DataError: for a pair that is none, and if the option is missing although
                the names look like pairs: mirrored images would teach them wrongly.
        """
        if self.options.flip_pairs == (NO_PAIRS,):
            return ()
        if self.options.flip_pairs:
            return pairs_of_option(self.options.flip_pairs, self.class_names, "classes")
        guess = pairs_by_side(self.class_names)
        if guess:
            named = ",".join(
                f"{self.class_names[a]}:{self.class_names[b]}" for a, b in guess
            )
            raise DataError(
                f"some of the classes differ in left and right only ({named}), and "
                "mirrored images need to know which classes swap: give the option "
                f"flip_pairs={named!r} if these do, flip_pairs={NO_PAIRS} where none do"
            )
        return ()

    def _images(self) -> dict[str, Path]:
        """Images by their path below the folder, without suffix."""
        folder = self.source / self.options.images
        if not folder.is_dir():
            raise DataError(f"{folder} is missing; expected the images there")
        images: dict[str, Path] = {}
        for path in listed(folder, "**/*"):
            if path.suffix.lower() not in IMAGE_SUFFIXES:
                continue
            key = path.relative_to(folder).with_suffix("").as_posix()
            if key in images:
                raise DataError(f"{images[key]} and {path} share the mask {key}.png")
            images[key] = path
        if not images:
            raise DataError(f"{folder} has no images ({', '.join(IMAGE_SUFFIXES)})")
        return images

    def _listed_splits(self, images: dict[str, Path]) -> dict[str, list[str]]:
        splits: dict[str, list[str]] = {}
        seen: dict[str, str] = {}
        for split in SPLITS:
            path = self.source / f"{split}.txt"
            if not path.is_file():
                continue
            splits[split] = []
            for number, line in text_rows(path):
                key = self._listed_key(line, images, f"{path}:{number}")
                if key in seen:
                    raise DataError(
                        f"{path}:{number}: image {key!r} is already in {seen[key]}"
                    )
                seen[key] = path.name
                splits[split].append(key)
            if not splits[split]:
                raise DataError(f"{path} lists no images")
        return splits

    def _listed_key(self, line: str, images: dict[str, Path], where: str) -> str:
        """Accepts `a`, `a.jpg` and `images/a.jpg`."""
        name = line.replace("\\", "/").removeprefix(f"{self.options.images}/")
        stem, dot, suffix = name.rpartition(".")
        has_suffix = f"{dot}{suffix}".lower() in IMAGE_SUFFIXES
        for key in [name] + [stem] * has_suffix:
            if key in images:
                return key
        raise DataError(
            f"{where} names {line!r}, which is not in "
            f"{self.source / self.options.images}"
        )

    def _palette(self, first: FilePair) -> tuple[tuple[int, int, int], ...]:
        if self.class_colours:
            return self.class_colours
        stored = read_label(first.label).palette
        # The first value of each class.
        ordered = reversed(list(self.values.labels.items()))
        values = {label: value for value, label in ordered}
        classes = range(len(self.class_names))
        if stored and all(values.get(c, len(stored)) < len(stored) for c in classes):
            return tuple(stored[values[c]] for c in classes)
        return default_palette(len(classes))
