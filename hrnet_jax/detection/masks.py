"""Masks in training: what the pixels of a region should become, and the loss."""

import jax
import jax.numpy as jnp

from hrnet_jax.detection import losses
from hrnet_jax.detection.mask_head import POOLED
from hrnet_jax.detection.regions import Regions
from hrnet_jax.detection.roi_axes import axis_weights
from hrnet_jax.detection.targets import Objects
from hrnet_jax.runtime.mesh import on_own_images

# Side of the masks.
SIDE = 2 * POOLED


def mask_targets(regions: Regions, objects: Objects, count: int) -> jax.Array:
    """Pixels of the objects of the first regions of every image.

    Every pixel is the mean of the object's mask in a 28th of the region, where that is
    at least a half: RoIAlign of the mask, as mmdetection 2 and 3.

    Args:
        regions: of a stage; positives come first.
        objects: of the images, with masks.
        count: how many regions of an image are looked at.

    Returns:
        bool [B, count, 28, 28]; right where the region is positive.
    """
    assert objects.masks is not None
    frames = objects.boxes if objects.frames is None else objects.frames
    rows, columns = objects.masks.shape[2:]

    def of_region(
        box: jax.Array, number: jax.Array, masks: jax.Array, frames: jax.Array
    ) -> jax.Array:
        start, length = _cells(box, frames[number].astype(box.dtype), rows, columns)
        mask = masks[number].astype(box.dtype)
        vertical, horizontal = (
            axis_weights(start[axis], length[axis], SIDE, 0, cells, cells)
            for axis, cells in enumerate((rows, columns))
        )
        inner = jnp.matmul(vertical, mask, precision="highest")
        return jnp.matmul(inner, horizontal.T, precision="highest") >= 0.5

    of_image = jax.vmap(of_region, in_axes=(0, 0, None, None))
    return on_own_images(jax.vmap(of_image))(
        regions.boxes[:, :count], regions.object[:, :count], objects.masks, frames
    )


def _cells(
    box: jax.Array, frame: jax.Array, rows: int, columns: int
) -> tuple[jax.Array, jax.Array]:
    """Start and length (y, x) of a box, in cells of a mask that fills a frame.

    Cell 0 is centred at 0.
    """
    sides = jnp.maximum(frame[2:] - frame[:2], 1e-6)
    cells = jnp.asarray([columns, rows], box.dtype) / sides
    start = (box[:2] - frame[:2]) * cells - 0.5
    length = (box[2:] - box[:2]) * cells
    return start[::-1], length[::-1]


def mask_loss(
    logits: jax.Array, regions: Regions, objects: Objects, targets: jax.Array
) -> jax.Array:
    """Binary cross entropy of the mask of the right class, mean over positives' pixels.

    Args:
        logits: [B, R, 28, 28, K] of the first R regions.
        regions: that the head has seen.
        objects: of the images.
        targets: bool [B, R, 28, 28].
    """
    count = logits.shape[1]
    positive = regions.sample.positive[:, :count]
    classes = jnp.take_along_axis(objects.classes, regions.object[:, :count], 1)
    own = jnp.take_along_axis(logits, classes[..., None, None, None], -1)[..., 0]
    entropy = losses.binary_cross_entropy(own, targets).mean((-2, -1))
    pixels = jnp.maximum(positive.sum().astype(entropy.dtype), 1)
    return jnp.where(positive, entropy, 0).sum() / pixels
