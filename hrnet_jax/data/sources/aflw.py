"""AFLW: 19 landmarks of faces in all poses, from HRNet's CSV files."""

import dataclasses
from typing import ClassVar

from hrnet_jax.data.points import point_sets
from hrnet_jax.data.points.hrnet_csv import AFLW_NAME_AND_BOX, CsvFiles
from hrnet_jax.data.points.items import LandmarkItem
from hrnet_jax.data.points.source import LandmarkSource, SplitItems, image_folder
from hrnet_jax.errors import DataError

_SPLITS = {
    "train": "face_landmarks_aflw_train.csv",
    "test": "face_landmarks_aflw_test.csv",
}
_SUBSETS = {"frontal": ("test", "face_landmarks_aflw_test_frontal.csv")}


@dataclasses.dataclass(frozen=True)
class AFLWOptions:
    """Options of the preparation.

    Attributes:
        images: folder of the images in the source folder; `images`, or the
            source folder itself, if empty.
    """

    images: str = ""


class AFLW(LandmarkSource[LandmarkItem]):
    """Annotated Facial Landmarks in the Wild: 19 landmarks.

    ```
    SOURCE/face_landmarks_aflw_{train,test,test_frontal}.csv
    SOURCE/images/
    ```

    `frontal` is a subset of the test split. Splits whose file is absent are
    left out. The benchmark divides errors by the column `box_size`.
    """

    Options: ClassVar[type] = AFLWOptions
    point_set = point_sets.AFLW
    eval_splits: ClassVar[tuple[str, ...]] = ("test",)

    def read(self) -> SplitItems:
        """The splits whose CSV is there.

        Raises:
            DataError: if there is none, or a file is not as expected.
        """
        images = image_folder(self.source, self.options.images, ("images",))
        num_points = len(self.point_set.names)
        files = CsvFiles(self.source, images, num_points, AFLW_NAME_AND_BOX)
        contents = files.read(_SPLITS, _SUBSETS)
        if not contents.splits:
            raise DataError(
                f"{self.source} has no AFLW: expected {' or '.join(_SPLITS.values())}"
            )
        return contents
