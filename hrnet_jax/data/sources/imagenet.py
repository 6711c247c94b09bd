"""ImageNet, ILSVRC 2012 (Russakovsky et al., IJCV 2015)."""

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar

from hrnet_jax.data.classes.archives import ArchivedImage, images_in
from hrnet_jax.data.classes.class_names import SYNSET_FILES, read_class_names
from hrnet_jax.data.classes.devkit import (
    DEVKIT,
    SOLUTION,
    SYNSET_LABELS,
    Devkit,
    image_number,
    read_real,
)
from hrnet_jax.data.classes.folders import class_folders
from hrnet_jax.data.classes.items import (
    ClassItem,
    ClassSplits,
    ImagePlace,
    unique_ids,
)
from hrnet_jax.data.classes.source import ClassSource
from hrnet_jax.data.files.listing import contents_of, listed
from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.data.objects.folders import images_below
from hrnet_jax.data.tfds_classes import describes_classes
from hrnet_jax.errors import DataError

COUNTS = {"train": 1281167, "val": 50000}
CLASSES = 1000
_ARCHIVES = {split: f"ILSVRC2012_img_{split}.tar" for split in COUNTS}
# Below the source folder; the last is Kaggle's.
_FOLDERS = ("", "ILSVRC/Data/CLS-LOC", "Data/CLS-LOC", "CLS-LOC")
_LAYOUT = (
    f"{_ARCHIVES['train']}, {_ARCHIVES['val']} with {DEVKIT}.tar.gz, or folders "
    "train/CLASS and val/CLASS, from https://image-net.org/download-images"
)


@dataclasses.dataclass(frozen=True)
class ImageNetOptions:
    """Options of the preparation.

    Attributes:
        splits: the splits to prepare.
        real: file of the ReaL labels of the validation images, `real.json`; empty for
            none.
    """

    splits: tuple[str, ...] = ("train", "val")
    real: str = ""

    def __post_init__(self):
        wrong = [split for split in self.splits if split not in COUNTS]
        if wrong or not self.splits:
            raise DataError(
                f"option splits={','.join(self.splits)}: expected some of "
                f"{', '.join(COUNTS)}"
            )


@dataclasses.dataclass(frozen=True, slots=True)
class _Image:
    """An image, its class and its name below the folder of the split."""

    place: ImagePlace
    identity: str
    name: str


class ImageNet(ClassSource):
    """ImageNet's 1000 classes, from the official archives or from folders.

    ```
    SOURCE/ILSVRC2012_img_train.tar  ILSVRC2012_img_val.tar  ILSVRC2012_devkit_t12.tar.gz
    ```

    which are not unpacked; or `train/n01440764/*.JPEG` and `val/n01440764/*.JPEG`, or
    Kaggle's folders. Classes are in the order of their ids, as everywhere.
    """

    Options: ClassVar[type] = ImageNetOptions
    published: ClassVar[bool] = True

    def info(self, name: str) -> DatasetInfo:
        """Names of the classes, which are numbered without a source."""
        if self.source is not None:
            return super().info(name)
        names = tuple(f"class {index}" for index in range(CLASSES))
        return DatasetInfo(name, 0, (), (), image_class_names=names)

    def read(self) -> ClassSplits:
        """The images of all splits.

        Raises:
            DataError: naming the archive, folder or file at fault.
        """
        devkit = Devkit(self.source)
        found = {}
        for split in self.options.splits:
            images = self._images(split, devkit)
            if images is not None:
                found[split] = images
        if not found:
            raise self._nothing_there()
        ids = sorted({one.identity for images in found.values() for one in images})
        if "train" in found:
            self._check_classes(found)
        names = self._names(ids, devkit)
        labels = {identity: label for label, identity in enumerate(ids)}
        path = Path(self.options.real).expanduser()
        real = read_real(self.source / path, len(ids)) if self.options.real else None
        splits = {
            split: self._items(images, labels, real if split == "val" else None)
            for split, images in found.items()
        }
        self._note_counts(splits, len(ids))
        return ClassSplits(
            splits, tuple(ids), tuple(names[i] for i in ids), real=real is not None
        )

    def _images(self, split: str, devkit: Devkit) -> list[_Image] | None:
        """The images of a split; None where it is not there."""
        archive = self.source / _ARCHIVES[split]
        folders = [self.source / place / split for place in _FOLDERS]
        folder = next((one for one in folders if one.is_dir()), None)
        if archive.is_file():
            return [_of_archive(one, split, devkit) for one in _checked(archive)]
        if folder is None:
            return None
        if not any(path.is_dir() for path in listed(folder)):
            places = [ImagePlace(path) for path in images_below(folder)]
            return [
                _Image(one, _by_number(one, one.path.name, devkit), one.path.name)
                for one in places
            ]
        return [
            _Image(ImagePlace(path), identity, path.relative_to(folder).as_posix())
            for identity, paths in class_folders(folder).items()
            for path in paths
        ]

    def _check_classes(self, found: Mapping[str, list[_Image]]) -> None:
        """Checks that evaluated classes are trained on.

        Raises:
            DataError: naming the class and an image of it.
        """
        known = {one.identity for one in found["train"]}
        for one in found.get("val", ()):
            if one.identity not in known:
                raise DataError(
                    f"{one.place} is of the class {one.identity!r}, of which 'train' has "
                    "no image"
                )

    def _names(self, ids: list[str], devkit: Devkit) -> dict[str, str]:
        if devkit.names:
            return {identity: devkit.names.get(identity, identity) for identity in ids}
        for name in SYNSET_FILES:
            if (self.source / name).is_file():
                return read_class_names(self.source / name, ids, others=True)
        return {identity: identity for identity in ids}

    def _items(
        self,
        images: list[_Image],
        labels: Mapping[str, int],
        real: list[tuple[int, ...]] | None,
    ) -> list[ClassItem]:
        items = []
        names = unique_ids([one.name for one in images])
        for one, name in zip(images, names, strict=True):
            right: tuple[int, ...] = ()
            if real is not None:
                number = image_number(Path(one.name).name) or 0
                if not 1 <= number <= len(real):
                    raise DataError(
                        f"{self.options.real} has labels of {len(real)} images, none of "
                        f"{one.place}; expected those of ILSVRC2012_val_00000001 on"
                    )
                right = real[number - 1]
            items.append(ClassItem(one.place, name, (labels[one.identity],), right))
        return items

    def _note_counts(self, splits: Mapping[str, list[ClassItem]], classes: int) -> None:
        """Counts what the published set has more or less of."""
        if classes != CLASSES:
            what = f"classes, where {CLASSES} are published"
            self.findings.count(self.source, what, classes)
        for split, items in splits.items():
            if len(items) != COUNTS[split]:
                what = f"images of {split}, where {COUNTS[split]} are published"
                self.findings.count(self.source, what, len(items))

    def _nothing_there(self) -> DataError:
        versions = [self.source, *(path for path in listed(self.source))]
        prepared = [path for path in versions if describes_classes(path)]
        if prepared:
            name, folder = prepared[0].parent.name, prepared[0].parents[1]
            return DataError(
                f"{prepared[0]} holds records that TFDS prepared, which are read where "
                f"they lie: dataset.name={name} dataset.data_dir={folder}"
            )
        return DataError(
            f"{self.source} has neither archives nor folders of ImageNet; expected "
            f"{_LAYOUT}; found {contents_of(self.source)}"
        )


def _checked(archive: Path) -> Iterator[ArchivedImage]:
    """The images of an archive, at least one.

    Raises:
        DataError: if there is none.
    """
    empty = True
    for image in images_in(archive):
        empty = False
        yield image
    if empty:
        raise DataError(f"{archive} has no images")


def _of_archive(one: ArchivedImage, split: str, devkit: Devkit) -> _Image:
    """An image of an archive, with the class that its folder or its number tells."""
    if split == "val" and image_number(one.name) is not None and not one.folder:
        return _Image(one.place, _by_number(one.place, one.name, devkit), one.name)
    if not one.folder:
        raise DataError(
            f"{one.place} is of no class; expected an archive for each class in it, such "
            "as n01440764.tar, or a folder"
        )
    return _Image(one.place, one.folder, f"{one.folder}/{one.name}")


def _by_number(place: ImagePlace, name: str, devkit: Devkit) -> str:
    """The class of a validation image that is in no folder.

    Raises:
        DataError: if nothing tells it.
    """
    number = image_number(name)
    if not devkit.truth:
        raise DataError(
            f"{place} is in the folder of no class, and nothing else tells its class; "
            f"bring {DEVKIT}.tar.gz, {SYNSET_LABELS} or {SOLUTION} beside it"
        )
    if number is None or number not in devkit.truth:
        raise DataError(f"{place} has no class in {devkit.where}")
    return devkit.truth[number]
