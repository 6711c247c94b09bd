"""Checks of images given by callers."""

import numpy as np

from hrnet_jax.errors import DataError


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
