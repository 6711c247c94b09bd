"""LIP: single persons, 19 parts of body and clothes and the background."""

from typing import ClassVar

from hrnet_jax.data.class_tables import LIP as CLASSES
from hrnet_jax.data.class_tables import ClassTable
from hrnet_jax.data.files.label_files import label_table
from hrnet_jax.data.info import IGNORE_LABEL, pairs_from_names
from hrnet_jax.data.sources.image_label_pairs import FilePair
from hrnet_jax.data.sources.official import (
    NamedFiles,
    OfficialSource,
    Origin,
    check_disjoint,
)

_LABELS = "TrainVal_parsing_annotations"


class LIP(OfficialSource):
    """LIP, single persons (Gong et al., CVPR 2017): 20 classes, sides swap in mirrors.

    ```
    SOURCE/TrainVal_images/train_images/ID.jpg  val_images/ID.jpg
    SOURCE/TrainVal_parsing_annotations/train_segmentations/ID.png  val_segmentations/
    SOURCE/train_id.txt  val_id.txt                 optional: the names, one a line
    SOURCE/Testing_images/testing_images/ID.jpg     test, without labels
    ```

    Some of the JPEG files are grey; their records decode to three equal channels.
    """

    table = label_table(range(len(CLASSES)), IGNORE_LABEL)
    meaning = f"0..{len(CLASSES) - 1} or 255 (ignored)"
    classes: ClassVar[ClassTable] = CLASSES
    flip_pairs = pairs_from_names(
        [(f"left-{part}", f"right-{part}") for part in ("arm", "leg", "shoe")],
        tuple(CLASSES),
    )
    origin = Origin(
        layout=f"TrainVal_images/SPLIT_images/ID.jpg with {_LABELS}/"
        "SPLIT_segmentations/ID.png",
        place="https://sysu-hcp.net/lip/",
        counts={"train": 30462, "val": 10000, "test": 10000},
    )

    def splits(self) -> dict[str, list[FilePair]]:
        """The images of the lists, or all of a folder that has none.

        Raises:
            DataError: naming what is missing, or an image in two splits.
        """
        splits = super().splits()
        check_disjoint(splits)
        return splits

    def find(self, split: str) -> list[FilePair]:
        """Pairs by `SPLIT_id.txt`, where it is there."""
        if split in self.origin.unlabelled:
            images = self.folder("Testing_images/testing_images", "testing_images")
            labels = None
        else:
            images = self.folder(f"TrainVal_images/{split}_images", f"{split}_images")
            # The archive of the annotations holds a folder of its own name.
            names = [f"{_LABELS}/{split}_segmentations"]
            labels = self.folder(*names, f"{_LABELS}/{names[0]}")
        for path in (self.source, images.parent):
            if (path / f"{split}_id.txt").is_file():
                return self.listed_pairs(
                    path / f"{split}_id.txt",
                    (images, ".jpg"),
                    (labels, ".png") if labels else None,
                )
        found = NamedFiles(images, ".jpg")
        return (
            self.paired(found, NamedFiles(labels, ".png")) if labels else found.alone()
        )
