"""Predicts for single images of any size."""

import copy
import os
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import jax
import numpy as np

from hrnet_jax import layouts, runtime
from hrnet_jax.errors import DataError
from hrnet_jax.models.folding import as_computed, fold_batch_norm
from hrnet_jax.training.task import Labelling

if TYPE_CHECKING:
    from hrnet_jax.inference.exported import ExportedModel


# Images of one call of the compiled program.
_LARGEST_PART = 8


class Predictor:
    """A task with weights, applied to one image at a time.

    Each image size is compiled once; `pad_multiple` lets similar sizes share a
    program, at the price of slightly other values near the padded border. Norms are
    folded into the convolutions before them, which changes values by rounding.

    Args:
        task: from `load_run` or built by hand.
        variables: {"params", "batch_stats"}.
        pad_multiple: sides are padded with black to multiples of this.
    """

    def __init__(self, task: Labelling, variables: dict, pad_multiple: int = 1):
        if pad_multiple < 1:
            raise ValueError(f"pad_multiple must be at least 1, got {pad_multiple}")
        self.task = task
        self._multiple = pad_multiple
        folded = copy.copy(task)
        folded.model, weights = fold_batch_norm(task.model, variables)
        self._variables = layouts.on_device(as_computed(weights, folded.model.dtype))
        self._predict = runtime.jit(folded.predict)
        runtime.keep_freed_memory()

    @classmethod
    def open(cls, path: str | os.PathLike) -> "ExportedModel":
        """Opens a `.stablehlo` or `.onnx` file of `scripts/export.py` to predict.

        Raises:
            ExportError: if it cannot be used.
        """
        from hrnet_jax.inference.exported import open_exported

        return open_exported(path)

    def predict(
        self, image: np.ndarray, boxes: np.ndarray | None = None
    ) -> dict[str, np.ndarray]:
        """Predicts for one image.

        Args:
            image: uint8 [H, W, 3] RGB.
            boxes: [N, 4], (x1, y1, x2, y2) in pixels, of faces or persons, for tasks
                that look into boxes; None takes the whole image as the one box.

        Returns:
            The task's prediction; see its `predict` and `place`. Maps per pixel have
            the image's own size. For segmentation: `label` uint8 [H, W], `confidence`
            float32 [H, W]. For landmarks and pose: `points` float32 [N, K, 2] in
            pixels of the image, `scores` [N, K], `boxes` [N, 4].

        Raises:
            DataError: if the image or the boxes have another type or shape.
        """
        images, placement = self.task.inputs(checked_image(image), boxes)
        height, width = images.shape[1:3]
        images = self._pad(images)
        predictions = join_parts(
            jax.device_get(self._predict(self._variables, {"image": part}))
            for part in equal_parts(images)
        )
        predictions = {
            name: value[: len(images)] for name, value in predictions.items()
        }
        for name in self.task.pixel_maps:
            predictions[name] = predictions[name][:, :height, :width]
        return self.task.place(predictions, placement)

    def _pad(self, images: np.ndarray) -> np.ndarray:
        bottom, right = (-side % self._multiple for side in images.shape[1:3])
        return np.pad(images, ((0, 0), (0, bottom), (0, right), (0, 0)))


def equal_parts(images: np.ndarray) -> Iterator[np.ndarray]:
    """Cuts [N, ...] into parts of few different sizes, so that few are compiled.

    Parts have 1, 2, 4 or 8 images; the last is filled up with black ones. Without
    images there is one part, as the names and shapes of predictions are asked for.
    """
    for start in range(0, max(1, len(images)), _LARGEST_PART):
        part = images[start : start + _LARGEST_PART]
        size = 1 << max(0, len(part) - 1).bit_length()
        missing = size - len(part)
        yield np.pad(part, ((0, missing), *[(0, 0)] * (part.ndim - 1)))


def join_parts(parts: Iterable[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Predictions of all parts, one after the other."""
    parts = list(parts)
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def checked_image(image: np.ndarray) -> np.ndarray:
    """Checks that an image is uint8 RGB [H, W, 3].

    Raises:
        DataError: if it has another type or shape.
    """
    image = np.asarray(image)
    right = image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3
    if not right or not image.size:
        raise DataError(
            "an image must be uint8 [height, width, 3] in RGB order, "
            f"got {image.dtype} {list(image.shape)}"
        )
    return image
