"""The forward pass of a train step, alike in all tasks."""

from typing import Any

import jax

from hrnet_jax.models.model import Model
from hrnet_jax.models.normalization import Normalization, normalize_images


def train_outputs(
    model: Model,
    variables: dict,
    images: jax.Array,
    normalization: Normalization,
    rngs: dict,
) -> tuple[Any, Any]:
    """Outputs of a network in training, and its new running statistics.

    Args:
        model: the network.
        variables: {"params", "batch_stats"}.
        images: uint8 [B, H, W, 3] RGB.
        normalization: of the images.
        rngs: keys of the random streams, such as `dropout`.
    """
    outputs, state = model.apply(
        variables,
        normalize_images(images, normalization),
        train=True,
        rngs=rngs,
        mutable=["batch_stats"],
    )
    return outputs, state["batch_stats"]
