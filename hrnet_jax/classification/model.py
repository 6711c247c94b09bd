"""HRNet for image classification."""

from typing import ClassVar

import jax
import jax.numpy as jnp
from flax import linen as nn

from hrnet_jax.models.layers import Bottleneck, ConvNorm, at_least_float32
from hrnet_jax.models.model import HRNetWithHead

# Inner widths of the bottlenecks that widen the four branches to four times
# this: HRNet-Image-Classification, `_make_head` of `cls_hrnet.py`.
_INCREASE_WIDTHS = (32, 64, 128, 256)


class ClassificationHRNet(HRNetWithHead):
    """HRNet-C: the four branches merged downwards, then a linear classifier.

    Attributes:
        num_classes: number of classes.
        head_bias: whether the head's convolutions have a bias; the SSLD weights
            of PaddleClas have none.
    """

    output_kind: ClassVar = "classification"
    # It reads all four branches in its own way, there is nothing to choose.
    representations: ClassVar = ()
    # As all ImageNet weights were trained.
    backbone_defaults: ClassVar = {"upsample": "nearest"}

    num_classes: int = 1000
    head_bias: bool = True

    @nn.compact
    def __call__(self, images: jax.Array, train: bool = False) -> jax.Array:
        """Maps normalised images [B, H, W, 3] to float32 [B, num_classes]."""
        features = self.pool_features(self.backbone.represent(images, train), train)
        pooled = jnp.mean(at_least_float32(features), (1, 2))
        return nn.Dense(
            self.num_classes,
            dtype=pooled.dtype,
            param_dtype=jnp.float32,
            name="classifier",
        )(pooled)

    def pool_features(self, branches: tuple[jax.Array, ...], train: bool) -> jax.Array:
        """Merges the branches into [B, ceil(H / 32), ceil(W / 32), 2048]."""
        common = {"norm": self.norm, "dtype": self.dtype}
        total = branches[0]
        for index, (x, width) in enumerate(
            zip(branches, _INCREASE_WIDTHS, strict=True)
        ):
            x = Bottleneck(width, **common, name=f"increase{index}")(x, train)
            if index > 0:
                x = x + ConvNorm(
                    4 * width,
                    stride=2,
                    use_bias=self.head_bias,
                    **common,
                    name=f"downsample{index - 1}",
                )(total, train)
            total = x
        features = ConvNorm(
            2048, kernel_size=1, use_bias=self.head_bias, **common, name="final"
        )(total, train)
        self.sow("intermediates", "features", features)
        return features
