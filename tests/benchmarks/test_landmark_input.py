"""Both sides of the landmark benchmark do the same work."""

import random

import cv2
import numpy as np

from benchmarks import landmark_input
from hrnet_jax.keypoints import geometry


def test_the_peer_cuts_the_same_crops(monkeypatch):
    image = np.random.default_rng(0).integers(0, 256, (300, 320, 3), np.uint8)
    image = cv2.GaussianBlur(image, (0, 0), 4)
    center, scale = np.array([150.0, 140.0]), 0.8
    points = np.array([[150.0, 140.0], [120.0, 170.0]])
    # Scale 1.1, rotation by 20 degrees with the coin that decides on it, mirrored.
    monkeypatch.setattr(random, "uniform", lambda low, high: 1.1 if low > 0 else 20.0)
    monkeypatch.setattr(random, "random", lambda: 0.3)
    crop, moved = landmark_input.published_crop(image, center, scale, points)
    matrix = geometry.crop_matrix(
        center, 1.25 * 1.1 * scale, (256, 256), 20.0, mirror=True
    )
    # Its middle is half a pixel off ours.
    expected = geometry.apply(matrix, points) + [-0.5, 0.5]
    np.testing.assert_allclose(moved, expected, atol=1e-9)
    ours = geometry.warp(image, matrix, (256, 256))
    assert np.abs(crop.astype(int) - ours).mean() < 2
