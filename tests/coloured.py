"""What is to be seen in a picture: how many strong colours."""

import pathlib

import cv2
import numpy as np


def colours(path: pathlib.Path | str) -> int:
    """Number of clearly different hues with at least 50 saturated pixels each.

    Curves, bars and points are drawn in such; axes, grids and texts are grey.
    """
    pixels = cv2.imread(str(path))
    assert pixels is not None, f"{path} is no picture"
    hue, saturation, _ = np.moveaxis(cv2.cvtColor(pixels, cv2.COLOR_BGR2HSV), -1, 0)
    # Hues are 0 to 179; neighbours 15 apart may be one colour blended with white.
    counts = np.bincount(hue[saturation > 100] // 15, minlength=12)
    return int((counts >= 50).sum())
