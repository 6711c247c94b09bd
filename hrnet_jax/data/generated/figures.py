"""Generated drawings of persons with the joints of three standard sets."""

import dataclasses
import zlib
from pathlib import Path
from typing import ClassVar

import numpy as np

from hrnet_jax.data.files.image_files import EncodedImage, encode_png
from hrnet_jax.data.generated.figures_drawing import Joints, paint_body, random_body
from hrnet_jax.data.generated.shapes_drawing import background, finish
from hrnet_jax.data.persons.items import Person, PersonItem, PersonSplits
from hrnet_jax.data.persons.source import PersonSource
from hrnet_jax.data.points.person_sets import COCO17, LSP14, MPII16
from hrnet_jax.errors import DataError

JOINT_SETS = {"coco": COCO17, "mpii": MPII16, "lsp": LSP14}
SPLITS = ("train", "val", "test")
# Around the joints of a figure, in trunks, as boxes of annotators are.
_MARGIN = 0.25


@dataclasses.dataclass(frozen=True)
class FiguresOptions:
    """Options of the preparation.

    Attributes:
        joints: `coco` (17), `mpii` (16, with sizes of heads) or `lsp` (14). The images
            are the same for all of them.
        image_size: side of the square images in pixels.
        train: number of training images.
        val: number of validation images.
        test: number of test images.
        max_persons: most figures in an image.
        seed: seed of all figures.
    """

    joints: str = "coco"
    image_size: int = 128
    train: int = 256
    val: int = 64
    test: int = 0
    max_persons: int = 3
    seed: int = 0


@dataclasses.dataclass(frozen=True)
class Figure:
    """One figure to draw.

    Attributes:
        joints: (x, y) of each, pixel edges.
        size: of its trunk in pixels.
    """

    joints: Joints
    size: float


def random_figures(
    seed: int, split: str, index: int, size: int, most: int
) -> list[Figure]:
    """The figures of an image, side by side; a function of the arguments alone.

    Args:
        seed: of all figures.
        split: name of the split.
        index: number of the image in its split.
        size: side of the image in pixels.
        most: figures.
    """
    rng = np.random.default_rng([seed, zlib.crc32(split.encode()), index])
    count = int(rng.integers(1, most + 1))
    figures = []
    for place in range(count):
        body = random_body(rng)
        points = np.array([*body.values()])
        low, high = points.min(0) - _MARGIN, points.max(0) + _MARGIN
        room = size * np.array([1.3 / count, 1.0])
        trunk = float(min(room / (high - low)) * rng.uniform(0.65, 0.95))
        middle = size * np.array([(place + 0.5) / count, 0.5])
        middle += rng.normal(0, 0.03 * size, 2)
        shift = middle - trunk * (low + high) / 2
        joints = {name: trunk * each + shift for name, each in body.items()}
        figures.append(Figure(joints, trunk))
    return figures


def draw_figures(
    figures: list[Figure], seed: int, split: str, index: int, size: int
) -> np.ndarray:
    """The image of `random_figures`, uint8 [size, size, 3] RGB."""
    rng = np.random.default_rng([seed, zlib.crc32(split.encode()), index, 1])
    scene = np.clip(np.rint(255 * background(rng, size)), 0, 255).astype(np.uint8)
    for figure in figures:
        paint_body(scene, figure.joints, figure.size, rng)
    return finish(scene.astype(np.float32) / 255, rng)


class Figures(PersonSource):
    """Generated drawings of persons with their joints, for trials and for tests."""

    Options: ClassVar[type] = FiguresOptions
    needs_source: ClassVar[bool] = False
    source_decides: ClassVar[bool] = False

    def __init__(self, source: Path | None, options: FiguresOptions) -> None:
        super().__init__(Path("figures"), options)
        del source
        if options.joints not in JOINT_SETS:
            raise DataError(
                f"joints must be one of {', '.join(JOINT_SETS)}, got {options.joints!r}"
            )
        if options.image_size < 48:
            raise DataError(f"image_size must be at least 48, got {options.image_size}")
        if options.max_persons < 1:
            raise DataError(
                f"max_persons must be at least 1, got {options.max_persons}"
            )
        for split in SPLITS:
            if getattr(options, split) < 0:
                raise DataError(f"{split} must not be negative")
        self.point_set = JOINT_SETS[options.joints]

    def read(self) -> PersonSplits:
        """All persons; nothing is drawn yet."""
        counts = {split: getattr(self.options, split) for split in SPLITS}
        return PersonSplits(
            {
                split: tuple(self._item(split, index) for index in range(count))
                for split, count in counts.items()
                if count
            }
        )

    def item_bytes(self, item: PersonItem) -> int:
        """Upper bound: three bytes a pixel."""
        del item
        return 3 * self.options.image_size**2

    def image_of(self, split: str, item: PersonItem) -> EncodedImage:
        """The drawing of an image, as PNG."""
        index, size = item.number - 1, self.options.image_size
        drawn = draw_figures(
            self._figures(split, index), self.options.seed, split, index, size
        )
        return EncodedImage(encode_png(drawn), size, size)

    def _figures(self, split: str, index: int) -> list[Figure]:
        options = self.options
        return random_figures(
            options.seed, split, index, options.image_size, options.max_persons
        )

    def _item(self, split: str, index: int) -> PersonItem:
        name = f"{split}_{index:05d}"
        persons = tuple(
            self._person(figure, 10 * index + place + 1, f"{name}, figure {place}")
            for place, figure in enumerate(self._figures(split, index))
        )
        side = float(self.options.image_size)
        return PersonItem(
            Path(f"{name}.png"), name, index + 1, persons, name, (side, side)
        )

    def _person(self, figure: Figure, number: int, where: str) -> Person:
        """The annotation of a figure, pixel centres at integers."""
        last = self.options.image_size - 1
        points = np.array([figure.joints[name] for name in self.point_set.names]) - 0.5
        inside = ((points >= 0) & (points <= last)).all(1).astype(np.uint8)
        every = np.array([*figure.joints.values()]) - 0.5
        margin = _MARGIN * figure.size
        x1, y1 = np.clip(every.min(0) - margin, 0, last).tolist()
        x2, y2 = np.clip(every.max(0) + margin, 0, last).tolist()
        head = figure.joints["head_top"] - figure.joints["neck"]
        return Person(
            points=points,
            visible=inside,
            annotated=inside,
            box=(x1, y1, x2, y2),
            bbox=(x1, y1, x2 - x1, y2 - y1),
            # About what a body covers of its box, as COCO counts its outline.
            area=0.53 * (x2 - x1) * (y2 - y1),
            where=where,
            head_size=float(np.linalg.norm(head)) if self._has_heads else 0.0,
            number=number,
            taught=bool(inside.any()),
        )

    @property
    def _has_heads(self) -> bool:
        return self.point_set is MPII16
