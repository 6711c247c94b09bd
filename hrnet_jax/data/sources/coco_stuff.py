"""COCO-Stuff: 80 things and 91 kinds of stuff, in the two sizes it was published in."""

from pathlib import Path
from typing import ClassVar

import numpy as np

from hrnet_jax.data.class_tables import COCO_STUFF, COCO_STUFF_IDS, ClassTable
from hrnet_jax.data.files.label_files import NOT_A_LABEL, LabelFile, read_label
from hrnet_jax.data.files.matlab_labels import read_label_map
from hrnet_jax.data.info import IGNORE_LABEL
from hrnet_jax.data.sources.image_label_pairs import FilePair
from hrnet_jax.data.sources.official import (
    NamedFiles,
    OfficialSource,
    Origin,
    check_disjoint,
)

_LARGEST_ID = max(COCO_STUFF_IDS)


def _table(first: int) -> np.ndarray:
    """Table of files that hold id - 1 + `first`; the eleven unused ids are ignored."""
    table = np.full(256, NOT_A_LABEL, np.int16)
    table[first : first + _LARGEST_ID] = IGNORE_LABEL
    table[np.array(list(COCO_STUFF_IDS)) - 1 + first] = np.arange(len(COCO_STUFF))
    return table


class COCOStuff164k(OfficialSource):
    """COCO-Stuff on the images of COCO 2017 (Caesar et al., CVPR 2018): 171 classes.

    ```
    SOURCE/train2017/NAME.jpg                  val2017/NAME.jpg   (or below images/)
    SOURCE/stuffthingmaps/train2017/NAME.png   stuffthingmaps/val2017/NAME.png
    SOURCE/test2017/NAME.jpg                   test, without labels
    ```

    Files hold the id - 1, and 255 for what is unlabelled, which is ignored. So are the
    eleven ids that no class has; published readers make other classes of them.
    """

    table = _table(0)
    table[255] = IGNORE_LABEL
    meaning = f"0..{_LARGEST_ID - 1} or 255 (ignored)"
    classes: ClassVar[ClassTable] = COCO_STUFF
    origin = Origin(
        layout="{train,val}2017/NAME.jpg with stuffthingmaps/{train,val}2017/NAME.png",
        place="https://github.com/nightrome/cocostuff (stuffthingmaps_trainval2017.zip; "
        "the images at https://cocodataset.org)",
        counts={"train": 118287, "val": 5000, "test": 40670},
    )

    def find(self, split: str) -> list[FilePair]:
        """All images of a folder, by name."""
        name = f"{split}2017"
        images = NamedFiles(self.folder(name, f"images/{name}"), ".jpg")
        if split in self.origin.unlabelled:
            return images.alone()
        folders = [f"{root}/{name}" for root in ("stuffthingmaps", "annotations")]
        return self.paired(images, NamedFiles(self.folder(*folders), ".png"))


class COCOStuff10k(OfficialSource):
    """COCO-Stuff 10k, version 1.1: 9000 images to train on, 1000 to evaluate.

    The archive, with MATLAB files, or the layout of the published HRNet lists:

    ```
    SOURCE/images/NAME.jpg  annotations/NAME.mat  imageLists/train.txt  test.txt
    SOURCE/train/image/NAME.jpg  train/label/NAME.png  val/image/  val/label/
    ```

    Both hold ids, and 0 for what is unlabelled, which is ignored. So are the eleven ids
    that no class has, of which the published reader makes label 254.
    """

    table = _table(1)
    table[0] = IGNORE_LABEL
    meaning = f"0 (ignored) or 1..{_LARGEST_ID}"
    classes: ClassVar[ClassTable] = COCO_STUFF
    origin = Origin(
        layout="images/NAME.jpg, annotations/NAME.mat and imageLists/{train,test}.txt, "
        "or {train,val}/image/NAME.jpg with {train,val}/label/NAME.png",
        place="https://github.com/nightrome/cocostuff10k (cocostuff-10k-v1.1.zip)",
        counts={"train": 9000, "val": 1000},
        unlabelled=(),
    )

    def splits(self) -> dict[str, list[FilePair]]:
        """The images of the lists, or of the folders where there are none.

        Raises:
            DataError: naming what is missing, or an image in two splits.
        """
        splits = super().splits()
        check_disjoint(splits)
        return splits

    def find(self, split: str) -> list[FilePair]:
        """Pairs of the archive, or of folders."""
        pairs = self.hrnet_pairs(split)
        if pairs is not None:
            return pairs
        names = {"train": "train", "val": "test"}
        return self.listed_pairs(
            self.file(f"imageLists/{names[split]}.txt"),
            (self.folder("images"), ".jpg"),
            (self.folder("annotations"), ".mat"),
        )

    def label_file(self, item: FilePair) -> LabelFile:
        """PNG, or the array `S` of a MATLAB file."""
        path = Path(item.label or "")
        return read_label_map(path, "S") if path.suffix == ".mat" else read_label(path)
