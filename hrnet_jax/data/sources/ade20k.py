"""ADE20K, the 150 classes of the scene parsing challenge of 2016."""

from typing import ClassVar

from hrnet_jax.data.class_tables import ADE20K as CLASSES
from hrnet_jax.data.class_tables import ClassTable
from hrnet_jax.data.files.label_files import label_table
from hrnet_jax.data.sources.image_label_pairs import FilePair
from hrnet_jax.data.sources.official import NamedFiles, OfficialSource, Origin

_FOLDERS = {"train": "training", "val": "validation"}


class ADE20K(OfficialSource):
    """ADE20K (Zhou et al., CVPR 2017), `ADEChallengeData2016`: 150 classes.

    ```
    SOURCE/images/training/NAME.jpg       images/validation/NAME.jpg
    SOURCE/annotations/training/NAME.png  annotations/validation/NAME.png
    SOURCE/images/testing/NAME.jpg        test, without labels (release_test.zip)
    ```

    or `train/image/NAME.jpg` with `train/label/NAME.png`, and `val`, as HRNet's lists.
    Value 0, other objects, becomes 255, and 1..150 become 0..149.
    """

    table = label_table(range(1, 1 + len(CLASSES)), 0)
    meaning = f"0 (ignored) or 1..{len(CLASSES)}"
    classes: ClassVar[ClassTable] = CLASSES
    origin = Origin(
        layout="the folder ADEChallengeData2016: images/{training,validation}/NAME.jpg "
        "with annotations/{training,validation}/NAME.png, or "
        "{train,val}/image/NAME.jpg with {train,val}/label/NAME.png",
        place="http://data.csail.mit.edu/places/ADEchallenge/ADEChallengeData2016.zip",
        counts={"train": 20210, "val": 2000, "test": 3352},
    )

    def find(self, split: str) -> list[FilePair]:
        """All images of a folder, by name."""
        if split in self.origin.unlabelled:
            folders = ("images/testing", "release_test/testing", "testing")
            return NamedFiles(self.folder(*folders), ".jpg").alone()
        pairs = self.hrnet_pairs(split)
        if pairs is not None:
            return pairs
        name = _FOLDERS[split]
        return self.paired(
            NamedFiles(self.folder(f"images/{name}"), ".jpg"),
            NamedFiles(self.folder(f"annotations/{name}"), ".png"),
        )
