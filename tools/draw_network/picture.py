"""Draws any model as SVG: stem, stages, exchanges, representation and head.

Every shape in the picture is that of the traced model. A row is a resolution, a
band of the stages 2 to 4 is one of their equal modules.
"""

from hrnet_jax.inspection.inspection import Inspection, build
from hrnet_jax.inspection.published import GIGA, quantity
from hrnet_jax.models.resize import BY_FACTOR
from hrnet_jax.models.variants import get_variant
from hrnet_jax.registry import get_spec
from tools.draw_network.heads import head_of
from tools.draw_network.layout import (
    BEHIND,
    BOX,
    COLOURS,
    LEFT,
    MARGIN,
    PAD,
    PLAIN_BAND,
    RADIUS,
    ROWS,
    STAGE1,
    STAGE_BAND,
    STEM,
    STEP,
    TOP,
    Network,
    counted,
    draw_box,
    draw_heading,
    draw_vertical,
    shape_text,
    sum_centre,
)
from tools.draw_network.svg import INK, NEUTRAL, SOFT, Canvas

_UPSAMPLING = {
    "nearest": "nearest",
    "bilinear": "bilinear",
    "align_corners": "bilinear, aligned corners",
    BY_FACTOR: "bilinear, twice",
}

# What is drawn of the names of outputs.
_OUTPUTS = {"logits": "labels"}


def draw(inspection: Inspection) -> str:
    """The picture of a model for one size of the image, as SVG."""
    name, size = inspection.model, inspection.size
    model = build(name, inspection.outputs, inspection.representation or None)
    variant = get_variant(model.variant)
    computed = get_spec(name).output_name
    outputs = _OUTPUTS.get(computed, computed)
    network = Network(model, variant, inspection.shapes, size, outputs)
    head = head_of(network)
    bottom = ROWS[head.rows - 1] + 44
    width = BEHIND + (head.columns - 1) * STEP + BOX / 2 + head.extra + MARGIN + 8
    canvas = Canvas(width, bottom + 88, f"The network {name}")
    canvas.text(MARGIN + 4, 40, name, 24, bold=True, anchor="start")
    canvas.text(
        MARGIN + 4,
        70,
        f"image {size[0]}×{size[1]}, {inspection.parameters:,} parameters, "
        f"{quantity(inspection.published_convention / GIGA, GIGA)} multiply-adds "
        "(1e9) in the official program",
        16,
        SOFT,
        anchor="start",
    )
    _draw_bands(canvas, network, bottom)
    _draw_stem(canvas, network)
    for stage in (2, 3, 4):
        _draw_transition(canvas, network, stage)
        _draw_stage(canvas, network, stage)
    head.draw(canvas, network)
    _draw_key(canvas, network, bottom)
    return canvas.source()


def _draw_bands(canvas: Canvas, network: Network, bottom: float) -> None:
    """The backgrounds, below everything else, and what stands above them."""
    bands = [
        (STEM, PLAIN_BAND, "Stem", "two convolutions"),
        (STAGE1, PLAIN_BAND, "Stage 1", "one branch"),
    ]
    for stage, modules in enumerate(network.variant.modules, start=2):
        note = counted(modules, "module")
        bands.append((LEFT[stage], STAGE_BAND, f"Stage {stage}", note))
    for left, width, title, note in bands:
        canvas.band(left, TOP, width, bottom - TOP)
        draw_heading(canvas, left + width / 2, title, note)


def _draw_stem(canvas: Canvas, network: Network) -> None:
    """The image, the two convolutions above it, and stage 1."""
    height, width = network.size
    x = STEM + PLAIN_BAND / 2
    boxes = (
        (2, (f"{height}×{width}×3", "image"), "image"),
        (1, (network.text("stem/conv1"), "3×3, stride 2"), "stem-conv1"),
        (0, (network.text("stem/conv2"), "3×3, stride 2"), "stem-conv2"),
    )
    for row, lines, name in boxes:
        draw_box(canvas, x, row, lines, NEUTRAL, name)
        if row < 2:
            draw_vertical(canvas, x, row + 1, row)
    blocks = network.variant.stage1_blocks
    end = STAGE1 + PAD
    canvas.arrow((x + BOX / 2, ROWS[0]), (end, ROWS[0]), INK)
    lines = (network.text("stage1"), counted(blocks, "bottleneck"))
    draw_box(canvas, end + BOX / 2, 0, lines, COLOURS[0], "stage1")


def _draw_transition(canvas: Canvas, network: Network, stage: int) -> None:
    """Leads from the previous stage to the boxes of this one."""
    if stage == 2:
        start = STAGE1 + PAD + BOX
        before = [network.shapes["stage1"].shape]
    else:
        start = sum_centre(stage - 1, 0)[0] + RADIUS
        before = network.after(stage - 1)
    end = LEFT[stage] + PAD
    for branch, new in enumerate(network.shapes[f"transition{stage - 1}"]):
        source = min(branch, len(before) - 1)
        kind = "same" if before[source] == new.shape else "convolved"
        tip = (end, ROWS[branch])
        canvas.arrow((start, ROWS[source]), tip, COLOURS[source], f"transition {kind}")
        if kind == "convolved" and source == branch:
            canvas.text((start + end) / 2, ROWS[branch] - 13, "3×3", 14, SOFT)


def _draw_stage(canvas: Canvas, network: Network, stage: int) -> None:
    """One module: the branches and all paths of the exchange."""
    modules = network.variant.modules[stage - 2]
    left = LEFT[stage]
    shapes = [branch.shape for branch in network.shapes[f"transition{stage - 1}"]]
    last = len(network.after(stage))
    edge = left + PAD + BOX
    for target in range(stage):
        # Only the last module may sum fewer resolutions.
        dashed = target >= last
        if dashed and modules == 1:
            continue
        x, y = sum_centre(stage, target)
        for source in range(stage):
            kind = "up" if source > target else "down" if source < target else "same"
            # Tips spread over the rim of the circle.
            fan = 4.5 * (source - target)
            canvas.arrow(
                (edge, ROWS[source]),
                (x - (RADIUS**2 - min(abs(fan), 9) ** 2) ** 0.5, y + fan * 0.9),
                COLOURS[source],
                f"exchange {kind}",
                dashed=dashed,
            )
        canvas.sum((x, y), RADIUS, COLOURS[target], dashed)
    for branch, shape in enumerate(shapes):
        lines = (shape_text(shape), counted(network.variant.blocks, "block"))
        name = f"stage{stage}-branch{branch}"
        draw_box(canvas, left + PAD + BOX / 2, branch, lines, COLOURS[branch], name)


def _draw_key(canvas: Canvas, network: Network, bottom: float) -> None:
    """Explains arrows, sums and colours along the bottom."""
    upsampling = _UPSAMPLING[network.model.upsample]
    y, x = bottom + 28, MARGIN + 6
    entries = (
        (0, "unchanged", 150),
        (9, "3×3 convolutions, stride 2", 282),
        (-9, f"1×1 convolution, upsampling ({upsampling})", 530),
    )
    for slope, words, width in entries:
        canvas.arrow((x, y - slope), (x + 34, y + slope), SOFT)
        canvas.text(x + 44, y, words, 15, SOFT, anchor="start")
        x += width
    canvas.text(x, y, "boxes: height×width×channels", 15, SOFT, anchor="start")
    y += 30
    x = MARGIN + 6
    for branch, colour in enumerate(COLOURS):
        canvas.swatch(x + 8, y, colour)
        canvas.text(x + 24, y, f"stride {4 * 2**branch}", 15, SOFT, anchor="start")
        x += 118
    canvas.sum((x + 12, y), RADIUS, SOFT, False)
    canvas.text(x + 32, y, "sum, in stages also ReLU", 15, SOFT, anchor="start")
    words = "a stage repeats the module drawn"
    if len(network.after(4)) == 1 and network.variant.modules[-1] > 1:
        words += "; dashed: all modules but the last"
    canvas.text(x + 270, y, words, 15, SOFT, anchor="start")
