"""Both sides of the pose benchmark do the same work."""

import random

import cv2
import numpy as np

from benchmarks import pose_input
from hrnet_jax.data.persons.view import PersonRecords
from hrnet_jax.data.records import open_records
from hrnet_jax.data.registry import prepare
from hrnet_jax.keypoints import geometry


def test_the_peer_cuts_the_same_crops(monkeypatch):
    image = np.random.default_rng(0).integers(0, 256, (300, 320, 3), np.uint8)
    image = cv2.GaussianBlur(image, (0, 0), 4)
    box = np.array([90.0, 60, 190, 240])
    points = np.array([[140.0, 150.0], [120.0, 170.0]])
    # Scale 1.35, rotation by 45 degrees with the coin that decides on it, mirrored.
    monkeypatch.setattr(random, "gauss", lambda mean, deviation: 1.0)
    monkeypatch.setattr(random, "random", lambda: 0.3)
    crop, moved = pose_input.opencv_crop(image, box, points, np.ones(2, bool))
    size = pose_input.SIZE
    (center,), (scale,) = geometry.box_center_scale(box[None], size, 1.25)
    # Mirrored first, so it turns the other way.
    matrix = geometry.crop_matrix(center, 1.35 * scale, size, -45.0, mirror=True)
    # Its middle is half a pixel off ours.
    expected = geometry.apply(matrix, points) + 0.5
    np.testing.assert_allclose(moved, expected, atol=1e-9)
    ours = geometry.warp(image, matrix, size)
    assert np.abs(crop.astype(int) - ours).mean() < 2


def test_photographs_are_those_of_the_annotations(tmp_path):
    class Arguments:
        images, side = 3, 64

    pose_input.write_photographs(tmp_path / "source", Arguments)
    prepare("keypoints_coco", tmp_path / "data", tmp_path / "source")
    persons = PersonRecords(open_records("keypoints_coco", tmp_path / "data", "train"))
    assert len(persons) >= 3 and persons.info.point_flip_pairs
    assert {int(one["image_number"]) for one in persons} == {1, 2, 3}
