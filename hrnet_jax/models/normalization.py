"""Normalisation of images, on the device so that they travel as bytes."""

import dataclasses
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from hrnet_jax.errors import ConfigError

# Mean and standard deviation of ImageNet in RGB order for values in [0, 1].
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

CHANNEL_ORDERS = ("rgb", "bgr")

# On the device or on the host.
Images = TypeVar("Images", jax.Array, np.ndarray)


@dataclasses.dataclass(frozen=True)
class Normalization:
    """Normalisation of pixels to the input of a network.

    Attributes:
        mean: subtracted from values in [0, 1], in the order of the channels as fed.
        std: divides them after that.
        channel_order: `rgb`, or `bgr` for weights trained on OpenCV's order.
    """

    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    channel_order: str = "rgb"

    def __post_init__(self):
        if self.channel_order not in CHANNEL_ORDERS:
            raise ConfigError(
                f"unknown channel_order {self.channel_order!r}; "
                f"expected one of {', '.join(CHANNEL_ORDERS)}"
            )
        if min(self.std) <= 0:
            raise ConfigError(f"std must be positive, got {self.std}")


def normalize_images(
    images: Images, options: Normalization = Normalization()
) -> Images:
    """Maps uint8 RGB [..., 3] to float32 (x / 255 - mean) / std.

    Returns:
        [..., 3] in the channel order of the options.
    """
    if options.channel_order == "bgr":
        images = images[..., ::-1]
    scale = 1.0 / (255.0 * np.asarray(options.std))
    shift = -np.asarray(options.mean) / np.asarray(options.std)
    return images.astype(jnp.float32) * scale.astype(np.float32) + shift.astype(
        np.float32
    )
