"""Pictures of classified images: captions, and where in the image a class was seen."""

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np

from hrnet_jax.imaging.pictures import with_caption

# Pixels of the network's input to one of its last maps, in each direction.
STRIDE = 32
_OPACITY = 0.55


def draw_classes(
    image: np.ndarray,
    best: Sequence[Mapping[str, Any]],
    names: Sequence[str],
    target: Mapping[str, Any] | None = None,
) -> np.ndarray:
    """The image with classes below it, and the true ones where they are known.

    Args:
        image: uint8 RGB [H, W, 3].
        best: with `name` and `probability`.
        names: of all classes.
        target: with a `class`, or `classes` uint8 [K].
    """
    lines = [f"{entry['probability']:6.1%}  {entry['name']}" for entry in best]
    if target is not None and "class" in target:
        lines.append(f"truth: {names[int(target['class'])]}")
    if target is not None and "classes" in target:
        shown = [names[int(index)] for index in np.flatnonzero(target["classes"])]
        lines.append(f"truth: {', '.join(shown) or 'none'}")
    return with_caption(image, lines)


def draw_activation(
    image: np.ndarray, prediction: Mapping[str, Any], best: Mapping[str, Any]
) -> np.ndarray:
    """Where in the image its best class was seen, above the class.

    Colours go from none (nothing for the class) over violet and red to yellow (most);
    what the network did not see of the image is dimmed.

    Args:
        image: uint8 RGB [H, W, 3].
        prediction: `activation` float [h, w] and its `view` (`views.seen_part`).
        best: `name` and `probability` of the class.
    """
    heat, seen = _on_image(
        prediction["activation"], prediction["view"], image.shape[:2]
    )
    levels = np.rint(255 * heat).astype(np.uint8)
    colours = cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO)[..., ::-1]
    opacity = (_OPACITY * heat)[..., None]
    below = np.where(seen[..., None], image, image // 2).astype(np.float32)
    blended = below + opacity * (colours.astype(np.float32) - below)
    picture = np.rint(blended).astype(np.uint8)
    return with_caption(picture, [f"{best['probability']:6.1%}  {best['name']}"])


def _on_image(
    activation: np.ndarray, view: np.ndarray, size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """A map at the places of the image's pixels.

    Args:
        activation: float [h, w].
        view: see `views.seen_part`.
        size: (H, W) of the image.

    Returns:
        float32 [H, W], from 0, where the map is not positive, to 1 at its largest; and
        bool [H, W], what the network saw.
    """
    positive = np.maximum(np.asarray(activation, np.float32), 0)
    positive /= max(float(positive.max()), np.finfo(np.float32).tiny)
    height, width = size
    left, top, pixel_width, pixel_height = (float(value) for value in view)
    # Columns and rows of the map at the centres of the image's pixels; the centre of
    # the first cell is 0.
    columns = ((np.arange(width) + 0.5) / width - left) / (STRIDE * pixel_width) - 0.5
    rows = ((np.arange(height) + 0.5) / height - top) / (STRIDE * pixel_height) - 0.5
    at = np.meshgrid(columns.astype(np.float32), rows.astype(np.float32))
    heat = cv2.remap(positive, *at, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    inside = [
        (places >= -0.5) & (places <= count - 0.5)
        for places, count in zip((rows, columns), positive.shape, strict=True)
    ]
    seen = inside[0][:, None] & inside[1][None, :]
    return np.where(seen, heat, np.float32(0)), seen
