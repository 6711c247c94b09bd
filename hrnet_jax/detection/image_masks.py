"""Masks of the objects of an image, kept small until their pixels are asked for."""

import dataclasses
from collections.abc import Iterator

import numpy as np

from hrnet_jax.detection.postprocess import paste_mask
from hrnet_jax.imaging import run_lengths


@dataclasses.dataclass(frozen=True)
class ImageMasks:
    """Masks bool [N, H, W] of an image, of which each is made when it is asked for.

    A hundred masks of a photograph of 12 megapixels are 1.2 GB. `masks[2]` is the third
    one, bool [H, W]; `np.asarray(masks)` all of them.

    Attributes:
        probabilities: float32 [N, M, M], of the pixels within each box.
        boxes: float32 [N, 4], (x1, y1, x2, y2) in pixels of the image.
        size: (height, width) of the image.
    """

    probabilities: np.ndarray
    boxes: np.ndarray
    size: tuple[int, int]

    @property
    def shape(self) -> tuple[int, int, int]:
        """(N, H, W)."""
        return (len(self.boxes), *self.size)

    def __len__(self) -> int:
        return len(self.boxes)

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: int) -> np.ndarray:
        whole = np.zeros(self.size, bool)
        part, (top, left) = self.part(index)
        whole[top : top + part.shape[0], left : left + part.shape[1]] = part
        return whole

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        del copy
        found = [*self] or np.zeros((0, *self.size), bool)
        return np.asarray(found, dtype or bool)

    def chosen(self, indices: np.ndarray) -> "ImageMasks":
        """Some of the masks."""
        return ImageMasks(self.probabilities[indices], self.boxes[indices], self.size)

    def part(self, index: int) -> tuple[np.ndarray, tuple[int, int]]:
        """The pixels of a mask around its box, and (row, column) of their corner."""
        return paste_mask(self.probabilities[index], self.boxes[index], self.size)

    def run_lengths(self, index: int) -> str:
        """A mask as COCO's compressed run lengths."""
        part, (top, left) = self.part(index)
        return run_lengths.encode(part, self.size, (top, left))
