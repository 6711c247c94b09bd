"""The mask head (He et al. 2017): which pixels of a region are the object."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from hrnet_jax.models.layers import Conv, at_least_float32, relu
from hrnet_jax.models.parameters import parameter

Dtype = Any

# Side of the pooled features; masks have twice as many pixels a side.
POOLED = 14
_CONVOLUTIONS = 4


class MaskHead(nn.Module):
    """Four convolutions, a transposed one and a 1x1 convolution.

    Attributes:
        num_classes: of objects, each with a mask of its own.
        features: channels inside.
        dtype: compute type; results are float32.
    """

    num_classes: int = 80
    features: int = 256
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, pooled: jax.Array) -> jax.Array:
        """Maps pooled features [R, 14, 14, C] to logits [R, 28, 28, num_classes]."""
        x = pooled
        for index in range(_CONVOLUTIONS):
            x = relu(
                Conv(
                    self.features,
                    use_bias=True,
                    dtype=self.dtype,
                    name=f"conv{index}",
                )(x)
            )
        x = relu(Double(self.features, self.dtype, name="upsample")(x))
        logits = Conv(
            self.num_classes, 1, use_bias=True, dtype=self.dtype, name="classes"
        )(x)
        return at_least_float32(logits)


class Double(nn.Module):
    """Transposed convolution of 2x2 with stride 2: every pixel becomes four.

    No two of its windows overlap, so it is a 1x1 convolution to four times the
    channels, outputs in the order (y, x, channel), and a rearrangement of them.

    Attributes:
        features: number of output channels.
        dtype: compute type.
    """

    features: int
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [R, h, w, C] to [R, 2 h, 2 w, features]."""
        rois, height, width, channels = x.shape
        shape = (1, 1, channels, 4 * self.features)
        kernel = parameter(self, "kernel", nn.initializers.he_normal(), shape)
        bias = parameter(self, "bias", nn.initializers.zeros, (self.features,))
        y = jnp.einsum(
            "rhwc,cf->rhwf", x.astype(self.dtype), kernel[0, 0].astype(self.dtype)
        )
        y = y.reshape(rois, height, width, 2, 2, self.features)
        y = y.transpose(0, 1, 3, 2, 4, 5)
        y = y.reshape(rois, 2 * height, 2 * width, self.features)
        return y + bias.astype(self.dtype)
