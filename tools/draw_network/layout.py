"""Positions and elements of the picture of a network."""

import dataclasses
from typing import Any

import jax

from hrnet_jax.models.model import Model
from hrnet_jax.models.variants import Variant
from tools.draw_network.svg import INK, SOFT, Canvas, Point

# One entry a branch, the highest resolution first.
COLOURS = ("#2f6fd0", "#178a77", "#c87412", "#c8447c")

# All in pixels. Middle of the rows and heights of their boxes; the fifth is for pyramids.
ROWS = (206, 318, 424, 522, 614)
HEIGHTS = (74, 66, 60, 54, 54)
BOX, PAD, GAP, LATTICE, RADIUS = 136, 10, 36, 82, 11
TOP, MARGIN = 152, 22
STAGE_BAND = 2 * PAD + BOX + LATTICE + 2 * RADIUS
PLAIN_BAND = 2 * PAD + BOX
# Left ends of the bands of the stem and the stages 1 to 4.
STEM = MARGIN
STAGE1 = STEM + PLAIN_BAND + GAP
LEFT = {
    stage: STAGE1 + PLAIN_BAND + GAP + (stage - 2) * (STAGE_BAND + GAP)
    for stage in (2, 3, 4)
}
# Middle of the first column behind the stages, and distance to the next.
BEHIND = LEFT[4] + STAGE_BAND + 44 + BOX / 2
STEP = BOX + 42
# Additional width of the sums of the classification head.
SUMS = 30


@dataclasses.dataclass(frozen=True)
class Network:
    """The network of a picture.

    Attributes:
        model: the model.
        variant: its sizes.
        shapes: outputs of every module; see `inspection.Inspection`.
        size: height and width of the image, in pixels.
        outputs: what the network computes, `labels` or `heatmaps` for example.
    """

    model: Model
    variant: Variant
    shapes: dict[str, Any]
    size: tuple[int, int]
    outputs: str

    def has_maps(self, name: str) -> bool:
        """Whether there is a module that outputs maps; the model itself always."""
        if not name:
            return True
        found = jax.tree.leaves(self.shapes.get(name, ()))
        return any(len(leaf.shape) == 4 for leaf in found)

    def all_outputs(self) -> list[tuple[int, ...]]:
        """Shapes of what the model outputs."""
        return [leaf.shape for leaf in jax.tree.leaves(self.shapes[""])]

    def text(self, name: str) -> str:
        """Shape of the output of a module."""
        return shape_text(self.shapes[name].shape)

    def after(self, stage: int) -> list[tuple[int, ...]]:
        """Shapes [1, H, W, C] of the branches that a stage outputs."""
        return [branch.shape for branch in self.shapes[f"stage{stage}"]]

    def concatenated(self) -> str:
        """Shape of HRNetV2's representation, which the model never builds."""
        branches = self.after(4)
        channels = sum(shape[-1] for shape in branches)
        return shape_text((*branches[0][:3], channels))


def shape_text(shape: tuple[int, ...]) -> str:
    """`256×512×48` for [1, 256, 512, 48]; the batch is left out."""
    return "×".join(map(str, shape[1:]))


def draw_heading(canvas: Canvas, x: float, title: str, note: str) -> None:
    """A title and a note above a column or band, around x."""
    canvas.text(x, TOP - 36, title, 19, bold=True)
    canvas.text(x, TOP - 14, note, 14, SOFT)


def draw_box(
    canvas: Canvas, x: float, row: int, lines: tuple[str, ...], colour: str, name: str
) -> None:
    """A box of a row's height around x."""
    canvas.box((x, ROWS[row]), (BOX, HEIGHTS[row]), lines, colour, name)


def draw_vertical(canvas: Canvas, x: float, start: int, end: int) -> None:
    """An arrow between the boxes of two rows of a column."""
    sign = 1 if end > start else -1
    canvas.arrow(
        (x, ROWS[start] + sign * HEIGHTS[start] / 2),
        (x, ROWS[end] - sign * HEIGHTS[end] / 2),
        INK,
    )


def draw_onward(canvas: Canvas, column: int) -> None:
    """An arrow from a column behind the stages to the next, in the first row."""
    start = BEHIND + column * STEP + BOX / 2
    canvas.arrow((start, ROWS[0]), (start + STEP - BOX, ROWS[0]), INK)


def sum_centre(stage: int, target: int) -> Point:
    """Position of the sum of an exchange."""
    x = LEFT[stage] + STAGE_BAND - PAD - RADIUS
    return x, ROWS[target]


def counted(number: int, noun: str) -> str:
    """`1 block`, `2 blocks`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
