"""Masks of annotation files as run lengths."""

from typing import Any

import numpy as np

from hrnet_jax.data.files.coco_json import is_number, is_pixels, shown
from hrnet_jax.errors import DataError
from hrnet_jax.imaging import run_lengths

# x and y of three points.
_LEAST_NUMBERS = 6


def wrong_with(mask: Any, size: tuple[int, int]) -> str:
    """What is wrong with a mask; empty if nothing.

    Args:
        mask: as in `ImageObject`.
        size: (height, width) of the image.
    """
    if isinstance(mask, dict):
        return _wrong_with_runs(mask, size)
    for polygon in mask or ():
        if not isinstance(polygon, list) or not all(map(is_pixels, polygon)):
            return (
                f"a polygon is {shown(polygon)}, expected [x, y, x, y, ...] in pixels"
            )
        if len(polygon) % 2:
            return (
                f"a polygon has {len(polygon)} numbers, expected x and y of each point"
            )
        # Drawing takes memory for every pixel along a line.
        sides = size[::-1] * (len(polygon) // 2)
        if any(not -side <= x <= 2 * side for x, side in zip(polygon, sides)):
            return f"a polygon leaves its image of {size[1]}x{size[0]} by far"
        if len(polygon) < _LEAST_NUMBERS:
            points = f"{len(polygon) // 2} point{'s' * (len(polygon) != 2)}"
            return f"a polygon has {points}, expected 3 or more"
    return ""


def _wrong_with_runs(mask: dict, size: tuple[int, int]) -> str:
    told, counts = mask.get("size"), mask.get("counts")
    if not isinstance(told, list) or len(told) != 2 or not all(map(is_number, told)):
        return f"the size of the run lengths is {shown(told)}, expected [height, width]"
    if tuple(told) != tuple(size):
        return (
            f"run lengths of {told[1]}x{told[0]} pixels for an image of "
            f"{size[1]}x{size[0]}"
        )
    if isinstance(counts, list):
        if not all(type(count) is int and count >= 0 for count in counts):
            return f"'counts' is {shown(counts)}, expected whole numbers"
        total = sum(counts)
    elif isinstance(counts, str):
        try:
            total = int(run_lengths.counts_of(counts).sum())
        except ValueError as error:
            return f"'counts' is {shown(counts)}: {error}"
    else:
        return f"'counts' is {shown(counts)}, expected a text or a list"
    if total != size[0] * size[1]:
        return f"'counts' has {total} pixels, the image {size[0] * size[1]}"
    return ""


def encoded(mask: Any, size: tuple[int, int]) -> str:
    """The run lengths of a mask for the whole image; empty where there is none.

    Polygons are drawn as COCO draws them, all of an object as one mask.

    Args:
        mask: as in `ImageObject`, with which nothing is wrong.
        size: (height, width) of the image.
    """
    if not mask:
        return ""
    if isinstance(mask, dict):
        counts = mask["counts"]
        if isinstance(counts, list):
            return run_lengths.text_of(np.array(counts))
        return counts
    # Only where masks are drawn.
    from faster_coco_eval.core import mask as library

    drawn = library.frPyObjects([[*map(float, one)] for one in mask], *size)
    counts = library.merge(drawn)["counts"]
    return counts.decode() if isinstance(counts, bytes) else counts


def read_segmentation(values: Any, where: str) -> Any:
    """The value of 'segmentation' as a mask; None where there is none.

    Raises:
        DataError: for what is neither polygons nor run lengths.
    """
    if values is None or values == [] or values == {} or values == [[]]:
        return None
    if isinstance(values, dict):
        return values
    if isinstance(values, list):
        # One polygon without the list around it.
        return [values] if all(map(is_number, values)) else values
    raise DataError(
        f"{where}: 'segmentation' is {shown(values)}, expected polygons or run lengths"
    )
