"""Custom persons (or animals, or things) with key points in COCO's JSON format."""

import dataclasses
from pathlib import Path
from typing import ClassVar

from hrnet_jax.data.files.coco_json import as_whole, read_document
from hrnet_jax.data.files.coco_layouts import ROBOFLOW, annotation_files
from hrnet_jax.data.files.splitting import SPLITS
from hrnet_jax.data.objects.source import cut_images
from hrnet_jax.data.persons.coco_file import COUNTS, PersonReader
from hrnet_jax.data.persons.items import PersonItem, PersonSplits
from hrnet_jax.data.persons.source import PersonSource
from hrnet_jax.data.points.coco_file import Category
from hrnet_jax.data.points.coco_points import CocoPoints, CocoPointsOptions, Marked
from hrnet_jax.data.points.custom import check_sides, own_point_set
from hrnet_jax.data.points.source import folders_of_tools
from hrnet_jax.errors import DataError

# Of other tools than ours, the first of which is there.
_LAYOUTS = (
    {split: f"annotations/person_keypoints_{split}.json" for split in SPLITS},
    {split: f"annotations/person_keypoints_{split}2017.json" for split in SPLITS},
    ROBOFLOW,
    {"": "annotations/person_keypoints_default.json"},
)


@dataclasses.dataclass(frozen=True)
class KeypointsCOCOOptions(CocoPointsOptions):
    """Options of the preparation.

    Attributes:
        images: folder of the images, with `{split}` for the split; `images`, folders
            named as the split and that of the annotation file, if empty.
        sigmas: how far annotators scatter at each point, a share of the root of the
            area, or one number for all; those of the category if empty. With them
            evaluation is COCO's average precision, without the share of correct
            points.
        torso: two points, `left_shoulder:right_hip`, whose distance divides the errors
            where there are no sigmas; the longer side of the box if empty.
        num_keypoints: `derive` counts the points where the files do not tell their
            number, or another one.
    """

    sigmas: tuple[float, ...] = ()
    torso: str = ""
    num_keypoints: str = ""


class KeypointsCOCO(PersonSource):
    """Own persons with key points of any skeleton in COCO's JSON format.

    ```
    SOURCE/annotations/train.json  val.json  test.json
    SOURCE/images/ ...
    ```

    Names and lines are those of the category, and so are `flip_pairs` and `sigmas` where
    it has these keys. Annotations of crowds and without key points are kept for
    evaluation, and not learnt from.
    """

    Options: ClassVar[type] = KeypointsCOCOOptions

    def __init__(self, source: Path, options: KeypointsCOCOOptions) -> None:
        super().__init__(source, options)
        if options.num_keypoints not in COUNTS:
            raise DataError(
                f"option num_keypoints={options.num_keypoints}: expected derive"
            )
        self.point_origin = options.point_origin
        files = annotation_files(source, options, _LAYOUTS)
        self._documents = {
            split: (path, read_document(path)) for split, path in files.items()
        }
        self._found = CocoPoints(self._documents, options, self.findings, keep=True)
        category = self._found.category
        points = own_point_set(
            category.names,
            source,
            options.flip_pairs,
            options.torso,
            category.skeleton,
            pairs=category.flip_pairs,
        )
        check_sides(points.flip_pairs, points.names, "flip pairs")
        self.point_set = dataclasses.replace(
            points, sigmas=_sigmas(options.sigmas, category)
        )

    def read(self) -> PersonSplits:
        """The images of all files.

        Raises:
            DataError: naming the file and the annotation at fault.
        """
        marked = self._found.read()
        least = self._found.least_in_sight(marked)
        splits = {
            split: self._items(split, chosen, least) for split, chosen in marked.items()
        }
        if "" in splits:
            splits = cut_images(splits[""], self.options.ratios, self.options.seed)
        category = as_whole(self._found.category.id)
        return PersonSplits(splits, 1 if category is None else category)

    def _items(self, split: str, marked: list[Marked], least: int) -> list[PersonItem]:
        path, document = self._documents[split]
        folders = folders_of_tools(self.source, self.options.images, split, path)
        reader = PersonReader(
            path,
            self.findings,
            least=least,
            counts=self.options.num_keypoints,
            origin=self.point_origin,
        )
        return reader.items(document, marked, folders)


def _sigmas(option: tuple[float, ...], category: Category) -> tuple[float, ...]:
    """One of each point, of the option or of the category; none without both."""
    count = len(category.names)
    if len(option) not in (0, 1, count) or not all(0 < one < 1 for one in option):
        raise DataError(
            f"option sigmas={','.join(f'{one:g}' for one in option)}: expected one "
            f"number between 0 and 1, or {count}, one for each key point"
        )
    return option * count if len(option) == 1 else option or category.sigmas
