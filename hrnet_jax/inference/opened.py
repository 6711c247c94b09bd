"""The protocol of models opened to predict: work directories and exported files."""

import pathlib
from typing import Any, Protocol

import numpy as np

from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.tasks.boxes import BoxFinder
from hrnet_jax.tasks.protocol import Predicts


class OpenedModel(Protocol):
    """A model with weights: a `LoadedRun`, or an exported file.

    Attributes:
        task: with `draw` and `save`.
        info: classes and colours, or points.
    """

    @property
    def task(self) -> Predicts:
        """The task, which draws and saves predictions."""
        ...

    @property
    def info(self) -> DatasetInfo:
        """Classes and colours, or points."""
        ...

    @property
    def about(self) -> dict[str, Any]:
        """Source of the predictions, for a report; `model` is its name."""
        ...

    def for_sizes(self, sizes: np.ndarray) -> "OpenedModel":
        """The same for images of these sizes, int [N, 2], through few programs."""
        ...

    def save_large(
        self, folder: pathlib.Path, name: str, image: np.ndarray, **only: Any
    ) -> dict | None:
        """Writes an image too large to be predicted whole; see `Predictor.save_large`."""
        ...

    def predict(
        self, image: np.ndarray, boxes: np.ndarray | BoxFinder | None = None
    ) -> dict[str, np.ndarray]:
        """Predicts for one uint8 RGB image [H, W, 3]; see `Predictor.predict`."""
        ...
