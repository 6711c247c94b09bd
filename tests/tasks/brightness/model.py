"""An HRNet with one number for an image."""

from typing import ClassVar

import jax
import jax.numpy as jnp
from flax import linen as nn

from hrnet_jax.models.layers import at_least_float32
from hrnet_jax.models.model import HRNetWithHead


class BrightnessHRNet(HRNetWithHead):
    """The mean of every map, and one linear layer."""

    output_kind: ClassVar = "brightness"
    representations: ClassVar = ("v1", "v2")

    @nn.compact
    def __call__(self, images: jax.Array, train: bool = False) -> jax.Array:
        """Maps normalised images [B, H, W, 3] to float32 [B, 1]."""
        maps = self.backbone.represent(images, train)
        means = [jnp.mean(at_least_float32(x), (1, 2)) for x in maps]
        return nn.Dense(1, name="classifier")(jnp.concatenate(means, -1))
