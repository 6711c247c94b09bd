"""HRNet for facial landmarks and human pose: one heatmap per point."""

from typing import ClassVar

import jax
from flax import linen as nn

from hrnet_jax.models.heads import PixelHead
from hrnet_jax.models.layers import Conv, at_least_float32
from hrnet_jax.models.model import HRNetWithHead
from hrnet_jax.models.representations import upsample_between


class LandmarkHRNet(HRNetWithHead):
    """HRNetV2 with a heatmap per facial landmark.

    Source: HRNet-Facial-Landmark-Detection, `hrnet.py`.

    Attributes:
        num_points: number of landmarks: 68 (300W), 98 (WFLW), 29 (COFW),
            19 (AFLW).
    """

    output_kind: ClassVar = "landmarks"
    representations: ClassVar = ("v1", "v1h", "v2")

    num_points: int = 68

    @nn.compact
    def __call__(self, images: jax.Array, train: bool = False) -> jax.Array:
        """Maps normalised crops to heatmaps at a quarter of their size.

        Args:
            images: float [B, H, W, 3], any H and W; published with 256x256.
            train: whether batch norm uses and updates batch statistics.

        Returns:
            float32 [B, ceil(H / 4), ceil(W / 4), num_points].
        """
        return PixelHead(
            self.num_points,
            upsample_between(self.upsample),
            norm=self.norm,
            dtype=self.dtype,
            name="head",
        )(self.backbone.represent(images, train), train)


class PoseHRNet(HRNetWithHead):
    """HRNetV1 with a heatmap per joint.

    The last exchange computes the highest resolution alone.
    Source: deep-high-resolution-net.pytorch, `pose_hrnet.py`.

    Attributes:
        num_points: number of joints: 17 (COCO), 16 (MPII).
    """

    output_kind: ClassVar = "pose"
    representations: ClassVar = ("v1",)
    init_with_zeros: ClassVar = ("classifier",)
    # Nearest, as all official weights were trained.
    backbone_defaults: ClassVar = {"representation": "v1", "upsample": "nearest"}

    num_points: int = 17

    @nn.compact
    def __call__(self, images: jax.Array, train: bool = False) -> jax.Array:
        """Maps normalised crops to heatmaps at a quarter of their size.

        Args:
            images: float [B, H, W, 3]; published with 256x192 and 384x288.
            train: whether batch norm uses and updates batch statistics.

        Returns:
            float32 [B, ceil(H / 4), ceil(W / 4), num_points].
        """
        (x,) = self.backbone.represent(images, train)
        classifier = Conv(
            self.num_points, 1, use_bias=True, dtype=self.dtype, name="classifier"
        )
        return at_least_float32(classifier(x))
