"""MPII: 16 joints of persons in everyday activities (Andriluka et al., CVPR 2014)."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np

from hrnet_jax.data.objects.source import cut_images
from hrnet_jax.data.persons.items import (
    Person,
    PersonItem,
    PersonSplits,
    area_of,
    in_sides,
)
from hrnet_jax.data.persons.mpii_files import (
    Row,
    read_list,
    read_structure,
    with_head_sizes,
)
from hrnet_jax.data.persons.source import PersonSource
from hrnet_jax.data.points.person_sets import MPII16
from hrnet_jax.data.points.source import image_folder
from hrnet_jax.errors import DataError

_LISTS = {"train": "train.json", "val": "valid.json"}
_HEADS = "gt_valid.mat"
# deep-high-resolution-net.pytorch, `lib/dataset/mpii.py`: the box is moved down by so
# many pixels for each unit of scale, of 200 pixels.
_DOWN, _UNIT = 15.0, 200.0
_NO_PLACE = -1.0


@dataclasses.dataclass(frozen=True)
class MPIIOptions:
    """Options of the preparation.

    Attributes:
        structure: name of the official file, read where there are no lists of HRNet.
        ratios: shares of train and val of its images, as it has no split of its own.
        seed: seed of that random split.
    """

    structure: str = "mpii_human_pose_v1_u12_1.mat"
    ratios: tuple[float, ...] = (0.9, 0.1)
    seed: int = 0


class MPII(PersonSource):
    """MPII Human Pose: 16 joints, from HRNet's lists or the official MATLAB file.

    ```
    SOURCE/annot/train.json  valid.json  gt_valid.mat     HRNet's lists
    SOURCE/mpii_human_pose_v1_u12_1.mat                   without them
    SOURCE/images/
    ```

    A list that is absent is left out. `gt_valid.mat` has the sizes of the heads of
    `valid.json`, which errors are divided by; the official file has those of everybody.
    Its test images have no labels and are left out.
    """

    Options: ClassVar[type] = MPIIOptions
    published: ClassVar[bool] = True
    point_set = MPII16
    # MATLAB's: the published code subtracts 1 from each coordinate.
    point_origin = 1.0
    eval_splits: ClassVar[tuple[str, ...]] = ("val",)

    def read(self) -> PersonSplits:
        """The images that show somebody with joints.

        Raises:
            DataError: if there is neither list nor structure, or one is wrong.
        """
        # Planned without files.
        if self.source is None:
            return PersonSplits({})
        folder = self.source / "annot"
        lists = {split: folder / name for split, name in _LISTS.items()}
        found = {split: path for split, path in lists.items() if path.is_file()}
        if found:
            rows = {split: read_list(path) for split, path in found.items()}
            heads = folder / _HEADS
            if "val" in rows and heads.is_file():
                rows["val"] = with_head_sizes(rows["val"], heads)
            return PersonSplits(
                {s: self._items(each, found[s]) for s, each in rows.items()}
            )
        path = self.source / self.options.structure
        if not path.is_file():
            raise DataError(
                f"{self.source} has no MPII: expected {lists['train']}, {lists['val']} "
                f"or {path}"
            )
        persons, without = read_structure(path)
        self.findings.count(path, "persons without joints, left out", without)
        items = self._items(persons, path)
        if not items:
            raise DataError(f"{path} has no person with joints")
        return PersonSplits(cut_images(items, self.options.ratios, self.options.seed))

    def _items(self, rows: Sequence[Row], path: Path) -> list[PersonItem]:
        """The images of rows, in the order of their first."""
        images = image_folder(self.source, "", ("images",))
        on: dict[str, list[tuple[int, Row]]] = {}
        for number, row in enumerate(rows, start=1):
            on.setdefault(row.image, []).append((number, row))
        items: list[PersonItem] = []
        for name, persons in on.items():
            items.append(
                PersonItem(
                    image=images / name,
                    image_id=Path(name).with_suffix("").as_posix(),
                    number=len(items) + 1,
                    persons=tuple(self._person(*one, path) for one in persons),
                    where=persons[0][1].where,
                )
            )
        return items

    def _person(self, number: int, row: Row, path: Path) -> Person:
        """A person in the square around its centre; the margin of crops is not in it.

        With the margin of 1.25 that crops have, it is the published one.
        """
        x, y = row.center
        taught = bool(row.annotated.any())
        if x != _NO_PLACE:
            y += _DOWN * row.scale
        elif taught:
            self.findings.count(path, "persons without a centre, left out")
            taught = False
        half = _UNIT * row.scale / 2
        box = (x - half, y - half, x + half, y + half)
        return Person(
            points=row.points,
            visible=row.visible.astype(np.uint8),
            annotated=row.annotated.astype(np.uint8),
            box=box,
            bbox=in_sides(box),
            area=area_of(box),
            where=row.where,
            head_size=row.head_size,
            number=number,
            taught=taught,
        )
