"""FCOS (Tian et al. 2019): a box at every position, without anchors or proposals."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from hrnet_jax.models.layers import Conv, at_least_float32, relu
from hrnet_jax.models.parameters import parameter

Dtype = Any

# Convolutions of each tower, and groups of channels that share the statistics of a norm.
_CONVOLUTIONS = 4
GROUPS = 32


class FCOSOutputs(NamedTuple):
    """Outputs at the positions of one level, or of all levels joined.

    Attributes:
        logits: [B, ..., num_classes].
        distances: to the left, upper, right and lower side, in pixels of the image,
            [B, ..., 4].
        centerness: logits [B, ...].
    """

    logits: jax.Array
    distances: jax.Array
    centerness: jax.Array


class FCOSHead(nn.Module):
    """Two towers of convolutions with group norm, for classes and for boxes.

    Attributes:
        num_classes: of objects.
        features: channels inside.
        dtype: compute type; results are float32.
    """

    num_classes: int = 80
    features: int = 256
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, level: jax.Array, index: int) -> FCOSOutputs:
        """Outputs of level `index`, [B, h, w, C]; only the scale differs by level."""

        def last(x: jax.Array, features: int, name: str) -> jax.Array:
            conv = Conv(features, use_bias=True, dtype=self.dtype, name=name)
            return at_least_float32(conv(x))

        classes = self._tower(level, "class_tower")
        boxes = self._tower(level, "box_tower")
        raw = Scale(name=f"scale{index}")(last(boxes, 4, "deltas"))
        return FCOSOutputs(
            last(classes, self.num_classes, "classes"),
            jnp.exp(raw),
            last(classes, 1, "centerness")[..., 0],
        )

    def _tower(self, x: jax.Array, name: str) -> jax.Array:
        for index in range(_CONVOLUTIONS):
            layer = TowerLayer(self.features, self.dtype, name=f"{name}{index}")
            x = layer(x)
        return x


class TowerLayer(nn.Module):
    """Convolution, group norm, ReLU."""

    features: int
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [B, h, w, C] to [B, h, w, features]."""
        x = Conv(self.features, dtype=self.dtype, name="conv")(x)
        norm = nn.GroupNorm(
            GROUPS,
            epsilon=1e-5,
            dtype=self.dtype,
            param_dtype=jnp.float32,
            use_fast_variance=False,
            name="norm",
        )
        return relu(norm(x))


class Scale(nn.Module):
    """A factor that learns."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """The input times one number."""
        return x * parameter(self, "scale", nn.initializers.ones, ())
