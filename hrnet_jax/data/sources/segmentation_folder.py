"""A folder of custom images and masks."""

import dataclasses
from pathlib import Path
from typing import ClassVar

from hrnet_jax.data.files.image_files import IMAGE_SUFFIXES, label_table, read_label
from hrnet_jax.data.files.splitting import SPLITS, split_by_ratio
from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.data.points.custom import NO_PAIRS, Pairs, pairs_by_side, pairs_of_option
from hrnet_jax.data.sources.image_label_pairs import (
    FilePair,
    FileSource,
    check_files_exist,
)
from hrnet_jax.errors import DataError
from hrnet_jax.imaging.palette import default_palette

NO_IGNORE_LABEL = -1


@dataclasses.dataclass(frozen=True)
class FolderOptions:
    """Options of the preparation.

    Attributes:
        classes: class names in label order; read from `classes_file` if empty.
        classes_file: file in the source folder, one class name a line.
        label_values: the mask value of each class; 0, 1, 2, ... if empty.
        ignore_label: mask value to ignore; -1 if there is none.
        ratios: shares of train, val and test, used when there is no
            `train.txt`.
        seed: seed of that random split.
        flip_pairs: classes that swap when mirrored, as `left arm:right arm`; `none`
            for none; required where names differ in the side only.
        images: name of the image folder.
        masks: name of the mask folder.
    """

    classes: tuple[str, ...] = ()
    classes_file: str = "classes.txt"
    label_values: tuple[int, ...] = ()
    ignore_label: int = 255
    ratios: tuple[float, ...] = (0.8, 0.2)
    seed: int = 0
    flip_pairs: tuple[str, ...] = ()
    images: str = "images"
    masks: str = "masks"


class SegmentationFolder(FileSource):
    """Own images with label masks, split by lists or by ratio.

    ```
    SOURCE/images/a.jpg  b.png  park/c.jpg ...
    SOURCE/masks/a.png   b.png  park/c.png ...   8-bit label PNG or palette PNG
    SOURCE/classes.txt                           one class name a line
    SOURCE/train.txt  val.txt  test.txt          optional: image names, by line
    ```
    """

    Options: ClassVar[type] = FolderOptions
    source_decides: ClassVar[bool] = True

    def __init__(self, source: Path, options: FolderOptions) -> None:
        super().__init__(source, options)
        self.class_names = self._read_class_names()
        self.flip_pairs = self._flip_pairs()
        values = self._label_values()
        ignored = options.ignore_label
        ignored = None if ignored == NO_IGNORE_LABEL else ignored
        self.table = label_table(values, ignored)
        ranges = f"0..{len(values) - 1}" if values == list(range(len(values))) else ""
        also = "" if ignored is None else f" or {ignored} (ignored)"
        self.meaning = f"{ranges or values}{also} for {len(values)} classes"

    def info(self, name: str) -> DatasetInfo:
        """Names, and the colours of the first palette mask."""
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
                two splits.
        """
        images = self._images()
        if (self.source / "train.txt").is_file():
            return self._listed_splits(images)
        self._check_masks_have_images(images)
        splits = split_by_ratio(sorted(images), self.options.ratios, self.options.seed)
        pairs = {
            split: [self._pair(images[key], key) for key in keys]
            for split, keys in splits.items()
        }
        check_files_exist(pairs, f"{self.source / self.options.images}")
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

    def _read_class_names(self) -> tuple[str, ...]:
        if self.options.classes:
            names = list(self.options.classes)
            where = "option classes"
        else:
            path = self.source / self.options.classes_file
            if not path.is_file():
                raise DataError(
                    f"{path} is missing; write one class name a line, or give the "
                    "option classes=name,name,..."
                )
            lines = [line.strip() for line in path.read_text().splitlines()]
            names = _without_numbers([line for line in lines if line])
            where = str(path)
        if len(names) < 2 or len(names) > 255:
            raise DataError(
                f"{where} names {len(names)} classes, expected 2..255; a binary task "
                "has two, for example background and object"
            )
        doubled = sorted({name for name in names if names.count(name) > 1})
        if doubled:
            raise DataError(f"{where} names class {doubled[0]!r} twice")
        return tuple(names)

    def _label_values(self) -> list[int]:
        values = list(self.options.label_values) or list(range(len(self.class_names)))
        if len(values) != len(self.class_names):
            raise DataError(
                f"label_values gives {len(values)} values for "
                f"{len(self.class_names)} classes"
            )
        if len(set(values)) != len(values) or not all(0 <= v <= 255 for v in values):
            raise DataError(f"label_values must be different and 0..255, got {values}")
        ignored = self.options.ignore_label
        if ignored in values:
            name = self.class_names[values.index(ignored)]
            raise DataError(
                f"ignore_label {ignored} is also the mask value of class {name!r}; "
                f"give another ignore_label, {NO_IGNORE_LABEL} for none"
            )
        if not NO_IGNORE_LABEL <= ignored <= 255:
            raise DataError(f"ignore_label must be -1..255, got {ignored}")
        return values

    def _images(self) -> dict[str, Path]:
        """Images by their path below the folder, without suffix."""
        folder = self.source / self.options.images
        if not folder.is_dir():
            raise DataError(f"{folder} is missing; expected the images there")
        if not (self.source / self.options.masks).is_dir():
            raise DataError(
                f"{self.source / self.options.masks} is missing; expected the masks "
                "there, one PNG for each image"
            )
        images: dict[str, Path] = {}
        for path in sorted(folder.rglob("*")):
            if path.suffix.lower() not in IMAGE_SUFFIXES:
                continue
            key = path.relative_to(folder).with_suffix("").as_posix()
            if key in images:
                raise DataError(f"{images[key]} and {path} share the mask {key}.png")
            images[key] = path
        if not images:
            raise DataError(f"{folder} has no images ({', '.join(IMAGE_SUFFIXES)})")
        return images

    def _pair(self, image: Path, key: str) -> FilePair:
        return FilePair(
            image, self.source / self.options.masks / f"{key}.png", image_id=key
        )

    def _check_masks_have_images(self, images: dict[str, Path]) -> None:
        folder = self.source / self.options.masks
        for path in sorted(folder.rglob("*.png")):
            key = path.relative_to(folder).with_suffix("").as_posix()
            if key not in images:
                raise DataError(
                    f"mask {path} has no image {self.source / self.options.images}/"
                    f"{key} ({', '.join(IMAGE_SUFFIXES)})"
                )

    def _listed_splits(self, images: dict[str, Path]) -> dict[str, list[FilePair]]:
        splits: dict[str, list[FilePair]] = {}
        seen: dict[str, str] = {}
        for split in SPLITS:
            path = self.source / f"{split}.txt"
            if not path.is_file():
                continue
            splits[split] = []
            for number, line in enumerate(path.read_text().splitlines(), start=1):
                if not line.strip():
                    continue
                key = self._listed_key(line.strip(), images, f"{path}:{number}")
                if key in seen:
                    raise DataError(
                        f"{path}:{number}: image {key!r} is already in {seen[key]}"
                    )
                seen[key] = path.name
                splits[split].append(self._pair(images[key], key))
            if not splits[split]:
                raise DataError(f"{path} lists no images")
        check_files_exist(splits, f"{self.source}/{{split}}.txt")
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
        stored = read_label(first.label).palette
        values = self._label_values()
        if stored is not None and len(stored) > max(values):
            return tuple(stored[value] for value in values)
        return default_palette(len(values))


def _without_numbers(lines: list[str]) -> list[str]:
    """Drops labels where every line begins with its own: `0 sky`, `1 road`."""
    words = [line.split(maxsplit=1) for line in lines]
    numbered = all(
        len(parts) == 2 and parts[0].rstrip(":,") == str(number)
        for number, parts in enumerate(words)
    )
    return [parts[1] for parts in words] if numbered else lines
