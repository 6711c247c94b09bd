"""What the loop asks of a task; it knows tasks only through this."""

import pathlib
from typing import Any, Protocol

import jax
import numpy as np

from hrnet_jax.models.model import Model


class Evaluator(Protocol):
    """Gathers predictions over a data set."""

    def update(self, batch: dict, predictions: dict[str, jax.Array]) -> None:
        """Takes one batch; padded examples have `example_valid` false."""
        ...

    def compute(self) -> dict[str, float]:
        """Metrics over everything seen."""
        ...


class Labelling(Protocol):
    """A model that predicts for images: what inference asks of every task.

    Attributes:
        model: the network.
        pixel_maps: keys of `predict` that have the size of the input.
        takes_boxes: whether predictions can be asked for in boxes of the image.
    """

    model: Model
    pixel_maps: tuple[str, ...]
    takes_boxes: bool

    def inputs(
        self, image: np.ndarray, boxes: np.ndarray | None = None
    ) -> tuple[np.ndarray, Any]:
        """What the network looks at, on the host.

        Args:
            image: uint8 RGB [H, W, 3].
            boxes: [N, 4], (x1, y1, x2, y2), for tasks that take them.

        Returns:
            uint8 [N, h, w, 3], one for each box or for the image, and what `place`
            needs to know of them.
        """
        ...

    def predict(self, variables: dict, batch: dict) -> dict[str, jax.Array]:
        """Predictions for a batch, on the device."""
        ...

    def decode(
        self, outputs: dict[str, jax.Array], size: tuple[int, int]
    ) -> dict[str, jax.Array]:
        """Predictions from what the network put out for images of this size."""
        ...

    def place(
        self, predictions: dict[str, np.ndarray], placement: Any
    ) -> dict[str, np.ndarray]:
        """Predictions for the inputs as a prediction for the image, on the host."""
        ...

    def draw(
        self, image: np.ndarray, prediction: dict, target: dict | None
    ) -> np.ndarray:
        """A uint8 RGB picture of one prediction."""
        ...

    def save(
        self, folder: pathlib.Path, name: str, image: np.ndarray, prediction: dict
    ) -> dict:
        """Writes the files of one prediction and returns its JSON summary."""
        ...


class Task(Labelling, Protocol):
    """A labelling task that can be trained: transforms, loss and metrics as well.

    Attributes:
        image_size: (height, width) of training images, in pixels.
        best_metric: (name, "max" or "min").
        totals: keys of `predict` that are sums over the batch; all others have
            one entry per example.
    """

    image_size: tuple[int, int]
    best_metric: tuple[str, str]
    totals: tuple[str, ...]

    def train_transform(self, sample: dict, rng: np.random.Generator) -> dict:
        """Augments one training sample; all results have one shape."""
        ...

    def eval_transform(self, sample: dict) -> dict:
        """Prepares one evaluation sample; all results have one shape."""
        ...

    def loss(
        self, variables: dict, batch: dict, rngs: dict
    ) -> tuple[jax.Array, tuple[Any, dict[str, jax.Array]]]:
        """Returns loss, (batch_stats, scalars), on the device."""
        ...

    def evaluator(self) -> Evaluator:
        """A fresh evaluator."""
        ...
