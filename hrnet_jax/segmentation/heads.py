"""HRNetV2 for semantic segmentation."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from hrnet_jax.models.batch_norm import BatchNorm, NormOptions
from hrnet_jax.models.hrnet import HRNet
from hrnet_jax.models.layers import Conv, relu
from hrnet_jax.models.representations import ProjectV2

Dtype = Any


class V2Head(nn.Module):
    """1x1 convolution, norm, ReLU, 1x1 convolution on the V2 representation.

    Source: HRNet-Semantic-Segmentation, `last_layer` of `seg_hrnet.py`.

    Attributes:
        num_outputs: channels of the result.
        upsample: `bilinear` or `align_corners`, for the concatenation.
        norm: options of the batch norm.
        dtype: compute type; the result is float32.
    """

    num_outputs: int
    upsample: str = "bilinear"
    norm: NormOptions = NormOptions()
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, branches: tuple[jax.Array, ...], train: bool) -> jax.Array:
        """Maps the four branches to float32 [B, H_0, W_0, num_outputs]."""
        x = ProjectV2(None, self.upsample, self.dtype, name="project")(branches)
        x = relu(BatchNorm(self.norm, self.dtype, name="norm")(x, train))
        x = Conv(
            self.num_outputs, 1, use_bias=True, dtype=self.dtype, name="classifier"
        )(x)
        return x.astype(jnp.promote_types(x.dtype, jnp.float32))


class SegmentationHRNet(HRNet):
    """HRNetV2 that labels pixels.

    Attributes:
        num_classes: number of labels.
    """

    num_classes: int = 19

    @nn.compact
    def __call__(self, images: jax.Array, train: bool = False) -> jax.Array:
        """Maps normalised images to logits at a quarter of their size.

        Args:
            images: float [B, H, W, 3], any H and W.
            train: whether batch norm uses and updates batch statistics.

        Returns:
            float32 [B, ceil(H / 4), ceil(W / 4), num_classes].
        """
        branches = self.represent(images, train)
        # Nearest is never used for the concatenation, only inside the exchange.
        upsample = "bilinear" if self.upsample == "nearest" else self.upsample
        return V2Head(self.num_classes, upsample, self.norm, self.dtype, name="head")(
            branches, train
        )
