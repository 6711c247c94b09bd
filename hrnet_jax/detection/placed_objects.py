"""Objects of a record on the canvas that its image was brought to."""

import dataclasses
from typing import Any

import numpy as np

from hrnet_jax.errors import DataError
from hrnet_jax.imaging import run_lengths

Size = tuple[int, int]


@dataclasses.dataclass(frozen=True)
class Placement:
    """How an image came onto its canvas: resized, cut, mirrored.

    Attributes:
        original: (height, width) of the image.
        whole: (height, width) that it is resized to.
        corner: (top, left) of the window in the resized image.
        size: (height, width) of the window.
        mirror: whether left and right are exchanged afterwards.
        upside_down: whether top and bottom are.
    """

    original: Size
    whole: Size
    corner: Size
    size: Size
    mirror: bool = False
    upside_down: bool = False

    @property
    def factors(self) -> np.ndarray:
        """(y, x), pixels of the canvas for one of the original, float64 [2]."""
        return np.array(self.whole, np.float64) / np.array(self.original, np.float64)

    def boxes(self, boxes: np.ndarray) -> np.ndarray:
        """Boxes [N, 4] of the original in the window, clipped, before any mirroring."""
        factor_y, factor_x = self.factors
        (top, left), (height, width) = self.corner, self.size
        moved = np.asarray(boxes, np.float64).reshape(-1, 4)
        moved = moved * np.array([factor_x, factor_y, factor_x, factor_y])
        moved = moved - np.array([left, top, left, top])
        return np.clip(moved, 0, np.array([width, height, width, height]))

    def in_original(self, boxes: np.ndarray) -> np.ndarray:
        """The inverse of `boxes`, but for the clipping."""
        factor_y, factor_x = self.factors
        top, left = self.corner
        return (boxes + np.array([left, top, left, top])) / np.array(
            [factor_x, factor_y, factor_x, factor_y]
        )

    def mirrored(self, boxes: np.ndarray) -> np.ndarray:
        """Boxes [N, 4] of the window as it is mirrored: x becomes width - x."""
        x1, y1, x2, y2 = boxes.T
        height, width = self.size
        if self.mirror:
            x1, x2 = width - x2, width - x1
        if self.upside_down:
            y1, y2 = height - y2, height - y1
        return np.stack([x1, y1, x2, y2], 1)


def placed_objects(
    sample: dict[str, Any],
    placement: Placement,
    most: int,
    *,
    mask_size: int = 0,
    least_side: float | None = None,
) -> dict[str, np.ndarray]:
    """The objects of a record as a batch holds them.

    Args:
        sample: a record.
        placement: of its image.
        most: G.
        mask_size: M, the side of bitmaps; 0 for none.
        least_side: pixels; objects of a narrower box, in the original or on the canvas,
            are left out. None keeps all.

    Returns:
        `boxes`, `box_class`, `box_valid`, `box_crowd`, and `masks` if asked for; see
        `make_train_transform`.
    """
    boxes = placement.boxes(sample["boxes"]).reshape(-1, 4)
    kept = np.ones(len(boxes), bool)
    if least_side is not None:
        for sides in (boxes, np.asarray(sample["boxes"]).reshape(-1, 4)):
            kept &= (sides[:, 2:] - sides[:, :2] >= least_side).all(1)
    index = np.flatnonzero(kept)
    crowd = np.asarray(sample["box_crowd"], bool)[index]
    placed = {
        "boxes": placement.mirrored(boxes[index]).astype(np.float32),
        "box_class": np.asarray(sample["box_class"], np.int32)[index],
        "box_valid": ~crowd,
        "box_crowd": crowd,
    }
    if mask_size:
        texts = _texts(sample)
        frames = placement.in_original(boxes[index])
        placed["masks"] = np.zeros((len(index), mask_size, mask_size), np.uint8)
        for place, (number, frame) in enumerate(zip(index, frames, strict=True)):
            patch = mask_patch(texts[number], placement.original, frame, mask_size)
            patch = patch[:, ::-1] if placement.mirror else patch
            placed["masks"][place] = patch[::-1] if placement.upside_down else patch
    return {key: _filled(value, most) for key, value in placed.items()}


def mask_patch(text: str, size: Size, frame: np.ndarray, side: int) -> np.ndarray:
    """A mask in the frame of a box; only the columns of the box are decoded.

    Each cell takes the pixel that its centre is in, outside of the image 0.

    Args:
        text: run lengths for the whole image.
        size: (height, width) of the image.
        frame: (x1, y1, x2, y2) in its pixels.
        side: M.

    Returns:
        uint8 [M, M], 0 and 1; zeros where there is no mask.
    """
    x1, y1, x2, y2 = (float(value) for value in frame)
    cells = (np.arange(side) + 0.5) / side
    patch = np.zeros((side, side), np.uint8)
    columns = np.floor(x1 + cells * (x2 - x1)).astype(int)
    rows = np.floor(y1 + cells * (y2 - y1)).astype(int)
    across = np.flatnonzero((columns >= 0) & (columns < size[1]))
    down = np.flatnonzero((rows >= 0) & (rows < size[0]))
    if not text or not across.size or not down.size:
        return patch
    columns, rows = columns[across], rows[down]
    top, left = rows[0], columns[0]
    window = (top, rows[-1] + 1, left, columns[-1] + 1)
    part = run_lengths.decode_part(text, size, window)
    patch[np.ix_(down, across)] = part[np.ix_(rows - top, columns - left)]
    return patch


def _texts(sample: dict[str, Any]) -> list[str]:
    texts = sample.get("masks", "").split(" ")
    if len(sample["boxes"]) and len(texts) != len(sample["boxes"]):
        raise DataError(
            f"image {sample['image_id']!r} has {len(texts)} masks for "
            f"{len(sample['boxes'])} objects"
        )
    return texts


def _filled(values: np.ndarray, most: int) -> np.ndarray:
    """With zeros behind, up to `most` rows."""
    filled = np.zeros((most, *values.shape[1:]), values.dtype)
    filled[: len(values)] = values
    return filled
