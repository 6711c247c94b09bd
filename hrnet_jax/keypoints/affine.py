"""The affine map between an image and a crop that published pose models use.

Nothing calls it yet: training of pose will cut out its boxes with it, as the published
weights were trained. Golden numbers of the published code guard it until then.
"""

import numpy as np

# A person's box has a width of 200 * scale pixels.
_BOX_UNIT = 200.0


def pose_affine_matrix(
    center: np.ndarray,
    scale: np.ndarray | float,
    size: tuple[int, int],
    rotation: float = 0.0,
    *,
    invert: bool = False,
) -> np.ndarray:
    """The similarity that maps a box to a crop, `get_affine_transform`.

    q = A (p - center) + (w, h) / 2, where A enlarges by w / box width and turns
    by -`rotation`. The published code (`lib/utils/transforms.py` of
    deep-high-resolution-net.pytorch) solves for it from three points in single
    precision; this is the solution, so both agree to about 1e-5 pixels.

    Args:
        center: [2], middle of the box in pixels.
        scale: box width / 200, or width and height / 200, of which only the
            width counts.
        size: height and width of the crop.
        rotation: degrees.
        invert: whether to map from the crop to the image.

    Returns:
        float64 [2, 3], for columns (x, y, 1).
    """
    height, width = size
    factor = width / (_BOX_UNIT * float(np.ravel(scale)[0]))
    angle = np.deg2rad(rotation)
    turn = np.array(
        [[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]], np.float64
    )
    center = np.asarray(center, np.float64)
    middle = np.array([width, height]) / 2
    if invert:
        back = turn.T / factor
        return np.concatenate([back, (center - back @ middle)[:, None]], 1)
    forth = turn * factor
    return np.concatenate([forth, (middle - forth @ center)[:, None]], 1)
