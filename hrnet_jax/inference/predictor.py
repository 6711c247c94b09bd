"""Predicts for single images of any size."""

import copy
import os
from typing import Any

import jax
import numpy as np

from hrnet_jax import runtime
from hrnet_jax.imaging.checks import checked_image
from hrnet_jax.inference.batching import equal_parts, join_parts
from hrnet_jax.models.folding import as_computed, fold_batch_norm
from hrnet_jax.runtime import layouts
from hrnet_jax.tasks.protocol import Predicts


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

    def __init__(self, task: Predicts, variables: dict, pad_multiple: int = 1):
        if pad_multiple < 1:
            raise ValueError(f"pad_multiple must be at least 1, got {pad_multiple}")
        self.task = task
        self._multiple = pad_multiple
        folded = copy.copy(task)
        folded.model, weights = fold_batch_norm(task.model, variables)
        self._variables = layouts.put_for_inference(
            as_computed(weights, folded.model.dtype)
        )
        self._predict = runtime.jit(folded.predict)
        runtime.keep_freed_memory()

    @classmethod
    def open(cls, path: str | os.PathLike) -> Any:
        """Opens a `.stablehlo` or `.onnx` file of `scripts/export.py` to predict.

        Raises:
            ExportError: if it cannot be used.
        """
        import hrnet_jax

        return hrnet_jax.open_exported(path)

    def predict(
        self, image: np.ndarray, boxes: np.ndarray | None = None
    ) -> dict[str, np.ndarray]:
        """Predicts for one image.

        Args:
            image: uint8 [H, W, 3] RGB.
            boxes: [N, 4], (x1, y1, x2, y2) in pixels, of faces or persons, for tasks
                that predict in boxes; None takes the whole image as the one box.

        Returns:
            The task's prediction; see its `predict` and `to_image`. Maps per pixel have
            the image's own size. For segmentation: `label` uint8 [H, W], `confidence`
            float32 [H, W]. For landmarks and pose: `points` float32 [N, K, 2] in
            pixels of the image, `scores` [N, K], `boxes` [N, 4].

        Raises:
            DataError: if the image or the boxes have another type or shape.
        """
        images, crops = self.task.to_network(checked_image(image), boxes)
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
        return self.task.to_image(predictions, crops)

    def _pad(self, images: np.ndarray) -> np.ndarray:
        bottom, right = (-side % self._multiple for side in images.shape[1:3])
        return np.pad(images, ((0, 0), (0, bottom), (0, right), (0, 0)))
