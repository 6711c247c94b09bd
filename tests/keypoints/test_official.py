"""The published landmark code where its golden numbers do not reach."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hrnet_jax.errors import DataError
from hrnet_jax.keypoints.official import crop, geometry, targets
from hrnet_jax.keypoints.official.persons import affine_matrix


def patch_by_hand(point, size, sigma) -> np.ndarray:
    """One target, cell by cell, as the published code is described."""
    reach = 3 * sigma
    first = [int(c - reach) for c in point]
    last = [int(c + reach + 1) for c in point]
    peak = (2 * reach + 1) // 2
    result = np.zeros(size)
    for y in range(max(0, first[1]), min(last[1], size[0])):
        for x in range(max(0, first[0]), min(last[0], size[1])):
            distance = np.hypot(x - first[0] - peak, y - first[1] - peak)
            result[y, x] = np.exp(-(distance**2) / (2 * sigma**2))
    return result


@pytest.mark.parametrize("sigma", [0.7, 1.0, 1.5, 3.0])
def test_targets_are_the_patch_drawn_by_hand(sigma):
    size = (16, 24)
    rng = np.random.default_rng(3)
    points = np.concatenate(
        [rng.integers(-12, 36, (2, 30, 2)), rng.uniform(-12, 36, (2, 10, 2))], 1
    )
    kept = rng.random((2, 40)) < 0.8
    program = jax.jit(targets.gaussian_heatmaps, static_argnums=(1, 2))
    got = np.asarray(program(points.astype(np.float32), size, sigma, kept))
    assert got.shape == (2, *size, 40)
    everything = np.asarray(program(points.astype(np.float32), size, sigma))
    drawn = 0
    for b, k in np.ndindex(2, 40):
        expected = patch_by_hand(points[b, k], size, sigma)
        np.testing.assert_allclose(
            everything[b, :, :, k], expected, rtol=1e-5, atol=1e-30
        )
        np.testing.assert_allclose(
            got[b, :, :, k], expected * kept[b, k], rtol=1e-5, atol=1e-30
        )
        drawn += (expected > 0).any()
    assert 0 < drawn < 80


def decoded_by_hand(heatmap: np.ndarray) -> tuple[float, float]:
    """Cell of one map [h, w], counted from one, plus a half."""
    height, width = heatmap.shape
    if heatmap.max() <= 0:
        return 0.5, 0.5
    y, x = np.unravel_index(heatmap.argmax(), heatmap.shape)
    dx = dy = 0.0
    if 0 < x < width - 1 and 0 < y < height - 1:
        dx = 0.25 * np.sign(heatmap[y, x + 1] - heatmap[y, x - 1])
        dy = 0.25 * np.sign(heatmap[y + 1, x] - heatmap[y - 1, x])
    return x + 1 + dx + 0.5, y + 1 + dy + 0.5


def test_decoding_is_the_rule_written_out():
    # Few values, so that maxima and neighbours tie; few cells, so that peaks
    # lie on every edge.
    rng = np.random.default_rng(0)
    heatmaps = rng.integers(-3, 3, (6, 5, 4, 50)).astype(np.float32)
    heatmaps[:, :, :, :8] = np.minimum(heatmaps[:, :, :, :8], 0)
    cells, scores = jax.jit(targets.decode_cells)(heatmaps)
    for b, k in np.ndindex(6, 50):
        heatmap = heatmaps[b, :, :, k]
        np.testing.assert_array_equal(cells[b, k], decoded_by_hand(heatmap))
        assert scores[b, k] == heatmap.max()
    assert cells.dtype == jnp.float32


def test_cells_of_half_precision_maps_are_single_precision():
    heatmaps = np.zeros((1, 64, 300, 1))
    heatmaps[0, 20, 290:292, 0] = 0.5, 0.25
    cells, _ = targets.decode_cells(jnp.asarray(heatmaps, jnp.bfloat16))
    np.testing.assert_array_equal(cells, [[[291.75, 21.5]]])
    assert cells.dtype == jnp.float32


def test_coordinates_are_truncated_toward_zero():
    # A crop pixel is an image pixel: side 256 around (128, 128).
    box = np.array([128.0, 128.0]), 1.28
    points = np.array([[0.4, 5.6], [-0.7, -1.2], [1.0, 257.9]])
    for invert in (False, True):
        got = geometry.transform_pixel(points, *box, 256, invert=invert)
        np.testing.assert_array_equal(got, [[1, 5], [0, -1], [1, 257]])
    cells = geometry.heatmap_points(points, *box, 256)
    np.testing.assert_array_equal(cells, [[0, 5], [0, -1], [1, 257]])


def test_many_boxes_are_mapped_as_one_by_one():
    rng = np.random.default_rng(1)
    points = rng.uniform(0, 64, (2, 3, 7, 2)).astype(np.float32)
    centers = rng.uniform(50, 200, (2, 3, 2)).astype(np.float32)
    scales = rng.uniform(0.5, 2, (2, 3))
    got = geometry.image_points(points, centers, scales, (48, 64))
    assert got.shape == points.shape and got.dtype == np.float64
    for index in np.ndindex(2, 3):
        center, scale = centers[index], scales[index]
        alone = geometry.image_points(points[index], center, float(scale), (48, 64))
        np.testing.assert_array_equal(got[index], alone)
        # Written out; the published code counts from one on both sides.
        box = 200 * scale
        expected = (points[index] - 1 - [32, 24]) * box / [64, 48] + center
        np.testing.assert_array_equal(alone, np.trunc(expected) + 1)


def test_centers_are_single_precision():
    center = np.array([100.123456789, 7.0])
    got = geometry.matrix(center, 1.0, 64)
    single = geometry.matrix(center.astype(np.float32), 1.0, 64)
    np.testing.assert_array_equal(got, single)


def test_mirroring_twice_changes_nothing_and_leaves_its_input_alone():
    points = np.random.default_rng(0).integers(0, 100, (2, 5, 2)).astype(np.float64)
    original = points.copy()
    once = geometry.mirror_points(points, 100, [(0, 3), (1, 2)])
    np.testing.assert_array_equal(points, original)
    np.testing.assert_array_equal(once[:, 0], [100, 0] + [-1, 1] * points[:, 3])
    np.testing.assert_array_equal(once[:, 4], [100, 0] + [-1, 1] * points[:, 4])
    twice = geometry.mirror_points(once, 100, [(0, 3), (1, 2)])
    np.testing.assert_array_equal(twice, points)


def test_points_above_the_image_are_dropped_and_others_kept():
    points = np.array([[5.0, 0.0], [5.0, -1.0], [-9.0, 0.5], [900.0, 1.0]])
    kept = geometry.kept_points(points)
    np.testing.assert_array_equal(kept, [False, False, True, True])


def test_contrast_is_stretched_by_the_formula():
    rng = np.random.default_rng(0)
    for low, high in [(0, 255), (3, 17), (40, 41), (100, 214), (0, 254), (9, 255)]:
        image = rng.integers(low, high + 1, (20, 30, 3), np.uint8)
        image[0, 0, :2] = low, high
        got = crop.stretch(image)
        expected = (image.astype(float) - low) * 255 / (high - low) + 0.5
        # Rounding in single precision decides where a half is met exactly.
        near_half = np.abs(expected - np.rint(expected)) < 1e-4
        np.testing.assert_array_equal(got[~near_half], np.floor(expected)[~near_half])
        # A table for bytes, arithmetic for floats: the same bits.
        as_floats = crop.stretch(image.astype(np.float32))
        np.testing.assert_array_equal(got, as_floats)
    grey = np.full((4, 4, 3), 77, np.uint8)
    assert (crop.stretch(grey) == 0).all()
    fractions = np.linspace(0.25, 0.75, 48).reshape(4, 4, 3)
    got = crop.stretch(fractions)
    assert (got.min(), got.max()) == (0, 255)


def test_a_crop_of_the_image_itself_is_the_image_stretched():
    # The crop's corners are one pixel further: the last row and column are black.
    image = np.random.default_rng(0).integers(50, 201, (256, 256, 3), np.uint8)
    got = crop.crop(image, np.array([129.0, 129.0]), 1.28)
    canvas = np.zeros_like(image)
    canvas[:-1, :-1] = image[1:, 1:]
    np.testing.assert_array_equal(got, crop.stretch(canvas))


@pytest.mark.parametrize("rotation", [0.0, 25.0])
@pytest.mark.parametrize("outside", [(-500.0, 60.0), (60.0, 900.0), (-160.0, 60.0)])
def test_a_box_outside_the_image_is_black(outside, rotation):
    image = np.full((120, 90, 3), 200, np.uint8)
    got = crop.crop(image, np.array(outside), 0.9, rotation)
    assert got.shape == (256, 256, 3) and not got.any()


def test_an_image_that_shrinks_to_nothing_is_black():
    image = np.random.default_rng(0).integers(1, 200, (20, 30, 3), np.uint8)
    for scale in (25.6, 100.0):  # sides of 1 and 0
        got = crop.crop(image, np.array([10.0, 10.0]), scale)
        assert got.shape == (256, 256, 3) and not got.any()
    assert crop.crop(image, np.array([10.0, 10.0]), 12.8).any()
    # A line that would lose its last row keeps it.
    line = np.random.default_rng(0).integers(1, 200, (2, 700, 3), np.uint8)
    assert crop.crop(line, np.array([350.0, 1.0]), 4.0).any()


def test_a_rotated_crop_is_stretched_with_what_it_turns_in():
    # A box of 128 pixels around (301, 301): 237 ... 364, and a margin such that
    # its diagonal fits. The only bright pixel counts although it is cut off.
    box, margin = (np.array([301.0, 301.0]), 0.64), int(64 * np.sqrt(2) - 64)
    for column, counts in [(237 - margin, True), (236 - margin, False)]:
        image = np.full((600, 600, 3), 40, np.uint8)
        image[300, 300], image[300, column] = 80, 240
        got = crop.crop(image, *box, rotation=1e-9)
        assert (got.max() < 100) == counts


def test_bytes_are_not_stretched_before_shrinking_in_cofw():
    # Columns outside of the box set the range of the whole image only.
    image = np.random.default_rng(0).integers(90, 110, (700, 1200, 3), np.uint8)
    image[:, :20], image[:, 1180:] = 60, 160
    box = np.array([600.0, 350.0]), 2.9
    got = crop.crop(image, *box, as_float=False)
    as_float = crop.crop(image, *box)
    assert (got != as_float).any()
    np.testing.assert_array_equal(as_float, crop.crop(image.astype(np.float32), *box))
    np.testing.assert_array_equal(
        as_float, crop.crop(image.astype(np.float32), *box, as_float=False)
    )


@pytest.mark.parametrize("scale", [0.0, 1e-4, -1.0, np.nan])
def test_a_box_without_a_pixel_is_an_error(scale):
    image = np.zeros((50, 50, 3), np.uint8)
    with pytest.raises(DataError, match=r"\[20\.5, 30\.5\].* at least one pixel"):
        crop.crop(image, np.array([20.5, 30.5]), scale)


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("rotation", [0.0, 30.0, -20.0])
@pytest.mark.parametrize("scale", [0.8, 3.4])
def test_pixels_and_targets_stay_together(rotation, flip, scale):
    # White spots at the points; the box of 3.4 is shrunk first.
    image = np.zeros((900, 1000, 3), np.uint8)
    center = np.array([480.0, 430.0])
    points = center + 200 * scale * np.array([[0.3, -0.1], [-0.2, 0.25], [0, 0.35]])
    radius = round(6 * scale)
    for x, y in points.astype(int):
        image[y - radius : y + radius + 1, x - radius : x + radius + 1] = 255
    sample = crop.sample(
        image,
        points,
        center,
        scale,
        scale_factor=0.9,
        rotation=rotation,
        flip=flip,
        pairs=[(0, 1)],
        size=128,
        heatmap_size=32,
    )
    assert sample.image.shape == (128, 128, 3) and sample.kept.all()
    assert sample.scale == scale * 1.25 * 0.9
    expected = points[[1, 0, 2]] if flip else points
    if flip:
        expected = expected * [-1, 1] + [1000, 0]
    np.testing.assert_allclose(sample.points, expected)
    assert sample.center[0] == (520 if flip else 480)
    for x, y in sample.cells.astype(int):
        # The cell's 4x4 pixels, or the neighbours' that truncation chose against.
        assert sample.image[4 * y : 4 * y + 4, 4 * x : 4 * x + 4].max() > 100
    dark = sample.image.max(-1) < 100
    assert dark.mean() > 0.9


def test_decoded_targets_are_the_points_but_for_the_cells():
    rng = np.random.default_rng(5)
    center, scale = np.array([150.0, 140.0]), 1.1
    points = center + rng.uniform(-80, 80, (68, 2))
    cells = geometry.heatmap_points(points, center, scale, 64)
    heatmaps = targets.gaussian_heatmaps(
        jnp.asarray(cells, jnp.float32)[None], (64, 64), 1.0
    )
    decoded, _ = targets.decode_cells(heatmaps)
    got = geometry.image_points(decoded[0], center, scale, 64)
    # Half a cell of 3.4 pixels to either side, and one pixel of truncation.
    assert np.abs(got - points).max() <= 220 / 64 / 2 + 1.01


def test_pose_matrices_invert_each_other_and_use_the_width():
    center, scale = np.array([31.5, 80.25]), np.array([0.75, 1.0])
    size, rotation = (256, 192), 40.0
    forth = affine_matrix(center, scale, size, rotation)
    back = affine_matrix(center, scale, size, rotation, invert=True)
    points = np.random.default_rng(0).uniform(-50, 300, (20, 2))
    mapped = points @ forth[:, :2].T + forth[:, 2]
    # From points in single precision, as there.
    np.testing.assert_allclose(mapped @ back[:, :2].T + back[:, 2], points, atol=1e-3)
    middle = forth[:, :2] @ center + forth[:, 2]
    np.testing.assert_allclose(middle, [96, 128], atol=1e-4)
    determinant = np.linalg.det(forth[:, :2])
    np.testing.assert_allclose(determinant, (192 / 150) ** 2, rtol=1e-5)
    # Positive rotations show the box turned counter-clockwise, y pointing down.
    right = forth[:, :2] @ [1.0, 0.0]
    assert right[0] > 0 and right[1] < 0
