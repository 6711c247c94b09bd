"""Suppression of doubles and features of regions as the standard operators of ONNX."""

import numpy as np

from hrnet_jax.errors import ExportError
from hrnet_jax.export.onnx_graph import CHANNELS_FIRST, Graph, Tensor, Value

_LOWEST = np.finfo(np.float32).min
_NEVER = np.float32(-np.inf)


def suppress(
    graph: Graph,
    boxes: Value,
    scores: Value,
    valid: Value,
    group: Value,
    *,
    shapes,
    threshold: float,
    max_out: int,
    groups: int,
    plus_one: float,
) -> list[Tensor]:
    """`NonMaxSuppression`, one class of it a group; then the best of all groups.

    See `detection.nms.nms_of_images` for what goes in and comes out. The operator
    suppresses by overlaps above the threshold and orders ties by index, as there.
    """
    corners = graph.plain(boxes)
    usable = graph.node(
        "Where", [graph.plain(valid), graph.plain(scores), graph.constant(_NEVER)]
    )
    if plus_one:
        more = np.array([0, 0, plus_one, plus_one], np.float32)
        corners = graph.node("Add", [corners, graph.constant(more)])
    limits = [
        graph.integers(max_out),
        graph.constant(np.array([threshold], np.float32)),
        graph.constant(np.array([_LOWEST], np.float32)),
    ]
    if isinstance(group, np.ndarray):
        kept = _in_rows(graph, corners, usable, group[0], groups, limits)
    else:
        kept = _in_masks(graph, corners, usable, group, groups, limits)
    ranked = graph.node("Where", [kept, usable, graph.constant(_NEVER)])
    count = min(max_out, scores.shape[-1])
    best, index = graph.nodes("TopK", [ranked, graph.integers(count)], 2)
    if count < max_out:
        space = graph.integers(0, 0, 0, max_out - count)
        best = graph.node("Pad", [best, space, graph.constant(_NEVER)])
        index = graph.node("Pad", [index, space])
    there = graph.node("GreaterOrEqual", [best, graph.constant(_LOWEST)])
    index = graph.node("Where", [there, index, graph.constant(np.int64(0))])
    index = graph.node("Cast", [index], to=graph.kind(np.int32))
    return [
        Tensor(name, shape.shape, (0, 1))
        for name, shape in zip((index, there), shapes, strict=True)
    ]


def _in_rows(
    graph: Graph,
    corners: str,
    usable: str,
    group: np.ndarray,
    groups: int,
    limits: list[str],
) -> str:
    """What is kept, bool [B, N], where groups are known: each with its boxes alone.

    Boxes of a group lie behind each other in a row; every row is an image to the
    operator, as its classes share their boxes.
    """
    members = [np.flatnonzero(group == number) for number in range(groups)]
    longest = max(len(row) for row in members)
    table = np.zeros((groups, longest), np.int64)
    there = np.zeros((groups, longest), bool)
    place = np.zeros(len(group), np.int64)
    for number, row in enumerate(members):
        table[number, : len(row)], there[number, : len(row)] = row, True
        place[row] = number * longest + np.arange(len(row))
    rows = graph.node("Gather", [usable, graph.constant(table)], axis=1)
    if not there.all():
        inputs = [graph.constant(there), rows, graph.constant(_NEVER)]
        rows = graph.node("Where", inputs)
    rows = graph.node("Reshape", [rows, graph.integers(-1, 1, longest)])
    corners = graph.node("Gather", [corners, graph.constant(table)], axis=1)
    corners = graph.node("Reshape", [corners, graph.integers(-1, longest, 4)])
    chosen = graph.node("NonMaxSuppression", [corners, rows, *limits])
    flat = graph.node("Reshape", [rows, graph.integers(-1, longest)])
    kept = _marked(graph, flat, chosen)
    kept = graph.node("Reshape", [kept, graph.integers(-1, groups * longest)])
    return graph.node("Gather", [kept, graph.constant(place)], axis=1)


def _in_masks(
    graph: Graph,
    corners: str,
    usable: str,
    group: Tensor,
    groups: int,
    limits: list[str],
) -> str:
    """What is kept, bool [B, N], where groups are computed: all share the boxes."""
    one = graph.integers(1)
    numbers = graph.constant(np.arange(groups, dtype=np.int32)[:, None])
    own = graph.node("Unsqueeze", [graph.plain(group), one])
    own = graph.node("Equal", [own, numbers])
    scores = graph.node("Unsqueeze", [usable, one])
    scores = graph.node("Where", [own, scores, graph.constant(_NEVER)])
    chosen = graph.node("NonMaxSuppression", [corners, scores, *limits])
    return _marked(graph, usable, chosen)


def _marked(graph: Graph, like: str, chosen: str) -> str:
    """Bool of the shape of `like` [M, L], true at what was chosen, (m, class, l)."""
    zeros = graph.filled(graph.node("Shape", [like]), 0)
    places = graph.node("Gather", [chosen, graph.integers(0, 2)], axis=1)
    ones = graph.filled(graph.node("Shape", [chosen], start=0, end=1), 1)
    marks = graph.node("ScatterND", [zeros, places, ones])
    return graph.node("Cast", [marks], to=graph.kind(np.bool_))


def pool_regions(
    graph: Graph,
    rois: Value,
    valid: Value,
    level: Value,
    *levels: Tensor,
    shapes,
    size: int,
    strides: tuple[int, ...],
    alignment: str,
    samples: int,
) -> list[Tensor]:
    """`RoiAlign` on each level of the regions that are read from it.

    See `detection.roi_align.roi_align`. Regions that are not valid have features here
    as well; nothing that is reported depends on them.
    """
    (shape,) = (one.shape for one in shapes)
    batch, count, *_, channels = shape
    flat = graph.node("Reshape", [graph.plain(rois), graph.integers(-1, 4)])
    number = graph.node("Reshape", [graph.plain(level), graph.integers(-1)])
    image = graph.node("Reshape", [_images(graph, count), graph.integers(-1)])
    order, features = [], []
    for index, (one, stride) in enumerate(zip(levels, strides, strict=True)):
        here = graph.node("Equal", [number, graph.constant(np.int32(index))])
        here = graph.node("NonZero", [here])
        here = graph.node("Squeeze", [here, graph.integers(0)])
        corners = graph.node("Gather", [flat, here], axis=0)
        corners, mode = _placed(graph, corners, alignment, stride)
        inputs = [
            graph.arranged(one, CHANNELS_FIRST),
            corners,
            graph.node("Gather", [image, here], axis=0),
        ]
        order.append(here)
        features.append(
            graph.node(
                "RoiAlign",
                inputs,
                coordinate_transformation_mode=mode,
                mode="avg",
                output_height=size,
                output_width=size,
                sampling_ratio=samples,
                spatial_scale=1 / stride,
            )
        )
    found = graph.node("Concat", features, axis=0)
    places = graph.node("Concat", order, axis=0)
    places = graph.node("Unsqueeze", [places, graph.integers(1)])
    # Every row is replaced: each region is on one level.
    found = graph.node("ScatterND", [found, places, found])
    sizes = graph.integers(-1, count, channels, size, size)
    found = graph.node("Reshape", [found, sizes])
    return [Tensor(found, (batch, *shape[1:]), (0, 1, 4, 2, 3))]


def _images(graph: Graph, count: int) -> str:
    """Number of the image of every region, int64 [B, count]."""
    batch = graph.node("Squeeze", [graph.batch()])
    zero, one = (graph.node("Squeeze", [graph.integers(end)]) for end in (0, 1))
    numbers = graph.node("Range", [zero, batch, one])
    numbers = graph.node("Unsqueeze", [numbers, graph.integers(1)])
    return graph.node("Expand", [numbers, graph.integers(1, count)])


def _placed(graph: Graph, corners: str, alignment: str, stride: int) -> tuple[str, str]:
    """Regions as `RoiAlign` wants them, and how it turns them into cells.

    Its half pixels are of cells; regions that no half is taken from, but that are not
    a cell wide at least, are moved by half a cell before.
    """
    if alignment == "aligned":
        return corners, "half_pixel"
    if alignment == "legacy":
        return corners, "output_half_pixel"
    if alignment == "plus_one":
        half = stride / 2
        shift = np.array([half, half, half + 1, half + 1], np.float32)
        return graph.node("Add", [corners, graph.constant(shift)]), "half_pixel"
    raise ExportError(f"the alignment {alignment!r} has no counterpart in RoiAlign")
