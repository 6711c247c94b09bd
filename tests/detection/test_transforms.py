"""Images and objects on the canvas."""

import dataclasses

import cv2
import numpy as np
import pytest

from hrnet_jax.detection.placed_objects import Placement, mask_patch
from hrnet_jax.detection.transforms import (
    AugmentationOptions,
    empty_record,
    eval_groups,
    make_eval_transform,
    make_train_transform,
    train_groups,
)
from hrnet_jax.errors import ConfigError, DataError
from hrnet_jax.imaging import run_lengths
from tests.detection.test_metrics import INFO

SMALL = AugmentationOptions(
    scales=((160, 96),), test_scale=(160, 96), flip=0.0, max_objects=5, mask_size=28
)


def record(size=(60, 80), seed=0):
    """An image with a disc, a crowd, and a box without an inside."""
    height, width = size
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    disc = (x - 40) ** 2 + (y - 30) ** 2 < 20**2
    crowd = np.zeros(size, bool)
    crowd[50:60, 0:10] = True
    texts = [run_lengths.encode(mask, size) for mask in (disc, crowd)]
    return {
        "image": rng.integers(0, 255, (height, width, 3), np.uint8),
        "image_id": "some",
        "image_number": "12",
        "boxes": np.array(
            [[20.5, 10.5, 60.5, 50.5], [0, 50, 10, 60], [70, 5, 70.5, 9]], np.float32
        ),
        "box_class": np.array([1, 0, 0], np.int32),
        "box_crowd": np.array([0, 1, 0], np.uint8),
        "box_area": np.array([disc.sum(), 100, 2], np.float32),
        "masks": " ".join([*texts, ""]),
    }


def test_a_training_sample_by_hand():
    made = make_train_transform(SMALL, INFO, masks=True)(
        record(), np.random.default_rng(0)
    )
    # min(160 / 80, 96 / 60) = 1.6: 60 x 80 becomes 96 x 128 on a canvas of 96 x 160.
    assert made["image"].shape == (96, 160, 3)
    assert made["image_size"].tolist() == [96, 128]
    assert not made["image"][:, 128:].any()
    wanted = cv2.resize(record()["image"], (128, 96), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_array_equal(made["image"][:, :128], wanted)
    np.testing.assert_allclose(made["scale"], [1.6, 1.6])
    # The third is half a pixel wide.
    np.testing.assert_allclose(
        made["boxes"][:3], [[32.8, 16.8, 96.8, 80.8], [0, 80, 16, 96], [0] * 4], 1e-6
    )
    assert made["box_class"].tolist() == [1, 0, 0, 0, 0]
    assert made["box_valid"].tolist() == [True, False, False, False, False]
    assert made["box_crowd"].tolist() == [False, True, False, False, False]
    assert made["masks"].shape == (5, 28, 28) and made["masks"].dtype == np.uint8
    # A disc fills pi / 4 of the square around it.
    assert abs(made["masks"][0].mean() - np.pi / 4) < 0.02
    assert made["masks"][1].all() and not made["masks"][2:].any()
    assert made["image_id"] == "some" and not made["flipped"]


def test_mirrored_both_ways():
    options = dataclasses.replace(SMALL, flip=1.0, flip_vertical=1.0)
    plain = make_train_transform(SMALL, INFO, masks=True)
    turned = make_train_transform(options, INFO, masks=True)
    one, other = (make(record(), np.random.default_rng(0)) for make in (plain, turned))
    assert other["flipped"]
    np.testing.assert_array_equal(
        other["image"][:, :128], one["image"][::-1, :128][:, ::-1]
    )
    x1, y1, x2, y2 = one["boxes"][1]
    np.testing.assert_allclose(
        other["boxes"][1], [128 - x2, 96 - y2, 128 - x1, 96 - y1]
    )
    np.testing.assert_array_equal(other["masks"][0], one["masks"][0][::-1, ::-1])


@pytest.mark.parametrize("crop", ["resize", "jitter"])
def test_windows_show_what_they_cut(crop):
    """Boxes, masks and pixels of a window are those of the whole resized image."""
    options = dataclasses.replace(
        SMALL, crop=crop, crop_size=(64, 72), jitter=(1.5, 2.0), flip=0.5
    )
    made = make_train_transform(options, INFO, masks=True)
    for seed in range(20):
        sample = made(record(), np.random.default_rng(seed))
        assert sample["image"].shape == (64, 96, 3)
        height, width = sample["image_size"]
        assert height <= 64 and width <= 72 and sample["box_valid"].any()
        for k in np.flatnonzero(sample["box_valid"]):
            x1, y1, x2, y2 = sample["boxes"][k]
            assert 0 <= x1 < x2 <= width and 0 <= y1 < y2 <= height
    # A disc that reaches over the window's edge is more than pi / 4 of what is left.
    shares = [
        made(record(), np.random.default_rng(seed))["masks"][0].mean()
        for seed in range(20)
    ]
    assert max(shares) > np.pi / 4 + 0.02


def test_a_small_factor_leaves_the_image_at_the_top_left():
    options = dataclasses.replace(
        SMALL, crop="jitter", crop_size=(128, 128), jitter=(0.5, 0.5)
    )
    made = make_train_transform(options, INFO)(record(), np.random.default_rng(0))
    # 128 / 80 would fit; half of that.
    assert made["image_size"].tolist() == [48, 64] and "masks" not in made


def test_scales_are_drawn_and_share_a_canvas():
    options = dataclasses.replace(SMALL, scales=((160, 64), (160, 96)))
    made = make_train_transform(options, INFO)
    drawn = {
        int(made(record(), np.random.default_rng(seed))["image_size"][0])
        for seed in range(20)
    }
    assert drawn == {64, 96}
    ranged = make_train_transform(
        dataclasses.replace(options, scale_mode="range"), INFO
    )
    samples = [ranged(record(), np.random.default_rng(seed)) for seed in range(30)]
    heights = {int(sample["image_size"][0]) for sample in samples}
    assert len(heights) > 10 and min(heights) >= 64 and max(heights) <= 96
    assert {sample["image"].shape for sample in samples} == {(96, 160, 3)}


def test_an_evaluated_sample_keeps_everything_as_annotated():
    options = dataclasses.replace(SMALL, flip=1.0, least_side=1.0)
    made = make_eval_transform(options, INFO)(record())
    assert not made["flipped"]
    assert made["box_valid"].tolist() == [True, False, True, False, False]
    np.testing.assert_array_equal(made["object_boxes"][:3], record()["boxes"])
    np.testing.assert_array_equal(made["object_area"][:3], record()["box_area"])
    assert made["original_size"].tolist() == [60, 80]
    assert made["object_masks"] == record()["masks"] and made["image_number"] == "12"
    nothing = make_eval_transform(options, INFO)(empty_record((80, 60)))
    assert nothing["image"].shape == (160, 96, 3) and not nothing["box_valid"].any()


def test_groups_are_the_canvases_of_the_samples():
    options = dataclasses.replace(SMALL, canvases=((96, 128), (96, 160)))
    sizes = [(60, 80), (80, 60), (40, 80), (80, 40)]
    groups = train_groups(np.array(sizes), options)
    made = make_train_transform(options, INFO)
    for size, group in zip(sizes, groups, strict=True):
        sample = made(empty_record(size), np.random.default_rng(0))
        assert sample["image"].shape[:2] == options.train_canvases()[group]
    assert len(set(groups)) == 4
    assert eval_groups(np.array(sizes), options).tolist() == [0, 1, 0, 1]
    cropped = dataclasses.replace(options, crop="resize")
    assert train_groups(np.array(sizes), cropped).tolist() == [0] * 4


def test_a_patch_is_the_mask_sampled_in_its_box():
    """Against whole bitmaps, with zeros around the image."""
    rng = np.random.default_rng(0)
    size = (40, 50)
    bitmap = cv2.GaussianBlur(rng.random(size), (0, 0), 3) > 0.5
    text = run_lengths.encode(bitmap, size)
    around = np.pad(bitmap, 60)
    for _ in range(20):
        x1, y1 = rng.uniform(-10, 45, 2)
        x2, y2 = x1 + rng.uniform(3, 30), y1 + rng.uniform(3, 20)
        patch = mask_patch(text, size, np.array([x1, y1, x2, y2]), 16)
        for row, column in rng.integers(0, 16, (40, 2)):
            x, y = (
                low + (index + 0.5) / 16 * (high - low)
                for low, high, index in ((x1, x2, column), (y1, y2, row))
            )
            assert patch[row, column] == around[int(y + 60), int(x + 60)]
    assert not mask_patch("", size, np.array([0, 0, 9, 9]), 16).any()


def test_boxes_come_back_from_a_window():
    placement = Placement((60, 80), (90, 160), (10, 20), (50, 60))
    boxes = np.array([[15.0, 10, 30, 30]])
    np.testing.assert_allclose(placement.boxes(boxes), [[10, 5, 40, 35]])
    np.testing.assert_allclose(placement.in_original(placement.boxes(boxes)), boxes)


def test_more_objects_than_there_is_room_for():
    options = dataclasses.replace(SMALL, max_objects=2)
    with pytest.raises(DataError, match="up to 3 objects, but .*max_objects' is 2"):
        make_eval_transform(options, INFO)
    # Of facts that somebody changed.
    facts = dataclasses.replace(INFO, max_objects=1)
    message = "image 'some' has 3 objects, but .*max_objects' is 2"
    with pytest.raises(DataError, match=message):
        make_train_transform(options, facts)(record(), np.random.default_rng(0))
    with pytest.raises(DataError, match=message):
        make_eval_transform(options, facts)(record())


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"box_class_names": (), "category_ids": ()}, "'pets' has no objects"),
        ({"category_ids": ()}, "'pets' was not prepared for detection"),
        ({"object_masks": False}, "'pets' has objects without a mask"),
    ],
)
def test_data_sets_that_do_not_have_what_is_wanted(facts, message):
    with pytest.raises(DataError, match=message):
        make_train_transform(SMALL, dataclasses.replace(INFO, **facts), masks=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scales": ()}, "scales' is empty"),
        ({"scales": ((0, 5),)}, "positive pixels"),
        ({"scale_mode": "x"}, "'choice' or 'range'"),
        ({"crop": "x"}, "'resize' or 'jitter'"),
        ({"flip": 2.0}, "flip' must be between 0 and 1"),
        ({"jitter": (2.0, 1.0)}, "least <= largest"),
        ({"mask_size": 0}, "mask_size' must be positive"),
        ({"canvases": ((100, 100),)}, "multiples of 32"),
    ],
)
def test_options_out_of_range(options, message):
    with pytest.raises(ConfigError, match=message):
        AugmentationOptions(**options)
