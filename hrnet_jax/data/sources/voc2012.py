"""PASCAL VOC 2012, semantic segmentation: 20 classes and the background."""

from typing import ClassVar

from hrnet_jax.data.class_tables import VOC2012 as CLASSES
from hrnet_jax.data.class_tables import ClassTable
from hrnet_jax.data.files.label_files import label_table
from hrnet_jax.data.info import IGNORE_LABEL
from hrnet_jax.data.sources.image_label_pairs import FilePair
from hrnet_jax.data.sources.official import (
    OfficialSource,
    Origin,
    check_disjoint,
)


class VOC2012(OfficialSource):
    """PASCAL VOC 2012 (Everingham et al., IJCV 2015): 21 classes, borders ignored.

    ```
    SOURCE/JPEGImages/ID.jpg                    the folder VOCdevkit/VOC2012
    SOURCE/SegmentationClass/ID.png             palette PNG, 255 at the borders
    SOURCE/ImageSets/Segmentation/train.txt  val.txt  test.txt  trainaug.txt
    SOURCE/SegmentationClassAug/ID.png          labels of the split train_aug, which
                                                has the images of Hariharan et al.,
                                                ICCV 2011, as well
    ```
    """

    table = label_table(range(len(CLASSES)), IGNORE_LABEL)
    meaning = f"0..{len(CLASSES) - 1} or 255 (borders, ignored)"
    classes: ClassVar[ClassTable] = CLASSES
    origin = Origin(
        layout="the folder VOCdevkit/VOC2012: JPEGImages/ID.jpg, "
        "SegmentationClass/ID.png and ImageSets/Segmentation/SPLIT.txt, and for the "
        "split train_aug SegmentationClassAug/ID.png and "
        "ImageSets/Segmentation/trainaug.txt",
        place="http://host.robots.ox.ac.uk/pascal/VOC/voc2012/ (the labels of train_aug "
        "are those of http://home.bharathh.info/pubs/codes/SBD/download.html as PNG)",
        counts={"train": 1464, "val": 1449, "test": 1456, "train_aug": 10582},
    )

    def splits(self) -> dict[str, list[FilePair]]:
        """The images of the lists.

        Raises:
            DataError: naming what is missing, or an image to train on that is evaluated.
        """
        splits = super().splits()
        for train in ("train", "train_aug"):
            others = {k: v for k, v in splits.items() if k in (train, "val", "test")}
            check_disjoint(others)
        return splits

    def find(self, split: str) -> list[FilePair]:
        """Pairs of a list."""
        name = "trainaug" if split == "train_aug" else split
        folder = "SegmentationClassAug" if split == "train_aug" else "SegmentationClass"
        path = self.file(f"ImageSets/Segmentation/{name}.txt")
        labels = None
        if split not in self.origin.unlabelled:
            labels = self.folder(folder), ".png"
        return self.listed_pairs(path, (self.folder("JPEGImages"), ".jpg"), labels)
