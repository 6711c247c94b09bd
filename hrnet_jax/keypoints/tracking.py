"""Follows what has points through the frames of a video: faces, persons."""

import numpy as np

from hrnet_jax.imaging.boxes import box_of_points, overlaps, sides
from hrnet_jax.tasks.boxes import BoxFinder

# A found box that overlaps a followed one so far (intersection over union) is the
# same one; two followed ones have run onto the same face or person.
_SAME = 0.4
# How often in a row what is followed may be looked for in vain. Cascades miss many a
# face in one frame and see it in the next.
_PATIENCE = 3
# Points on a smaller square, in pixels, are on nothing any more.
_SMALLEST = 8
# Where the mean score of the points falls to less than this part of what it was when
# it was found, the face or person is gone or turned away, and points wander.
_SCORE_LEFT = 0.5


class Follower:
    """Boxes of faces or persons, frame after frame.

    They are looked for in every k-th frame; in between, a box is that of the points in
    the frame before. What is not found again for a while is given up.

    Args:
        find: maps an image uint8 [H, W, 3] to boxes float32 [N, 4].
        every: boxes are looked for in frames 0, every, 2 * every, ...
        tight: whether the model was trained with the tight square boxes of its points.
            What is found again then keeps the box of its points, which is the steadier
            one. If not, it takes the box that was found, which keeps its place and size
            about the points until the next is: with the posture of a person both change.
    """

    def __init__(self, find: BoxFinder, every: int, *, tight: bool):
        self._find = find
        self._every = every
        self._tight = tight
        self._frame = 0
        self._boxes = np.zeros((0, 4), np.float32)
        # How often in a row each one was not found.
        self._missed = np.zeros(0, int)
        # Mean score of the points when it was found; NaN for what is new.
        self._scores = np.zeros(0)
        # Of each box to the tight one: shift (x, y) of the centre, width and height, in
        # sides of the tight one; NaN for what was just found.
        self._margins = np.zeros((0, 4))

    def boxes(self, image: np.ndarray) -> np.ndarray:
        """The boxes of the next frame, float32 [N, 4]."""
        if self._frame % self._every == 0:
            self._update(np.asarray(self._find(image), np.float32).reshape(-1, 4))
        self._frame += 1
        return self._boxes

    def follow(self, prediction: dict, image: np.ndarray) -> None:
        """Takes the points of the frame.

        Args:
            prediction: `points` [N, K, 2], for the boxes that `boxes` gave, and
                `scores` [N, K].
            image: [H, W, 3], the frame.
        """
        points = prediction["points"]
        mean = np.mean(prediction["scores"], axis=1)
        self._scores = np.where(np.isnan(self._scores), mean, self._scores)
        boxes = [box_of_points(one) for one in points]
        self._boxes = self._around(np.array(boxes, np.float32).reshape(-1, 4))
        centers = (self._boxes[:, :2] + self._boxes[:, 2:]) / 2
        size = np.array(image.shape[1::-1])
        kept = ((centers >= 0) & (centers < size)).all(1)
        kept &= sides(self._boxes) >= _SMALLEST
        kept &= mean >= _SCORE_LEFT * self._scores
        same = np.triu(overlaps(self._boxes, self._boxes), 1) > _SAME
        self._keep(kept & ~(same & kept[:, None]).any(0))

    def _update(self, found: np.ndarray) -> None:
        """Joins what was found with what is followed."""
        common = overlaps(self._boxes, found)
        same = common > _SAME
        if not self._tight and len(found):
            again = np.asarray(same.any(1))
            self._boxes = np.where(again[:, None], found[common.argmax(1)], self._boxes)
            self._margins[again] = np.nan
        self._missed = np.where(same.any(1), 0, self._missed + 1)
        self._keep(self._missed < _PATIENCE)
        new = found[~same.any(0)]
        self._boxes = np.concatenate([self._boxes, new])
        self._missed = np.concatenate([self._missed, np.zeros(len(new), int)])
        self._scores = np.concatenate([self._scores, np.full(len(new), np.nan)])
        self._margins = np.concatenate([self._margins, np.full((len(new), 4), np.nan)])

    def _around(self, tight: np.ndarray) -> np.ndarray:
        """The next boxes for the tight boxes of the points, float32 [N, 4]."""
        if self._tight:
            return tight
        side = np.maximum(sides(tight), 1.0)[:, None]
        middle = (tight[:, :2] + tight[:, 2:]) / 2
        shift = (self._boxes[:, :2] + self._boxes[:, 2:]) / 2 - middle
        size = self._boxes[:, 2:] - self._boxes[:, :2]
        margins = np.concatenate([shift, size], 1) / side
        is_new = np.isnan(self._margins)
        self._margins = np.where(is_new, margins, self._margins)
        middle = middle + self._margins[:, :2] * side
        half = self._margins[:, 2:] * side / 2
        return np.concatenate([middle - half, middle + half], 1).astype(np.float32)

    def _keep(self, kept: np.ndarray) -> None:
        self._boxes, self._missed = self._boxes[kept], self._missed[kept]
        self._scores, self._margins = self._scores[kept], self._margins[kept]
