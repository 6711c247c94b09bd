"""The box head: class and box of a region of interest (RoI)."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from hrnet_jax.models.layers import at_least_float32, relu

Dtype = Any

# Side of the pooled features.
POOLED = 7


class BoxHead(nn.Module):
    """Two linear layers with ReLU, then class and box.

    Attributes:
        num_classes: of objects; the background is one more, the last.
        width: outputs of both hidden layers.
        class_agnostic: whether all classes share one box.
        dtype: compute type; results are float32.
    """

    num_classes: int = 80
    width: int = 1024
    class_agnostic: bool = False
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, pooled: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Classifies RoIs and corrects their boxes.

        Args:
            pooled: [R, 7, 7, C], read row by row, channels innermost.

        Returns:
            Logits [R, num_classes + 1] and deltas [R, num_classes, 4], or [R, 1, 4] if
            class-agnostic.
        """

        def layer(features: int, name: str) -> nn.Dense:
            return nn.Dense(
                features, dtype=self.dtype, param_dtype=jnp.float32, name=name
            )

        x = pooled.reshape(pooled.shape[0], -1)
        x = relu(layer(self.width, "fc1")(x))
        x = relu(layer(self.width, "fc2")(x))
        logits = layer(self.num_classes + 1, "classes")(x)
        boxes = 1 if self.class_agnostic else self.num_classes
        deltas = layer(4 * boxes, "deltas")(x).reshape(x.shape[0], boxes, 4)
        return at_least_float32(logits), at_least_float32(deltas)
