"""What tasks offer that see images of many sizes through programs of a few shapes."""

import pathlib
from collections.abc import Callable, Collection
from typing import Any, Protocol, Self, TypeGuard

import jax
import numpy as np

from hrnet_jax.tasks.protocol import Predicts


class FewShapes(Predicts, Protocol):
    """A task that sees images of many sizes through programs of a few shapes.

    Images lie at the top left of canvases. Programs do not depend on the canvases, as
    batches have their shapes; so what was compiled for the task serves its copies.
    """

    @staticmethod
    def seen_once(inference: Any) -> Any:
        """Options of `Inference` with which an image is one input of the network."""
        ...

    def for_sizes(self, sizes: np.ndarray) -> Self:
        """The task with canvases for images of these sizes, int [N, 2]."""
        ...

    def to_multiples(self, multiple: int) -> Self:
        """The task that pads images of other sizes to multiples of so many pixels."""
        ...

    def eval_groups(self, sizes: np.ndarray) -> np.ndarray:
        """Number of the canvas of each image, int [N]; a batch holds one number."""
        ...

    def in_strips(self, size: tuple[int, int]) -> bool:
        """Whether an image of this (height, width) is too large to be predicted whole."""
        ...

    def window_scores(self, variables: dict, images: jax.Array) -> jax.Array:
        """What `save_strips` asks for of windows uint8 [B, h, w, 3], on the device."""
        ...

    def save_strips(
        self,
        folder: pathlib.Path,
        name: str,
        image: np.ndarray,
        score: Callable[[np.ndarray], np.ndarray],
        only: Collection[str] = (),
    ) -> dict:
        """Predicts and writes a large image part by part; see `WritesKinds.save`.

        Args:
            folder: where to.
            name: start of the file names.
            image: uint8 [H, W, 3], perhaps mapped from a file.
            score: `window_scores` with the weights.
            only: kinds of files.
        """
        ...


def few_shapes(task: Predicts) -> TypeGuard[FewShapes]:
    """Whether images of many sizes are brought to a few shapes."""
    return task.few_shapes
