"""Colours of classes."""

import functools

import cv2
import numpy as np

Colour = tuple[int, int, int]

# Of pixels without a class.
IGNORED: Colour = (255, 255, 255)


@functools.cache
def default_palette(num_colours: int) -> tuple[Colour, ...]:
    """Colours that are easy to tell apart, for data sets that bring none.

    Each colour is the one farthest, in CIELAB, from those before it (and from
    the white of ignored pixels), so a longer palette begins with the shorter.
    Colours that glare or nearly vanish on white or black are left out.

    Args:
        num_colours: at most 256.

    Returns:
        RGB colours, 0..255.
    """
    levels = np.arange(16, 256, 17, dtype=np.uint8)
    grid = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), -1)
    candidates = grid.reshape(-1, 3)
    lab = _to_lab(candidates)
    chroma = np.hypot(lab[:, 1], lab[:, 2])
    usable = (lab[:, 0] > 28) & (lab[:, 0] < 88) & (chroma < 72)
    candidates, lab = candidates[usable], lab[usable]
    distance = np.linalg.norm(lab - _to_lab(np.array([IGNORED], np.uint8)), axis=1)
    colours = []
    for _ in range(num_colours):
        chosen = int(np.argmax(distance))
        red, green, blue = (int(value) for value in candidates[chosen])
        colours.append((red, green, blue))
        distance = np.minimum(distance, np.linalg.norm(lab - lab[chosen], axis=1))
    return tuple(colours)


def _to_lab(colours: np.ndarray) -> np.ndarray:
    scaled = colours.reshape(1, -1, 3).astype(np.float32) / 255
    return cv2.cvtColor(scaled, cv2.COLOR_RGB2LAB)[0]
