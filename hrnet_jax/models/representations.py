"""Representations made of the four resolutions (Figure 3 of the paper)."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from hrnet_jax.models.layers import kernel_init
from hrnet_jax.models.resize import resize

Dtype = Any


class ProjectV2(nn.Module):
    """A 1x1 convolution of HRNetV2's representation that never builds it.

    HRNetV2 upsamples all branches to the highest resolution and concatenates
    them. A 1x1 convolution of that equals the sum of the upsampled 1x1
    convolutions of each branch, so each branch is convolved at its own
    resolution with its slice of the one kernel: the same function to
    rounding, with a fraction of the multiply-adds and memory.

    Attributes:
        features: output channels; None keeps the sum of the input channels.
        upsample: `bilinear` or `align_corners`.
        dtype: compute type; parameters stay float32.
    """

    features: int | None = None
    upsample: str = "bilinear"
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, branches: tuple[jax.Array, ...]) -> jax.Array:
        """Maps maps [B, H_b, W_b, C_b] to [B, H_0, W_0, features]."""
        widths = [x.shape[-1] for x in branches]
        features = self.features or sum(widths)
        kernel = self.param(
            "kernel", kernel_init, (1, 1, sum(widths), features), jnp.float32
        )
        bias = self.param("bias", nn.initializers.zeros, (features,), jnp.float32)
        kernel = kernel[0, 0].astype(self.dtype)
        size = branches[0].shape[1:3]
        total = None
        start = 0
        for x, width in zip(branches, widths, strict=True):
            y = jnp.einsum(
                "bhwc,cf->bhwf", x.astype(self.dtype), kernel[start : start + width]
            )
            y = resize(y, size, self.upsample)
            total = y if total is None else total + y
            start += width
        return total + bias.astype(self.dtype)
