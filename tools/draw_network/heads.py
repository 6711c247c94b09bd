"""Draws what stands behind the stages: representation and head."""

import dataclasses
from collections.abc import Callable

from tools.draw_network.layout import (
    BEHIND,
    BOX,
    COLOURS,
    HEIGHTS,
    RADIUS,
    ROWS,
    STEP,
    SUMS,
    Network,
    draw_box,
    draw_heading,
    draw_onward,
    draw_vertical,
    shape_text,
    sum_centre,
)
from tools.draw_network.svg import INK, NEUTRAL, Canvas


@dataclasses.dataclass(frozen=True)
class Head:
    """What stands behind the stages.

    Attributes:
        draw: draws it.
        columns: of boxes.
        rows: of boxes.
        extra: width in addition to the columns, in pixels.
    """

    draw: Callable[[Canvas, Network], None]
    columns: int = 2
    rows: int = 4
    extra: float = 0


def head_of(network: Network) -> Head:
    """What stands behind the stages of a network."""
    if network.model.output_kind == "features":
        return Head(_draw_maps, columns=1)
    return next(head for name, head in _HEADS.items() if network.has_maps(name))


def _draw_maps(canvas: Canvas, network: Network) -> None:
    """The maps of all branches: the output of a model without a head."""
    draw_heading(canvas, BEHIND, "Maps", "of all branches")
    start = sum_centre(4, 0)[0] + RADIUS
    for branch, shape in enumerate(network.after(4)):
        end = (BEHIND - BOX / 2, ROWS[branch])
        canvas.arrow((start, ROWS[branch]), end, COLOURS[branch])
        lines = (shape_text(shape), f"stride {4 * 2**branch}")
        draw_box(canvas, BEHIND, branch, lines, COLOURS[branch], f"output{branch}")


def _draw_pixels(canvas: Canvas, network: Network) -> None:
    """V1, V1h or V2, and the head for labels or heatmaps."""
    _draw_representation(canvas, network)
    x = BEHIND + STEP
    draw_heading(canvas, x, "Head", "at stride 4")
    what = network.outputs
    draw_onward(canvas, 0)
    if "head" not in network.shapes:
        lines = (network.text("classifier"), f"1×1: {what}")
        draw_box(canvas, x, 0, lines, NEUTRAL, "output")
        return
    lines = (network.text("head/norm"), "1×1, ReLU")
    draw_box(canvas, x, 0, lines, NEUTRAL, "head")
    draw_vertical(canvas, x, 0, 1)
    lines = (network.text("head/classifier"), f"1×1: {what}")
    draw_box(canvas, x, 1, lines, NEUTRAL, "output")


def _draw_representation(canvas: Canvas, network: Network) -> None:
    """What the head reads, in the first column behind the stages."""
    representation = network.model.representation
    first = shape_text(network.after(4)[0])
    joined = ("HRNetV2", "upsampled, joined", (network.concatenated(), "4 branches"))
    title, note, lines = {
        "v1": ("HRNetV1", "one resolution", (first, "1 branch")),
        "v1h": ("HRNetV1h", "more channels", (first, "1 branch")),
    }.get(representation, joined)
    if representation == "v1h":
        lines = (network.text("expand"), "1×1")
    draw_heading(canvas, BEHIND, title, note)
    start = sum_centre(4, 0)[0] + RADIUS
    left, below = BEHIND - BOX / 2, ROWS[0] + HEIGHTS[0] / 2
    canvas.arrow((start, ROWS[0]), (left, ROWS[0]), COLOURS[0])
    for branch in range(1, len(network.after(4))):
        x = left + 34 * branch
        corner = (x, ROWS[branch])
        begin = (start, ROWS[branch])
        canvas.arrow(begin, (x, below), COLOURS[branch], "joined", corner=corner)
    draw_box(canvas, BEHIND, 0, lines, COLOURS[0], "representation")


def _draw_classification(canvas: Canvas, network: Network) -> None:
    """Bottlenecks merged downwards, then mean and linear classifier."""
    draw_heading(canvas, BEHIND, "Head", "merged downwards")
    start = sum_centre(4, 0)[0] + RADIUS
    left, right = BEHIND - BOX / 2, BEHIND + BOX / 2
    sums = right + 30
    for branch in range(4):
        y = ROWS[branch]
        canvas.arrow((start, y), (left, y), COLOURS[branch])
        lines = (network.text(f"increase{branch}"), "bottleneck")
        draw_box(canvas, BEHIND, branch, lines, COLOURS[branch], f"increase{branch}")
        if branch:
            canvas.arrow((right, y), (sums - RADIUS, y), COLOURS[branch])
            canvas.sum((sums, y), RADIUS, COLOURS[branch], False)
        if branch < 3:
            above = (sums, y + RADIUS) if branch else (right, y)
            below = (sums, ROWS[branch + 1] - RADIUS)
            corner = None if branch else (sums, y)
            canvas.arrow(above, below, COLOURS[branch], "down", corner=corner)
    x = BEHIND + STEP + SUMS
    canvas.arrow((sums + RADIUS, ROWS[3]), (x - BOX / 2, ROWS[3]), COLOURS[3])
    features = network.shapes["final"].shape
    boxes = (
        (3, (shape_text(features), "1×1, ReLU"), "final"),
        (2, (str(features[-1]), "mean"), "mean"),
        (1, (network.text("classifier"), "linear: classes"), "output"),
    )
    for row, lines, name in boxes:
        draw_box(canvas, x, row, lines, NEUTRAL, name)
        if row < 3:
            draw_vertical(canvas, x, row + 1, row)


def _draw_pyramid(canvas: Canvas, network: Network) -> None:
    """HRNetV2p: reduction, pooling, one convolution a level."""
    _draw_representation(canvas, network)
    x = BEHIND + STEP
    draw_heading(canvas, x, "HRNetV2p", "fewer channels")
    draw_onward(canvas, 0)
    draw_box(canvas, x, 0, (network.text("pyramid/reduce"), "1×1"), NEUTRAL, "reduce")
    draw_heading(canvas, x + STEP, "Levels", f"{network.model.pooling} pooling")
    levels = len(network.shapes["pyramid"])
    left, below = x + STEP - BOX / 2, ROWS[0] + HEIGHTS[0] / 2
    for level in range(levels):
        if level:
            start = x - BOX / 2 + BOX * (levels - level) / levels
            corner = (start, ROWS[level])
            tip = (left, ROWS[level])
            canvas.arrow((start, below), tip, INK, "pooled", corner=corner)
        lines = (network.text(f"pyramid/level{level}"), "3×3")
        draw_box(canvas, x + STEP, level, lines, NEUTRAL, f"output{level}")
    draw_onward(canvas, 1)


def _draw_ocr(canvas: Canvas, network: Network) -> None:
    """Coarse labels gather one vector a class, to which every pixel attends."""
    _draw_representation(canvas, network)
    middle, right = BEHIND + STEP, BEHIND + 2 * STEP
    draw_heading(canvas, middle, "Pixels", "labels and features")
    draw_heading(canvas, right, "Objects", "and their context")
    classes, channels = network.model.num_classes, network.shapes["ocr/pixels"].shape
    boxes = (
        (middle, 0, (network.text("aux"), "coarse labels"), "aux"),
        (middle, 1, (network.text("ocr/pixels"), "3×3, ReLU"), "pixels"),
        (right, 0, (f"{classes}×{channels[-1]}", "weighted means"), "objects"),
        (right, 1, (network.text("ocr/attention"), "attention"), "attention"),
        (right, 2, (network.text("ocr/fuse"), "joined, 1×1"), "fuse"),
        (right, 3, (network.text("ocr/classifier"), "1×1: labels"), "output"),
    )
    half = BOX / 2
    # The features go to the means, the attention and, joined to it, the last layers.
    arrows = (
        (BEHIND, 0, 0),
        (BEHIND, 0, 1),
        (middle, 0, 0),
        (middle, 1, 0),
        (middle, 1, 1),
        (middle, 1, 2),
    )
    for x, row, target in arrows:
        spread = 9 * (target - row)
        start = (x + half, ROWS[row] + spread)
        canvas.arrow(start, (x + STEP - half, ROWS[target] - spread), INK)
    for row in range(3):
        draw_vertical(canvas, right, row, row + 1)
    for x, row, lines, name in boxes:
        draw_box(canvas, x, row, lines, NEUTRAL, name)


def _draw_outputs(canvas: Canvas, network: Network) -> None:
    """What a network outputs whose head is not known here."""
    _draw_representation(canvas, network)
    x = BEHIND + STEP
    draw_heading(canvas, x, "Outputs", network.outputs)
    draw_onward(canvas, 0)
    first, *others = network.all_outputs()
    lines = (shape_text(first), f"and {len(others)} more" if others else "")
    draw_box(canvas, x, 0, lines, NEUTRAL, "output")


# By a module whose maps only models with this head have; the empty name is the model.
_HEADS = {
    "increase0": Head(_draw_classification, extra=SUMS),
    "ocr": Head(_draw_ocr, columns=3),
    "pyramid": Head(_draw_pyramid, columns=3, rows=5),
    "head/classifier": Head(_draw_pixels),
    "classifier": Head(_draw_pixels),
    "": Head(_draw_outputs),
}
