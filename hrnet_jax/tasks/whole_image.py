"""Base of tasks that see each image once, as a whole."""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from hrnet_jax.config.options import NoOptions
from hrnet_jax.errors import DataError
from hrnet_jax.tasks.protocol import Predicts


class WholeImage:
    """Base of tasks whose network sees one view of an image.

    Class attributes are those of `tasks.protocol.Predicts`, for a task without
    options, and those of `Trains` that most tasks have alike.
    """

    Augmentation: ClassVar[type] = NoOptions
    Loss: ClassVar[type] = NoOptions
    Inference: ClassVar[type] = NoOptions
    recipe: ClassVar[Mapping[str, Any]] = {}
    pixel_maps: ClassVar[tuple[str, ...]] = ()
    takes_boxes: ClassVar[bool] = False
    finds_objects: ClassVar[bool] = False
    scores_classes: ClassVar[bool] = False
    few_shapes: ClassVar[bool] = False
    picture_kinds: ClassVar[tuple[str, ...]] = ()
    requested_kinds: ClassVar[tuple[str, ...]] = ()
    has_own_size: ClassVar[bool] = False
    reads_encoded: ClassVar[bool] = False

    def prepare(self, image: np.ndarray) -> np.ndarray:
        """Input of the network, uint8 [H, W, 3]: the image itself."""
        return image

    def to_network(
        self, image: np.ndarray, boxes: np.ndarray | None = None
    ) -> tuple[np.ndarray, None]:
        """The prepared image as a batch of one, uint8 [1, h, w, 3].

        Raises:
            DataError: if there are boxes.
        """
        refuse_boxes(boxes)
        return self.prepare(image)[None], None

    def network_batch(self, images: np.ndarray, crops: Any) -> dict[str, np.ndarray]:
        """The images alone."""
        return {"image": images}

    def to_image(self, predictions: dict, crops: Any) -> dict[str, np.ndarray]:
        """The predictions of the one image."""
        return {name: value[0] for name, value in predictions.items()}

    def draw_frame(self: Predicts, image: np.ndarray, prediction: dict) -> np.ndarray:
        """The picture of a prediction in a video, as in a photograph."""
        return self.draw(image, prediction, None)


def refuse_boxes(boxes: np.ndarray | None) -> None:
    """For tasks that look at whole images.

    Raises:
        DataError: if there are boxes.
    """
    if boxes is not None:
        raise DataError(
            "boxes were given, but this task looks at whole images; leave them out"
        )
