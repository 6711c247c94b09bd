"""HRNet for semantic segmentation, alone and with object-contextual representations."""

import math
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from flax import linen as nn

from hrnet_jax.models.batch_norm import NormOptions
from hrnet_jax.models.heads import PixelHead
from hrnet_jax.models.layers import Conv, ConvNorm, at_least_float32
from hrnet_jax.models.model import HRNetWithHead
from hrnet_jax.models.representations import concatenate, upsample_between

Dtype = Any

# HRNet-Semantic-Segmentation, branch HRNet-OCR: `MODEL.OCR` and the constant in
# `seg_hrnet_ocr.py`.
_OBJECT_WIDTH = 512
_KEY_WIDTH = 256
_DROPOUT = 0.05


class SegmentationHRNet(HRNetWithHead):
    """HRNet that labels pixels.

    Attributes:
        num_classes: number of labels.
        head_bias: whether the head's first convolution has a bias
            (mmsegmentation's has none).
        head_width: its output channels; 0: those of the representation.
        head_kernel: its side in pixels; 1, or 3 in MIT's scene-parsing weights.
    """

    output_kind: ClassVar = "segmentation"
    representations: ClassVar = ("v1", "v1h", "v2")

    num_classes: int = 19
    head_bias: bool = True
    head_width: int = 0
    head_kernel: int = 1

    @nn.compact
    def __call__(self, images: jax.Array, train: bool = False) -> jax.Array:
        """Maps normalised images to logits at a quarter of their size.

        Args:
            images: float [B, H, W, 3], any H and W.
            train: whether batch norm uses and updates batch statistics.

        Returns:
            float32 [B, ceil(H / 4), ceil(W / 4), num_classes].
        """
        return PixelHead(
            self.num_classes,
            upsample_between(self.upsample),
            self.head_bias,
            self.head_width,
            self.head_kernel,
            self.norm,
            self.dtype,
            name="head",
        )(self.backbone.represent(images, train), train)


class SegmentationOCR(HRNetWithHead):
    """HRNet with object-contextual representations (Yuan et al., ECCV 2020).

    A first head labels pixels coarsely; the pixels of each label are averaged
    into one vector per class, and every pixel then attends to these vectors.

    Attributes:
        num_classes: number of labels.
        head_bias: whether the convolutions in front of the auxiliary head's norm
            and of the pixel features' norm have a bias (mmsegmentation's have
            none).
    """

    output_kind: ClassVar = "segmentation_ocr"
    representations: ClassVar = ("v2",)
    auxiliary_outputs: ClassVar = ("aux",)
    # Every layer whose name contains `cls`, `aux` or `ocr` stays at PyTorch's default
    # (`init_weights` of `seg_hrnet_ocr.py`).
    init_as_pytorch: ClassVar = ("aux", "ocr")
    # Of all official OCR weights; mmsegmentation's were trained without.
    backbone_defaults: ClassVar = {"upsample": "align_corners"}

    num_classes: int = 19
    head_bias: bool = True

    @nn.compact
    def __call__(self, images: jax.Array, train: bool = False) -> dict[str, jax.Array]:
        """Maps normalised images to two sets of logits at a quarter of their size.

        Args:
            images: float [B, H, W, 3], any H and W.
            train: whether norms use batch statistics and channels are dropped,
                which takes a random stream `dropout`.

        Returns:
            `logits`, the labels, and `aux`, the coarse ones that only a loss
            looks at, both float32 [B, ceil(H / 4), ceil(W / 4), num_classes].
        """
        maps = self.backbone.represent(images, train)
        upsample = upsample_between(self.upsample)
        common = {"norm": self.norm, "dtype": self.dtype}
        aux = PixelHead(
            self.num_classes, upsample, self.head_bias, **common, name="aux"
        )(maps, train)
        head = ObjectContextHead(self.num_classes, self.head_bias, **common, name="ocr")
        logits = head(concatenate(maps, upsample), aux, train)
        return {"aux": aux, "logits": logits}

    def attention_multiply_adds(self, shapes: dict[str, Any]) -> int:
        """Gathering objects, likeness, weighted sum; see `ModelFacts`.

        Each combines every pixel with every class, in the channels of pixel
        features, keys and values.
        """
        pixels = shapes["ocr/pixels"].shape
        keys = shapes["ocr/attention/key1"].shape
        values = shapes["ocr/attention/value"].shape
        channels = pixels[-1] + keys[-1] + values[-1]
        return math.prod(pixels[:-1]) * self.num_classes * channels


class ObjectContextHead(nn.Module):
    """Labels pixels by what they share with the classes present in the image.

    Source: HRNet-Semantic-Segmentation, branch HRNet-OCR, `seg_hrnet_ocr.py`.

    Attributes:
        num_classes: number of labels.
        use_bias: whether the 3x3 convolution has a bias.
        norm: options of the batch norms.
        dtype: compute type; attention weights and the result are float32.
    """

    num_classes: int
    use_bias: bool = True
    norm: NormOptions = NormOptions()
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, coarse: jax.Array, train: bool) -> jax.Array:
        """Maps features [B, H, W, C] and coarse logits to float32 logits."""
        common = {"norm": self.norm, "dtype": self.dtype}
        pixels = ConvNorm(
            _OBJECT_WIDTH, use_bias=self.use_bias, **common, name="pixels"
        )(x, train)
        objects = gather_objects(pixels, coarse)
        context = ObjectAttention(**common, name="attention")(pixels, objects, train)
        x = ConvNorm(_OBJECT_WIDTH, 1, **common, name="fuse")(
            jnp.concatenate([context, pixels], -1), train
        )
        # Whole channels at a time, PyTorch's `Dropout2d`.
        x = nn.Dropout(_DROPOUT, broadcast_dims=(1, 2))(x, deterministic=not train)
        classifier = Conv(
            self.num_classes, 1, use_bias=True, dtype=self.dtype, name="classifier"
        )
        return at_least_float32(classifier(x))


def gather_objects(pixels: jax.Array, coarse: jax.Array) -> jax.Array:
    """One vector per class: the mean of the pixels, weighted by its logits.

    Args:
        pixels: [B, H, W, C].
        coarse: logits [B, H, W, K]; each class's softmax runs over positions.

    Returns:
        [B, K, C], in the type of the pixels.
    """
    batch, height, width, channels = pixels.shape
    shape = (batch, height * width, -1)
    weights = jax.nn.softmax(coarse.reshape(shape), axis=1)
    pixels = pixels.reshape(batch, height * width, channels)
    return jnp.einsum("bnk,bnc->bkc", weights.astype(pixels.dtype), pixels)


class ObjectAttention(nn.Module):
    """Every pixel gathers the class vectors that resemble it.

    Attributes:
        norm: options of the batch norms.
        dtype: compute type.
    """

    norm: NormOptions
    dtype: Dtype

    @nn.compact
    def __call__(self, pixels: jax.Array, objects: jax.Array, train: bool) -> jax.Array:
        """Maps pixels [B, H, W, C] and objects [B, K, C] to [B, H, W, C]."""

        def layer(name, x, width=_KEY_WIDTH):
            conv = ConvNorm(width, 1, norm=self.norm, dtype=self.dtype, name=name)
            return conv(x, train)

        rows = objects[:, :, None]
        queries = layer("query1", layer("query0", pixels))
        keys = layer("key1", layer("key0", rows))[:, :, 0]
        values = layer("value", rows)[:, :, 0]
        likeness = jnp.einsum("bhwc,bkc->bhwk", queries, keys) * _KEY_WIDTH**-0.5
        weights = jax.nn.softmax(at_least_float32(likeness), axis=-1).astype(
            values.dtype
        )
        context = jnp.einsum("bhwk,bkc->bhwc", weights, values)
        return layer("out", context, pixels.shape[-1])
