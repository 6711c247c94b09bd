"""Predictions for large photographs from smaller copies of them."""

import pathlib
from typing import Any

import cv2
import numpy as np

from hrnet_jax.errors import ConfigError
from hrnet_jax.inference.opened import OpenedModel
from hrnet_jax.tasks.boxes import BoxFinder, find_scored


def check_max_side(max_side: int) -> None:
    """Refuses a bound that no image fits in.

    Raises:
        ConfigError: if it is below 1.
    """
    if max_side < 1:
        raise ConfigError(f"max_side must be at least 1 pixel, got {max_side}")


class Reduced:
    """An opened model that sees large images reduced, and answers in their own size.

    Memory and time then have a bound that does not depend on the photograph. Maps per
    pixel come back in the size of the image, labels by the nearest pixel, numbers
    linearly; points and boxes in its pixels.

    Args:
        run: from `load_run` or `open_exported`.
        max_side: pixels of the longer side that the network sees at most.

    Raises:
        ConfigError: if `max_side` is below 1.
    """

    def __init__(self, run: OpenedModel, max_side: int):
        check_max_side(max_side)
        self.task = run.task
        self.info = run.info
        self._run = run
        self._max_side = max_side

    @property
    def about(self) -> dict[str, Any]:
        """Source of the predictions, with the bound."""
        return {**self._run.about, "max_side": self._max_side}

    def for_sizes(self, sizes: np.ndarray) -> "Reduced":
        """The same for images of these sizes, int [N, 2]; see `LoadedRun.for_sizes`."""
        if self.task.has_own_size:
            return self
        seen = [reduced_size((h, w), self._max_side) for h, w in np.asarray(sizes)]
        return Reduced(self._run.for_sizes(np.array(seen)), self._max_side)

    def save_large(
        self, folder: pathlib.Path, name: str, image: np.ndarray, **only: Any
    ) -> None:
        """Nothing: reduced, no image is too large."""

    def predict(
        self, image: np.ndarray, boxes: np.ndarray | BoxFinder | None = None
    ) -> dict[str, np.ndarray]:
        """Predicts for one uint8 RGB image [H, W, 3]; see `Predictor.predict`.

        Boxes are looked for in the image as it is.
        """
        if callable(boxes):
            found, scores = find_scored(boxes, image)
            return self.predict(image, found) | scores
        height, width = image.shape[:2]
        if self.task.has_own_size or max(height, width) <= self._max_side:
            return self._run.predict(image, boxes)
        size = reduced_size((height, width), self._max_side)[::-1]
        reduced = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        # Of x and y: pixels of the image to one of the reduced one.
        factors = np.array([width / size[0], height / size[1]])
        if boxes is not None:
            boxes = _scaled(np.asarray(boxes), 1 / factors)
        prediction = dict(self._run.predict(reduced, boxes))
        for name in self.task.pixel_maps:
            prediction[name] = _enlarged(prediction[name], (width, height))
        if self.task.takes_boxes:
            for name in ("points", "boxes"):
                prediction[name] = _scaled(prediction[name], factors)
        return prediction


def reduced_size(size: tuple[int, int], max_side: int) -> tuple[int, int]:
    """(height, width) of an image whose longer side is bounded."""
    if max(size) <= max_side:
        return size
    scale = max_side / max(size)
    height, width = (max(1, round(side * scale)) for side in size)
    return height, width


def _scaled(places: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """Places in another size: points [..., 2] or boxes [..., 4], float32.

    The centre of the first pixel is 0 in both sizes, its corner -0.5.
    """
    factors = np.resize(factors, places.shape[-1:])
    return ((places + 0.5) * factors - 0.5).astype(np.float32)


def _enlarged(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A map [h, w] in another (width, height); whole numbers are labels."""
    is_label = np.issubdtype(values.dtype, np.integer)
    method = cv2.INTER_NEAREST_EXACT if is_label else cv2.INTER_LINEAR
    return cv2.resize(np.asarray(values), size, interpolation=method)
