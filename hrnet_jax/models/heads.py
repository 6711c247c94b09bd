"""The head of HRNetV2 on its representation, for labels and heatmaps."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from hrnet_jax.models.batch_norm import BatchNorm, NormOptions
from hrnet_jax.models.layers import Conv, at_least_float32, relu
from hrnet_jax.models.representations import Project, Strips, concatenate

Dtype = Any


class PixelHead(nn.Module):
    """Convolution, norm, ReLU, 1x1 convolution at the highest resolution.

    Source: `last_layer` of HRNet-Semantic-Segmentation, `head` of
    HRNet-Facial-Landmark-Detection.

    Attributes:
        num_outputs: channels of the result.
        upsample: `bilinear` or `align_corners`, for the concatenation.
        use_bias: whether the first convolution has a bias; mmsegmentation's
            has none.
        width: channels between the convolutions; 0: those of the representation.
        kernel_size: side of the first convolution; 1 in all published heads but MIT's
            (`C1` of semantic-segmentation-pytorch), which has 3.
        norm: options of the batch norm.
        dtype: compute type; the result is float32.
    """

    num_outputs: int
    upsample: str = "bilinear"
    use_bias: bool = True
    width: int = 0
    kernel_size: int = 1
    norm: NormOptions = NormOptions()
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, maps: tuple[jax.Array, ...], train: bool) -> jax.Array:
        """Maps the maps of a representation to float32 [B, H_0, W_0, num_outputs]."""
        width = self.width or sum(x.shape[-1] for x in maps)
        options: dict[str, Any] = {
            "use_bias": self.use_bias and not self.norm.is_folded,
            "dtype": self.dtype,
            "name": "project",
        }
        norm = BatchNorm(self.norm, self.dtype, name="norm")
        classifier = Conv(
            self.num_outputs, 1, use_bias=True, dtype=self.dtype, name="classifier"
        )

        def scores(x: jax.Array) -> jax.Array:
            return at_least_float32(classifier(relu(norm(x, train))))

        if self.kernel_size > 1:
            joined = concatenate(maps, self.upsample)
            return scores(Conv(width, self.kernel_size, **options)(joined))
        project = Project(width, self.upsample, **options)
        strips = Strips(maps, width, self.upsample)
        if train or strips.rows is None or self.is_initializing():
            return scores(project(maps))

        def of_strip(_: "PixelHead", carry: tuple, start: jax.Array):
            return carry, scores(project(strips.maps(start), strips.rows))

        in_turn = nn.scan(of_strip, variable_broadcast=True, out_axes=1)
        _, found = in_turn(self, (), strips.starts)
        return found.reshape(*maps[0].shape[:3], self.num_outputs)
