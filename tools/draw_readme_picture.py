"""Draws docs/network.png, the picture of the network in the README.

    python tools/draw_readme_picture.py

The input and the output are a scene of the generated data set `shapes` with
its true labels.
"""

import argparse
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch, Polygon

from hrnet_jax.data.generated.shapes import CLASSES, draw_scene
from hrnet_jax.segmentation.drawing import color_map

_OUTPUT = Path(__file__).resolve().parents[1] / "docs" / "network.png"

# One entry per branch, the highest resolution first.
COLOURS = ("#2f6fd0", "#1f9e89", "#e08a1e", "#c8447c")
NAMES = ("C", "2C", "4C", "8C")
ROWS = (7.25, 5.0, 3.2, 1.75)
HEIGHTS = (1.5, 1.05, 0.74, 0.52)
WIDTHS = (0.15, 0.25, 0.4, 0.62)

INK, SOFT, CARD, BAND = "#24272e", "#666b76", "#fbfbfd", "#eef0f5"
SIZE = (22.0, 9.6)

# Left end and width of each stage; the exchange follows the second column.
STAGES = {1: (4.0, 2.1), 2: (6.5, 3.1), 3: (10.0, 3.1), 4: (13.5, 3.1)}
MODULES = {2: "1 module", 3: "4 modules", 4: "3 modules"}


def mix(colour: str, other: str, share: float) -> np.ndarray:
    """Moves a colour towards another."""
    return (1 - share) * np.array(to_rgb(colour)) + share * np.array(to_rgb(other))


def draw_block(
    axes: Axes, x: float, y: float, width: float, height: float, colour: str
) -> None:
    """Draws a feature map as a box: tall = high resolution, wide = channels."""
    depth = 0.16 * height
    left, right = x - width / 2, x + width / 2
    low, high = y - height / 2, y + height / 2
    faces = (
        ([(left, low), (right, low), (right, high), (left, high)], 0.0),
        (
            [
                (left, high),
                (right, high),
                (right + depth, high + depth),
                (left + depth, high + depth),
            ],
            0.45,
        ),
        (
            [
                (right, low),
                (right + depth, low + depth),
                (right + depth, high + depth),
                (right, high),
            ],
            -0.25,
        ),
    )
    for corners, light in faces:
        shade = mix(colour, "white" if light > 0 else "black", abs(light))
        axes.add_patch(
            Polygon(corners, facecolor=shade, edgecolor="white", lw=0.6, zorder=5)
        )


def draw_arrow(
    axes: Axes,
    start: tuple[float, float],
    end: tuple[float, float],
    colour: str,
    bend: float = 0.0,
    strength: float = 1.0,
) -> None:
    """Draws an arrow above the bands and below the boxes."""
    axes.add_patch(
        FancyArrowPatch(
            start,
            end,
            arrowstyle="-|>",
            mutation_scale=9,
            connectionstyle=f"arc3,rad={bend}",
            color=colour,
            lw=1.5,
            alpha=strength,
            shrinkA=0,
            shrinkB=0,
            zorder=4,
        )
    )


def draw_sum(axes: Axes, x: float, y: float, colour: str) -> None:
    """Draws the sum that ends an exchange."""
    axes.add_patch(Circle((x, y), 0.15, facecolor="white", edgecolor=colour, zorder=6))
    for dx, dy in ((0.085, 0), (0, 0.085)):
        axes.plot((x - dx, x + dx), (y - dy, y + dy), color=colour, lw=1.4, zorder=7)


def draw_band(axes: Axes, left: float, width: float, title: str, note: str) -> None:
    """Draws the background of a stage with its heading."""
    axes.add_patch(
        FancyBboxPatch(
            (left, 1.15),
            width,
            7.35,
            boxstyle="round,pad=0,rounding_size=0.2",
            facecolor=BAND,
            edgecolor="none",
            zorder=1,
        )
    )
    middle = left + width / 2
    axes.text(middle, 9.02, title, ha="center", size=13, weight="bold", color=INK)
    axes.text(middle, 8.68, note, ha="center", size=10, color=SOFT)


def draw_picture(
    axes: Axes, pixels: np.ndarray, x: float, y: float, side: float
) -> None:
    """Draws an image as a square around (x, y)."""
    half = side / 2
    axes.imshow(
        pixels,
        extent=(x - half, x + half, y - half, y + half),
        interpolation="nearest",
        zorder=5,
        aspect="auto",
    )
    corners = [
        (x + dx * half, y + dy * half)
        for dx, dy in ((-1, -1), (1, -1), (1, 1), (-1, 1))
    ]
    axes.add_patch(Polygon(corners, fill=False, edgecolor=SOFT, lw=0.8, zorder=6))


def draw_input(axes: Axes, image: np.ndarray) -> None:
    """Draws the image, the stem and stage 1."""
    y = ROWS[0]
    draw_picture(axes, image, 1.3, y, 1.9)
    axes.text(1.3, y - 1.25, "image", ha="center", size=11, color=INK)
    draw_arrow(axes, (2.3, y), (4.35, y), INK)
    axes.text(3.15, y + 0.2, "stem", ha="center", size=11, color=INK)
    axes.text(3.15, y - 0.42, "two 3×3\nstride 2", ha="center", va="center",
              size=9, color=SOFT)  # fmt: skip
    left, width = STAGES[1]
    draw_band(axes, left, width, "Stage 1", "bottlenecks")
    columns = (left + 0.5, left + 1.5)
    for x in columns:
        draw_block(axes, x, y, WIDTHS[0], HEIGHTS[0], COLOURS[0])
    draw_arrow(axes, (columns[0] + 0.35, y), (columns[1] - 0.1, y), COLOURS[0])


def draw_stage(axes: Axes, stage: int) -> float:
    """Draws the branches of a stage and their exchange.

    Returns:
        Where the sums stand.
    """
    left, width = STAGES[stage]
    draw_band(axes, left, width, f"Stage {stage}", MODULES[stage])
    first, second, sums = left + 0.5, left + 1.35, left + width - 0.3
    for branch in range(stage):
        y, colour = ROWS[branch], COLOURS[branch]
        for x in (first, second):
            draw_block(axes, x, y, WIDTHS[branch], HEIGHTS[branch], colour)
        edge = WIDTHS[branch] / 2 + 0.16 * HEIGHTS[branch]
        draw_arrow(axes, (first + edge, y), (second - WIDTHS[branch] / 2, y), colour)
        for target in range(stage):
            # Ends spread over the rim of the circle, so that heads stay apart.
            fan = 0.1 * np.sign(branch - target)
            draw_arrow(
                axes,
                (second + edge + 0.02, y),
                (sums - 0.16, ROWS[target] - fan),
                colour,
                strength=0.9,
            )
        draw_sum(axes, sums, y, colour)
    return sums


def draw_transition(axes: Axes, start: float, stage: int) -> None:
    """Leads from what stands at `start` into the first column of a stage."""
    first = STAGES[stage][0] + 0.5
    for branch in range(stage):
        source = min(branch, stage - 2)
        end = (first - WIDTHS[branch] / 2, ROWS[branch])
        draw_arrow(axes, (start, ROWS[source]), end, COLOURS[source])


def draw_output(axes: Axes, start: float, labels: np.ndarray) -> None:
    """Draws the HRNetV2 representation and the head that labels pixels."""
    y, left = ROWS[0], 17.9
    for branch in range(4):
        # Slices of the concatenation, as high as the first branch.
        x = left + sum(WIDTHS[:branch]) + WIDTHS[branch] / 2
        draw_arrow(
            axes,
            (start, ROWS[branch]),
            (x if branch else left, y - (HEIGHTS[0] / 2 + 0.02 if branch else 0)),
            COLOURS[branch],
            bend=0.0 if branch == 0 else 0.22,
        )
    for branch in range(4):
        x = left + sum(WIDTHS[:branch]) + WIDTHS[branch] / 2
        draw_block(axes, x, y, WIDTHS[branch], HEIGHTS[0], COLOURS[branch])
    right = left + sum(WIDTHS)
    middle = (left + right) / 2
    axes.text(middle, 9.02, "HRNetV2", ha="center", size=13, weight="bold", color=INK)
    axes.text(middle, 8.68, "upsample, concatenate", ha="center", size=10, color=SOFT)
    draw_arrow(axes, (right + 0.28, y), (right + 0.85, y), INK)
    axes.text(right + 0.56, y + 0.2, "1×1", ha="center", size=10, color=INK)
    draw_picture(axes, labels, right + 1.6, y, 1.5)
    axes.text(right + 1.6, y - 1.05, "labels", ha="center", size=11, color=INK)


def draw_rows(axes: Axes) -> None:
    """Names the resolution and the channels of each row."""
    # Stage 1 is wider than C, so the first row is named in stage 2.
    places = [(STAGES[2][0] + 0.93, ROWS[0] - 1.19, "center")]
    places += [(0.4, y, "left") for y in ROWS[1:]]
    for branch, (x, y, align) in enumerate(places):
        axes.text(
            x,
            y + 0.15,
            f"stride {4 * 2**branch}",
            size=11,
            color=COLOURS[branch],
            weight="bold",
            va="center",
            ha=align,
        )
        note = f"{NAMES[branch]} channels"
        axes.text(x, y - 0.19, note, size=10, color=SOFT, va="center", ha=align)
        if branch:
            end = STAGES[branch + 1][0]
            axes.plot((2.2, end), (y, y), color="#c9cdd6", lw=1.1, ls=(0, (1, 3)))


def draw_key(axes: Axes) -> None:
    """Explains arrows and sums along the bottom."""
    y = 0.68
    keys = (
        (0.4, 0.0, "3×3 convolutions (none into a sum)"),
        (6.2, -0.16, "strided 3×3 convolutions"),
        (10.55, 0.16, "1×1 convolution, upsampling"),
        (15.4, None, "sum, ReLU"),
        (18.0, None, "W18: C = 18, W48: C = 48"),
    )
    for x, slope, text in keys[:3]:
        draw_arrow(axes, (x, y - slope), (x + 0.6, y + slope), SOFT)
        axes.text(x + 0.8, y, text, size=10, color=SOFT, va="center")
    draw_sum(axes, keys[3][0] + 0.2, y, SOFT)
    axes.text(keys[3][0] + 0.55, y, keys[3][2], size=10, color=SOFT, va="center")
    axes.text(keys[4][0], y, keys[4][2], size=10, color=SOFT, va="center")


def draw_network() -> Figure:
    """The whole picture."""
    scene = draw_scene(0, "train", 5)
    figure = Figure(figsize=(SIZE[0] * 0.62, SIZE[1] * 0.62))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.add_patch(
        FancyBboxPatch(
            (0.1, 0.1),
            SIZE[0] - 0.2,
            SIZE[1] - 0.2,
            boxstyle="round,pad=0,rounding_size=0.35",
            facecolor=CARD,
            edgecolor="#d9dce3",
            zorder=0,
        )
    )
    draw_input(axes, scene.image)
    start = STAGES[1][0] + 1.5 + 0.35
    for stage in (2, 3, 4):
        draw_transition(axes, start, stage)
        start = draw_stage(axes, stage) + 0.15
    draw_output(axes, start, color_map(scene.label, tuple(CLASSES.values())))
    draw_rows(axes)
    draw_key(axes)
    axes.set(xlim=(0, SIZE[0]), ylim=(0, SIZE[1]))
    axes.set_axis_off()
    return figure


def main() -> None:
    """Writes the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", default=_OUTPUT)
    draw_network().savefig(
        parser.parse_args().output,
        dpi=120,
        transparent=True,
        pil_kwargs={"optimize": True},
    )


if __name__ == "__main__":
    main()
