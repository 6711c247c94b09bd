"""Pictures of detections."""

import numpy as np
import pytest

from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.detection.drawing import Drawn, draw_objects
from hrnet_jax.detection.image_masks import ImageMasks
from hrnet_jax.detection.task import DetectionTask
from hrnet_jax.imaging.palette import default_palette
from hrnet_jax.registry import create_model

GREY = np.full((200, 300, 3), 128, np.uint8)


def test_nothing_found_leaves_the_image_as_it_is():
    drawn = Drawn(np.zeros((0, 4)), np.zeros(0, int))
    picture = draw_objects(GREY, drawn, 3)
    np.testing.assert_array_equal(picture, GREY)
    assert picture is not GREY


def test_a_box_is_drawn_on_its_outermost_pixels():
    drawn = Drawn(np.array([[50, 60, 90, 120]]), np.array([1]))
    picture = draw_objects(GREY, drawn, 3)
    coloured = (picture == default_palette(3)[1]).all(-1)
    expected = np.zeros((200, 300), bool)
    expected[60:120, 50:90] = True
    expected[61:119, 51:89] = False
    np.testing.assert_array_equal(coloured, expected)
    # With a little shadow on both sides.
    assert not (picture != GREY).any(-1)[70:110, 60:80].any()


def test_a_mask_is_tinted_in_the_colour_of_its_class():
    masks = ImageMasks(
        np.ones((1, 28, 28), np.float32), np.array([[50, 60, 90, 120.0]]), (200, 300)
    )
    drawn = Drawn(masks.boxes, np.array([0]), masks=masks)
    picture = draw_objects(GREY, drawn, 2)
    assert (picture[90, 70] != GREY[90, 70]).any()
    other = draw_objects(GREY, Drawn(masks.boxes, np.array([1]), masks=masks), 2)
    assert (picture[90, 70] != other[90, 70]).any()


@pytest.mark.parametrize("box", [[0, 0, 20, 20], [290, 190, 300, 200]])
def test_captions_stay_inside(box):
    plain = Drawn(np.array([box]), np.array([0]))
    captioned = Drawn(np.array([box]), np.array([0]), ["platelets 0.97"])
    first, second = (draw_objects(GREY, one, 2) for one in (plain, captioned))
    changed = (first != second).any(-1)
    assert changed.sum() > 300
    # Legible: whole words, so a wide strip.
    columns = np.flatnonzero(changed.any(0))
    assert columns[-1] - columns[0] > 60


def test_captions_without_room_leave_the_better_ones_legible():
    image = np.full((48, 64, 3), 128, np.uint8)
    boxes = np.array([[0, 30, 40, 48]] * 5)
    captions = [f"cat 0.{9 - index}" for index in range(5)]
    drawn = [
        draw_objects(image, Drawn(boxes[:count], np.arange(count), captions[:count]), 9)
        for count in (3, 5)
    ]
    # Three lines of 14 pixels are all that fits; upwards, as the box is at the bottom.
    few, many = (picture[:30, :] for picture in drawn)
    np.testing.assert_array_equal(few, many)
    palette = default_palette(9)
    shown = [(drawn[1] == palette[index]).all(-1).sum() > 100 for index in range(3)]
    assert shown == [True] * 3


def test_captions_of_one_place_do_not_hide_each_other():
    boxes = np.array([[50, 100, 200, 150]] * 2)
    one = draw_objects(GREY, Drawn(boxes[:1], np.array([0]), ["first 0.90"]), 2)
    two = draw_objects(
        GREY, Drawn(boxes, np.array([0, 0]), ["first 0.90", "other 0.80"]), 2
    )
    # All of the first caption is there as it was, and the other one below it.
    first = (one != GREY).any(-1)
    first[99:] = False
    np.testing.assert_array_equal(two[first], one[first])
    assert (two != one).any(-1).sum() > 500


@pytest.mark.parametrize("name", ["fcos_w18", "mask_rcnn_w18"])
def test_a_task_draws_images_in_which_nothing_is_found(name):
    info = DatasetInfo(
        "pets", 0, (), (), box_class_names=("cat",), category_ids=(1,), max_objects=2
    )
    task = DetectionTask(create_model(f"detection/{name}", num_classes=1), info)
    # Of the evaluation, which has places for detections, and of a photograph.
    prediction = {
        "boxes": np.tile(np.array([5, 5, 50, 50], np.float32), (3, 1)),
        "scores": np.full(3, 0.9, np.float32),
        "classes": np.zeros(3, np.int32),
        "valid": np.zeros(3, bool),
    }
    if "mask" in name:
        prediction["masks"] = np.ones((3, 28, 28), np.float32)
    np.testing.assert_array_equal(task.draw(GREY, prediction), GREY)
    none = {key: value[:0] for key, value in prediction.items() if key != "valid"}
    if "mask" in name:
        none["masks"] = ImageMasks(none["masks"], none["boxes"], GREY.shape[:2])
    np.testing.assert_array_equal(task.draw(GREY, none), GREY)
    target = {
        "boxes": np.zeros((2, 4), np.float32),
        "box_valid": np.zeros(2, bool),
        "box_class": np.zeros(2, np.int32),
    }
    both = task.draw(GREY, prediction, target)
    assert both.shape[0] == GREY.shape[0] and both.shape[1] >= 2 * GREY.shape[1]
