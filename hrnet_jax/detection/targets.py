"""Objects of a batch, as the losses of detectors take them."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from hrnet_jax.detection.sampling import image_keys


class Objects(NamedTuple):
    """Objects of a batch of images, in pixels of the canvas; padding is not valid.

    Attributes:
        boxes: float [B, G, 4].
        classes: int32 [B, G], from 0.
        valid: bool [B, G]; crowds are not.
        masks: uint8 or bool [B, G, M, N], an object's pixels within `frames`; None
            where nothing reads masks.
        frames: float [B, G, 4], the rectangles that `masks` fill; None for the boxes.
    """

    boxes: jax.Array
    classes: jax.Array
    valid: jax.Array
    masks: jax.Array | None = None
    frames: jax.Array | None = None

    @classmethod
    def of_batch(cls, batch: dict) -> "Objects":
        """The objects among the arrays of a batch (`boxes`, `box_class`, ...)."""
        valid = batch["box_valid"]
        if "box_crowd" in batch:
            valid = valid & ~batch["box_crowd"]
        boxes, classes = batch["boxes"], batch["box_class"]
        return cls(boxes, classes, valid, batch.get("masks"))


class Draw(NamedTuple):
    """How samples are drawn in a training step.

    Attributes:
        key: of the step.
        places: int [B], of the images in the batch of all devices and hosts; None for
            0, 1, 2, ...
        rpn_priority: uint32 [A], instead of random numbers: see `sample_labels`.
        roi_priority: the same of objects and candidates of every stage, at least as
            many as there are.
    """

    key: jax.Array
    places: jax.Array | None = None
    rpn_priority: jax.Array | None = None
    roi_priority: jax.Array | None = None

    def keys(self, images: int, stage: int) -> jax.Array:
        """A key for every image; `stage` numbers the draws."""
        places = jnp.arange(images) if self.places is None else self.places
        return image_keys(self.key, places, stage)
