"""What tasks have in common that look at an image once, as a whole."""

import numpy as np

from hrnet_jax.errors import DataError


class WholeImage:
    """Base of tasks whose network sees one view of an image.

    Attributes:
        takes_boxes: whether predictions can be asked for in boxes.
    """

    takes_boxes = False

    def prepare(self, image: np.ndarray) -> np.ndarray:
        """What the network looks at: uint8 [H, W, 3] to the same; the image itself."""
        return image

    def inputs(
        self, image: np.ndarray, boxes: np.ndarray | None = None
    ) -> tuple[np.ndarray, None]:
        """The prepared image as a batch of one, uint8 [1, h, w, 3].

        Raises:
            DataError: if there are boxes.
        """
        if boxes is not None:
            raise DataError(
                "boxes were given, but this task looks at whole images; leave them out"
            )
        return self.prepare(image)[None], None

    def place(self, predictions: dict, placement: None) -> dict[str, np.ndarray]:
        """The predictions of the one image."""
        del placement
        return {name: value[0] for name, value in predictions.items()}
