"""Class-wise detections and pasted masks."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hrnet_jax.detection.postprocess import (
    chosen_detections,
    class_candidates,
    paste_mask,
    whole_mask,
)
from hrnet_jax.detection.settings import DetectionSettings


@functools.partial(jax.jit, static_argnums=3)
def detections_of(boxes, scores, valid, numbers):
    found = class_candidates(boxes, scores, valid, numbers)
    return chosen_detections(found, numbers)


def test_boxes_suppress_those_of_their_class_alone():
    boxes = np.array([[[0.0, 0, 10, 10]], [[0, 0, 10, 9]], [[50, 50, 60, 60]]])
    scores = np.array([[0.9, 0.2], [0.8, 0.3], [0.04, 0.6]])
    valid = np.array([True, True, True])
    numbers = DetectionSettings(score=0.05, overlap=0.5, count=5)
    found = detections_of(boxes[None], scores[None], valid[None], numbers)
    np.testing.assert_allclose(found.scores[0], [0.9, 0.6, 0.3, 0, 0])
    np.testing.assert_array_equal(found.classes[0], [0, 1, 1, 0, 0])
    np.testing.assert_array_equal(found.valid[0], [1, 1, 1, 0, 0])
    np.testing.assert_array_equal(found.boxes[0, 2], [0, 0, 10, 9])
    none = detections_of(boxes[None], scores[None], ~valid[None], numbers)
    assert not none.valid.any() and not none.boxes.any()


def test_every_class_may_have_a_box_of_its_own():
    boxes = jnp.array([[[[0.0, 0, 10, 10], [20, 0, 30, 10]]]])
    scores = jnp.array([[[0.6, 0.9]]])
    numbers = DetectionSettings(count=2)
    found = detections_of(boxes, scores, jnp.array([[True]]), numbers)
    np.testing.assert_array_equal(found.boxes[0], [[20, 0, 30, 10], [0, 0, 10, 10]])


def test_boxes_are_the_means_of_those_that_vote_for_them():
    boxes = np.array(
        [[0.0, 0, 10, 10], [0, 0, 10, 9], [1, 0, 11, 10], [50, 50, 60, 60]]
    )
    scores = np.array([[0.9, 0.0], [0.6, 0.5], [0.3, 0.0], [0.0, 0.8]])
    valid = np.array([True, True, True, True])

    def found(**options):
        numbers = DetectionSettings(score=0.05, overlap=0.5, count=4, **options)
        parts = boxes[None, :, None], scores[None], valid[None]
        return detections_of(*parts, numbers)

    # Overlaps with the first of class 0: 0.9 and 9 / 11; of class 1 each is alone.
    alone = boxes[[0, 3, 1]]
    two = (0.9 * boxes[0] + 0.6 * boxes[1]) / 1.5
    three = (0.9 * boxes[0] + 0.6 * boxes[1] + 0.3 * boxes[2]) / 1.8
    for options, first in (
        ({}, boxes[0]),
        ({"vote": 0.95}, boxes[0]),
        ({"vote": 0.85}, two),
        ({"vote": 0.8}, three),
    ):
        got = found(**options)
        expected = [first, *alone[1:], np.zeros(4)]
        np.testing.assert_allclose(got.boxes[0], expected, rtol=1e-6)
        np.testing.assert_array_equal(got.scores, found().scores)


def test_a_full_mask_covers_its_box():
    full = np.ones((28, 28), np.float32)
    image = whole_mask(full, np.array([10.0, 20, 40, 50]), (60, 70))
    expected = np.zeros((60, 70), bool)
    expected[20:50, 10:40] = True
    np.testing.assert_array_equal(image, expected)


def test_half_a_mask_covers_half_a_box_and_only_within_the_image():
    half = np.zeros((28, 28), np.float32)
    half[:, 14:] = 1
    image = whole_mask(half, np.array([-10.0, 0, 30, 20]), (15, 25))
    expected = np.zeros((15, 25), bool)
    expected[:, 10:] = True
    np.testing.assert_array_equal(image, expected)


@pytest.mark.parametrize("box", [[5, 5, 5, 5], [100, 100, 120, 130], [-9, -9, -5, -5]])
def test_boxes_without_a_pixel_have_no_mask(box):
    full = np.ones((28, 28), np.float32)
    assert not whole_mask(full, np.array(box, np.float32), (40, 50)).any()


def test_only_the_part_around_the_box_is_computed():
    part, corner = paste_mask(
        np.ones((28, 28), np.float32), np.array([100.0, 200, 110, 205]), (4000, 6000)
    )
    assert part.shape == (7, 12) and corner == (199, 99)
