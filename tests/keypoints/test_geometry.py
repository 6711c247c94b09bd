"""Crops are exact affine maps."""

import math

import cv2
import numpy as np
import pytest

from hrnet_jax.keypoints import geometry

SIZES = [(256, 256), (256, 192), (128, 128), (96, 112)]


def random_crop(seed):
    rng = np.random.default_rng(seed)
    return {
        "center": rng.uniform(-50, 900, 2),
        "scale": rng.uniform(0.05, 6),
        "size": SIZES[seed % len(SIZES)],
        "rotation": rng.uniform(-180, 180),
        "mirror": bool(rng.integers(2)),
    }


def points_around(center, seed):
    return center + np.random.default_rng(seed).normal(0, 400, (50, 2))


@pytest.mark.parametrize("seed", range(24))
def test_there_and_back_is_exact(seed):
    crop = random_crop(seed)
    matrix = geometry.crop_matrix(**crop)
    points = points_around(crop["center"], seed)
    back = geometry.apply(geometry.inverse(matrix), geometry.apply(matrix, points))
    # The issue asks for 0.01 pixels.
    np.testing.assert_allclose(back, points, atol=1e-8)


@pytest.mark.parametrize("seed", range(8))
def test_the_map_is_the_formula(seed):
    crop = random_crop(seed)
    (height, width), (cx, cy) = crop["size"], crop["center"]
    zoom = width / (200 * crop["scale"])
    angle = math.radians(crop["rotation"])
    for x, y in points_around(crop["center"], seed)[:5]:
        u, v = zoom * (x - cx), zoom * (y - cy)
        # Counter-clockwise as seen: y points down.
        turned = (
            u * math.cos(angle) + v * math.sin(angle) + (width - 1) / 2,
            -u * math.sin(angle) + v * math.cos(angle) + (height - 1) / 2,
        )
        expected = (width - 1 - turned[0], turned[1]) if crop["mirror"] else turned
        got = geometry.apply(geometry.crop_matrix(**crop), np.array([x, y]))
        np.testing.assert_allclose(got, expected, atol=1e-8)


@pytest.mark.parametrize("size", SIZES)
def test_edges_of_the_box_land_on_the_edges_of_the_crop(size):
    box = np.array([[10.5, 20.5, 110.5, 20.5 + 100 * size[0] / size[1]]])
    centers, scales = geometry.box_center_scale(box, size, margin=1.0)
    matrix = geometry.crop_matrix(centers[0], scales[0], size)
    corners = geometry.apply(matrix, box.reshape(2, 2))
    height, width = size
    np.testing.assert_allclose(corners, [[-0.5, -0.5], [width - 0.5, height - 0.5]])


def test_boxes_are_extended_to_the_shape_of_the_crop():
    boxes = [[0, 0, 30, 100], [0, 0, 100, 30]]
    centers, scales = geometry.box_center_scale(np.array(boxes), (256, 192), 1.25)
    np.testing.assert_allclose(centers, [[15, 50], [50, 15]])
    np.testing.assert_allclose(scales, [1.25 * 75 / 200, 1.25 * 100 / 200])


@pytest.mark.parametrize("size", SIZES)
def test_many_upright_crops_go_back_at_once(size):
    rng = np.random.default_rng(3)
    center, scale = rng.uniform(0, 500, (7, 2)), rng.uniform(0.1, 4, 7)
    points = rng.uniform(-20, 300, (7, 5, 2))
    expected = [
        geometry.apply(geometry.inverse(geometry.crop_matrix(c, s, size)), p)
        for c, s, p in zip(center, scale, points, strict=True)
    ]
    got = geometry.to_image(points, center, scale, size)
    np.testing.assert_allclose(got, expected, atol=1e-9)
    # Heatmaps and centres arrive in single precision.
    narrow = geometry.to_image(
        *(x.astype(np.float32) for x in (points, center, scale)), size
    )
    np.testing.assert_allclose(narrow, expected, atol=1e-2)


def test_an_unchanged_crop_keeps_its_pixels():
    image = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
    matrix = geometry.crop_matrix([39.5, 29.5], 80 / 200, (60, 80))
    np.testing.assert_allclose(matrix, [[1, 0, 0], [0, 1, 0]], atol=1e-12)
    np.testing.assert_array_equal(geometry.warp(image, matrix, (60, 80)), image)
    mirrored = geometry.crop_matrix([39.5, 29.5], 80 / 200, (60, 80), mirror=True)
    np.testing.assert_array_equal(
        geometry.warp(image, mirrored, (60, 80)), image[:, ::-1]
    )


def test_a_quarter_turn_is_that_of_numpy():
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    matrix = geometry.crop_matrix([31.5, 31.5], 64 / 200, (64, 64), rotation=90)
    np.testing.assert_array_equal(
        geometry.warp(image, matrix, (64, 64)), np.rot90(image)
    )


def spot(size, place, radius):
    """A soft white spot on black."""
    y, x = np.mgrid[: size[0], : size[1]]
    distance = (x - place[0]) ** 2 + (y - place[1]) ** 2
    value = 255 * np.exp(-distance / (2 * radius**2))
    return np.repeat(np.rint(value).astype(np.uint8)[..., None], 3, 2)


@pytest.mark.parametrize("seed", range(16))
def test_pixels_move_as_points_do(seed):
    """Also where the crop is a small picture of a large part of the image."""
    rng = np.random.default_rng(seed)
    place = rng.uniform(250, 350, 2)
    zoom = rng.uniform(0.12, 1.5)
    image = spot((600, 640), place, 4 / zoom)
    matrix = geometry.crop_matrix(
        place + rng.uniform(-20, 20, 2),
        128 / zoom / 200,
        (128, 128),
        rng.uniform(-180, 180),
        mirror=bool(seed % 2),
    )
    crop = geometry.warp(image, matrix, (128, 128))[..., 0].astype(float)
    y, x = np.mgrid[:128, :128]
    seen = np.array([(crop * x).sum(), (crop * y).sum()]) / crop.sum()
    np.testing.assert_allclose(seen, geometry.apply(matrix, place), atol=0.05)


def test_small_pictures_are_averages():
    # A checkerboard of single pixels, shown at a quarter of its size.
    image = np.zeros((256, 256, 3), np.uint8)
    image[::2, ::2] = image[1::2, 1::2] = 200
    matrix = geometry.crop_matrix([127.5, 127.5], 256 / 200, (64, 64))
    crop = geometry.warp(image, matrix, (64, 64))
    assert set(np.unique(crop)) == {100}


def test_what_lies_outside_the_image_is_black():
    image = np.full((50, 50, 3), 90, np.uint8)
    for zoom in (1.0, 0.2):
        matrix = geometry.crop_matrix([0, 24.5], 40 / zoom / 200, (40, 40))
        crop = geometry.warp(image, matrix, (40, 40))
        assert (crop[18:22, :18] == 0).all() and (crop[18:22, 22:24] == 90).all()
        away = geometry.crop_matrix([9e3, 9e3], 40 / zoom / 200, (40, 40))
        assert not geometry.warp(image, away, (40, 40)).any()


def test_maps_are_composed_from_the_right():
    rng = np.random.default_rng(1)
    first, second = rng.normal(size=(2, 2, 3))
    points = rng.normal(size=(6, 2))
    np.testing.assert_allclose(
        geometry.apply(geometry.compose(second, first), points),
        geometry.apply(second, geometry.apply(first, points)),
    )


def test_the_image_is_left_alone():
    image = np.random.default_rng(0).integers(0, 256, (90, 90, 3), np.uint8)
    before = image.copy()
    geometry.warp(image, geometry.crop_matrix([40, 40], 1.0, (32, 32)), (32, 32))
    np.testing.assert_array_equal(image, before)
    assert cv2.__version__ >= "5"
