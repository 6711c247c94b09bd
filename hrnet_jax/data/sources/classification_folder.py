"""Own images in folders, one for each class."""

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from hrnet_jax.data.classes.class_names import (
    CLASS_FILE,
    chosen_classes,
    read_class_names,
)
from hrnet_jax.data.classes.folders import class_folders, cut_classes, folder_items
from hrnet_jax.data.classes.items import ClassSplits
from hrnet_jax.data.classes.source import ClassOptions, ClassSource
from hrnet_jax.data.files.listing import contents_of, listed
from hrnet_jax.data.objects.folders import SPLIT_FOLDERS
from hrnet_jax.errors import DataError

Found = Mapping[str, Mapping[str, list[Path]]]


class ClassificationFolder(ClassSource):
    """Own images in folders, one for each class.

    ```
    SOURCE/train/cat/a.jpg  SOURCE/val/cat/b.jpg  SOURCE/test/...
    SOURCE/classes.txt      optional: FOLDER NAME of each class, in label order
    ```

    or `SOURCE/cat/a.jpg`, of which shares are cut.
    """

    Options: ClassVar[type] = ClassOptions

    def read(self) -> ClassSplits:
        """The images of all folders.

        Raises:
            DataError: naming the folder or file at fault.
        """
        options = self.options
        folders = self._split_folders()
        found: Found = {
            split: class_folders(folder)
            for split, folder in (folders or {"": self.source}).items()
        }
        names = chosen_classes(options.classes, self._names(found), self.source)
        labels = {identity: label for label, identity in enumerate(names)}
        if not folders:
            items = folder_items(found[""], self.source, labels)
            ids = tuple(names)
            splits = cut_classes(items, ids, options.ratios, options.seed)
        else:
            splits = {
                split: folder_items(images, folders[split], labels)
                for split, images in found.items()
            }
        return ClassSplits(splits, tuple(names), tuple(names.values()))

    def _split_folders(self) -> dict[str, Path]:
        """The folder of each split; none where folders of classes are to be cut."""
        names = [path.name for path in listed(self.source) if path.is_dir()]
        if not names:
            raise DataError(
                f"{self.source} has no folders; expected train/CLASS/a.jpg or "
                f"CLASS/a.jpg, found {contents_of(self.source)}"
            )
        if not all(name.lower() in SPLIT_FOLDERS for name in names):
            return {}
        splits: dict[str, Path] = {}
        for name in names:
            split = SPLIT_FOLDERS[name.lower()]
            if split in splits:
                raise DataError(
                    f"{splits[split]} and {self.source / name} are both the split "
                    f"{split!r}; keep one of them"
                )
            splits[split] = self.source / name
        return {s: splits[s] for s in ("train", "val", "test") if s in splits}

    def _names(self, found: Found) -> dict[str, str]:
        """Name of each class, by its folder."""
        first, classes = next(iter(found.items()))
        chosen = set(self.options.classes)
        for split, others in found.items():
            odd = sorted(set(others) - set(classes))
            if odd and not chosen:
                raise DataError(
                    f"split {split!r} has the class {odd[0]!r}, which {first!r} lacks; "
                    f"expected the same folders ({', '.join(sorted(classes)[:6])}, ...)"
                )
            for name in sorted(set(classes) - set(others)):
                what = f"class {name}, without images in {split}"
                self.findings.count(self.source, what)
        path = self.source / CLASS_FILE
        if path.is_file():
            return read_class_names(path, classes)
        return {name: name for name in sorted(classes)}
