"""ImageNet normalisation, on the device so that images travel as bytes."""

import jax
import jax.numpy as jnp
import numpy as np

# Mean and standard deviation of ImageNet in RGB order for values in [0, 1].
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def normalize_images(images: jax.Array) -> jax.Array:
    """Maps uint8 RGB [..., 3] to float32 (x / 255 - mean) / std."""
    scale = 1.0 / (255.0 * np.asarray(IMAGENET_STD))
    shift = -np.asarray(IMAGENET_MEAN) / np.asarray(IMAGENET_STD)
    return images.astype(jnp.float32) * scale.astype(np.float32) + shift.astype(
        np.float32
    )
