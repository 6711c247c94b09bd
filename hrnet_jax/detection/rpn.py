"""The region proposal network (Ren et al. 2015): where objects may be."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from hrnet_jax.models.layers import Conv, at_least_float32, relu

Dtype = Any


class RPN(nn.Module):
    """Convolution with ReLU; objectness and box of every anchor. Shared by all levels.

    Attributes:
        features: channels in and inside.
        anchors: at every position.
        dtype: compute type; results are float32.
    """

    features: int = 256
    anchors: int = 3
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, level: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Maps a level [B, h, w, C] to logits [B, h, w, A] and deltas [B, h, w, A, 4]."""

        def layer(features: int, kernel_size: int, name: str) -> Conv:
            return Conv(
                features, kernel_size, use_bias=True, dtype=self.dtype, name=name
            )

        x = relu(layer(self.features, 3, "conv")(level))
        logits = layer(self.anchors, 1, "objectness")(x)
        deltas = layer(4 * self.anchors, 1, "deltas")(x)
        deltas = deltas.reshape(*deltas.shape[:-1], self.anchors, 4)
        return at_least_float32(logits), at_least_float32(deltas)
