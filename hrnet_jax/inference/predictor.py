"""Labels single images of any size."""

import os
from typing import TYPE_CHECKING

import jax
import numpy as np

from hrnet_jax import runtime
from hrnet_jax.errors import DataError
from hrnet_jax.training.task import Labelling

if TYPE_CHECKING:
    from hrnet_jax.inference.exported import ExportedModel


class Predictor:
    """A task with weights, applied to one image at a time.

    Each image size is compiled once; `pad_multiple` lets similar sizes share a
    program, at the price of slightly other values near the padded border.

    Args:
        task: from `load_run` or built by hand.
        variables: {"params", "batch_stats"}.
        pad_multiple: sides are padded with black to multiples of this.
    """

    def __init__(self, task: Labelling, variables: dict, pad_multiple: int = 1):
        if pad_multiple < 1:
            raise ValueError(f"pad_multiple must be at least 1, got {pad_multiple}")
        self.task = task
        self.variables = jax.device_put(variables)
        self._multiple = pad_multiple
        self._predict = runtime.jit(task.predict)

    @classmethod
    def open(cls, path: str | os.PathLike) -> "ExportedModel":
        """Opens a `.stablehlo` or `.onnx` file of `scripts/export.py` to predict.

        Raises:
            ExportError: if it cannot be used.
        """
        from hrnet_jax.inference.exported import open_exported

        return open_exported(path)

    def predict(self, image: np.ndarray) -> dict[str, np.ndarray]:
        """Predicts for one image.

        Args:
            image: uint8 [H, W, 3] RGB.

        Returns:
            The task's prediction; see its `predict`. Maps per pixel have the
            image's own size. For segmentation: `label` uint8 [H, W], `confidence`
            float32 [H, W].

        Raises:
            DataError: if the image has another type or shape.
        """
        image = self.task.prepare(checked_image(image))
        height, width = image.shape[:2]
        batch = {"image": self._pad(image)[None]}
        predictions = jax.device_get(self._predict(self.variables, batch))
        return {
            name: value[0, :height, :width]
            if name in self.task.pixel_maps
            else value[0]
            for name, value in predictions.items()
        }

    def _pad(self, image: np.ndarray) -> np.ndarray:
        bottom, right = (-side % self._multiple for side in image.shape[:2])
        return np.pad(image, ((0, bottom), (0, right), (0, 0)))


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
