"""Finds faces in photographs, in the boxes that landmark models expect.

The detector is OpenCV's cascade of local binary patterns for frontal faces (Liao et
al., ICB 2007), which OpenCV itself no longer has; scikit-image brings the file and
reads it. It wants faces seen from the front and nearly upright. Of the 554 faces of
300W's common test set it finds nine in ten; profiles need given boxes.
"""

import functools
from typing import TYPE_CHECKING

import cv2
import numpy as np

from hrnet_jax.imaging.boxes import intersections, overlaps, sides
from hrnet_jax.imaging.checks import checked_image

if TYPE_CHECKING:
    from skimage.feature import Cascade

# Side of the cascade's own window, in pixels; it sees nothing smaller.
_WINDOW = 24
# From one size of window to the next.
_STEP = 1.2
# Smallest face, as a share of the longer side of the image.
_MIN_SHARE = 0.05
# Room around the image, as a share of its shorter side: windows reach further than
# faces, which may touch the border.
_ROOM = 0.1

# Windows that overlap so far (intersection over union) show the same face.
_SAME = 0.5
# What overlaps a face that was found before so far (of the smaller of both) is a part
# of it.
_PART = 0.4
# Windows on a face, counting those in the mirror image. Most faces gather ten to forty,
# accidents one to four. One less finds 2 % more faces, and a half more accidents in
# photographs of rooms and streets.
_LEAST = 6

# From a merged window to the box of the 68 points: its centre is lower by this part
# of the window's side, and its side is this part of it. Medians over every fifth
# training face of 300W (320 of 383, those where one face was found); 90 % of the faces
# are between 0.08 and 0.21, and between 0.77 and 1.03. Sideways the median is 0.00
# (-0.13 to 0.15).
_LOWER = 0.144
_SIDE = 0.859


def find_faces(
    image: np.ndarray, *, min_size: float | None = None, longest: int = 640
) -> np.ndarray:
    """Boxes of the faces in an image, the largest face first.

    A box is the square that HRNet's landmark models were trained with, before the
    margin of their crops: the tight box of the 68 points (chin to eyebrows), made
    square about its centre with side max(ceil(max) - floor(min)) of both axes. Boxes
    may reach beyond the image.

    Args:
        image: uint8 [H, W, 3] RGB.
        min_size: side of the smallest box looked for, in pixels; by default 5 % of
            the longer side of the image.
        longest: longer side, in pixels, that larger images are reduced to; less is
            faster. A `min_size` that would be lost that way reduces them less.

    Returns:
        float32 [N, 4], (x1, y1, x2, y2) in pixels of the image, pixel centres at
        integers. N is 0 where there is no face.

    Raises:
        DataError: if the image has another type or shape.
    """
    image = checked_image(image)
    height, width = image.shape[:2]
    smallest = _MIN_SHARE * max(height, width) if min_size is None else min_size
    # Windows are larger than boxes; one of a face of the smallest size is seen.
    smallest = max(smallest / _SIDE, 1.0)
    ratio = longest / max(height, width)
    if min_size is not None:
        ratio = max(ratio, _WINDOW / smallest)
    ratio = min(ratio, 1.0)
    small = cv2.cvtColor(_reduced(image, ratio), cv2.COLOR_RGB2GRAY)
    merged = _merge(_windows(small, round(smallest * ratio)))
    scale = np.array([width / small.shape[1], height / small.shape[0]] * 2)
    boxes = _to_boxes((merged + 0.5) * scale - 0.5)
    return boxes[np.argsort(-sides(boxes), kind="stable")].astype(np.float32)


def _reduced(image: np.ndarray, ratio: float) -> np.ndarray:
    if ratio == 1:
        return image
    size = [max(1, round(side * ratio)) for side in image.shape[1::-1]]
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def _windows(grey: np.ndarray, smallest: int) -> np.ndarray:
    """All windows that the cascade takes for a face.

    It is not symmetric: half of the faces that it misses it finds in the mirror image,
    and boxes from both are more accurate than from one.

    Args:
        grey: uint8 [H, W].
        smallest: side of the smallest window, in pixels.

    Returns:
        float64 [N, 4], in no order, the same ones in every run.
    """
    room = round(_ROOM * min(grey.shape))
    grey = cv2.copyMakeBorder(grey, room, room, room, room, cv2.BORDER_REPLICATE)
    mirror = np.ascontiguousarray(grey[:, ::-1])
    found = _scan(grey, smallest)
    mirrored = _scan(mirror, smallest)
    last = grey.shape[1] - 1
    mirrored[:, [0, 2]] = last - mirrored[:, [2, 0]]
    windows = np.concatenate([found, mirrored]) - room
    # Threads report them in any order.
    return windows[np.lexsort(windows.T)]


def _scan(grey: np.ndarray, smallest: int) -> np.ndarray:
    """Windows float64 [N, 4], without merging those that overlap."""
    largest = min(grey.shape)
    smallest = max(_WINDOW, smallest)
    if smallest > largest:
        return np.zeros((0, 4))
    found = _cascade().detect_multi_scale(
        img=grey,
        scale_factor=_STEP,
        step_ratio=1,
        min_size=(smallest, smallest),
        max_size=(largest, largest),
        # No two windows overlap by more than all, and each one counts.
        min_neighbor_number=0,
        intersection_score_threshold=2.0,
    )
    corners = np.array([(w["c"], w["r"]) for w in found], float).reshape(-1, 2)
    sizes = np.array([(w["width"], w["height"]) for w in found], float).reshape(-1, 2)
    return np.concatenate([corners, corners + sizes], 1) - 0.5


@functools.cache
def _cascade() -> "Cascade":
    # Takes a third of a second to import.
    from skimage import data
    from skimage.feature import Cascade

    return Cascade(data.lbp_frontal_face_cascade_filename())


def _merge(windows: np.ndarray) -> np.ndarray:
    """One window for each face: the mean of those that agree.

    The place that most windows agree on is the first face; what overlaps it is no
    longer considered, and so on, while there are enough of them.

    Args:
        windows: float64 [N, 4].

    Returns:
        float64 [M, 4].
    """
    same = np.zeros((len(windows), len(windows)), bool)
    for index, window in enumerate(windows):
        same[index] = overlaps(window[None], windows)[0] > _SAME
    areas = sides(windows) ** 2
    left = np.ones(len(windows), bool)
    found = []
    while left.any():
        support = np.where(left, (same & left).sum(1), 0)
        best = int(support.argmax())
        if support[best] < _LEAST:
            break
        members = same[best] & left
        face = windows[members].mean(0)
        found.append(face)
        smaller = np.minimum(areas, sides(face[None]) ** 2)
        part = intersections(face[None], windows)[0] > _PART * smaller
        left &= ~(part | members)
    return np.array(found).reshape(-1, 4)


def _to_boxes(windows: np.ndarray) -> np.ndarray:
    """Square boxes of the 68 points for windows of the cascade, float64 [N, 4]."""
    side = sides(windows)[:, None]
    center = (windows[:, :2] + windows[:, 2:]) / 2 + side * [0.0, _LOWER]
    half = _SIDE * side / 2
    return np.concatenate([center - half, center + half], 1)
