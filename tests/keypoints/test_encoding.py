"""Targets are the formula, at any size."""

import math

import jax
import numpy as np
import pytest

from hrnet_jax.keypoints import encoding

SIZES = [(64, 64), (48, 64), (17, 5)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("sigma", [1.0, 1.5, 2.0])
def test_targets_are_gaussians_where_the_point_is(size, sigma):
    rng = np.random.default_rng(0)
    cells = rng.uniform(-3, 70, (2, 4, 2)).astype(np.float32)
    got = jax.jit(encoding.gaussian_heatmaps, static_argnums=(1, 2))(cells, size, sigma)
    assert got.shape == (2, *size, 4) and got.dtype == np.float32
    for b, k in np.ndindex(2, 4):
        for y, x in [(0, 0), (3, 2), (size[0] - 1, size[1] - 1)]:
            px, py = cells[b, k].astype(float)
            expected = math.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * sigma**2))
            assert got[b, y, x, k] == pytest.approx(expected, abs=1e-6)


def test_the_peak_of_a_whole_cell_is_one():
    got = encoding.gaussian_heatmaps(np.float32([[[3, 5]]]), (8, 8), 1.0)
    assert got[0, 5, 3, 0] == 1 and np.sum(got == 1) == 1


@pytest.mark.parametrize(
    "crop, heatmap", [((256, 256), (64, 64)), ((132, 92), (33, 23))]
)
def test_cells_cover_blocks_of_pixels(crop, heatmap):
    # Corners are corners, and there and back is where it began.
    corners = np.float32([[-0.5, -0.5], [crop[1] - 0.5, crop[0] - 0.5]])
    cells = encoding.crop_to_cells(corners, crop, heatmap)
    np.testing.assert_allclose(
        cells, [[-0.5, -0.5], [heatmap[1] - 0.5, heatmap[0] - 0.5]], atol=1e-5
    )
    points = np.random.default_rng(0).uniform(0, 90, (5, 2)).astype(np.float32)
    back = encoding.cells_to_crop(
        encoding.crop_to_cells(points, crop, heatmap), crop, heatmap
    )
    np.testing.assert_allclose(back, points, atol=1e-4)
    if crop == (256, 256):
        # The centre of a cell is the middle of its 4 x 4 pixels.
        np.testing.assert_allclose(
            encoding.crop_to_cells(np.float32([1.5, 5.5]), crop, heatmap), [0, 1]
        )


def test_mirrored_points_have_mirrored_cells():
    points = np.random.default_rng(0).uniform(0, 256, (9, 2)).astype(np.float32)
    cells = np.asarray(encoding.crop_to_cells(points, (256, 256), (64, 64)))
    points[:, 0] = 255 - points[:, 0]
    mirrored = encoding.crop_to_cells(points, (256, 256), (64, 64))
    np.testing.assert_allclose(mirrored[:, 0], 63 - cells[:, 0], atol=1e-4)
    np.testing.assert_allclose(mirrored[:, 1], cells[:, 1], atol=1e-5)


def test_inside_is_where_a_heatmap_has_cells():
    cells = np.float32(
        [[-0.5, 0], [-0.51, 0], [9.49, 4.49], [9.5, 4], [3, 4.5], [3, -0.6]]
    )
    expected = [True, False, True, False, False, False]
    np.testing.assert_array_equal(encoding.inside(cells, (5, 10)), expected)


def test_cells_are_as_wide_as_the_stride_where_the_last_looks_beyond():
    # 301 pixels make 76 cells of 4, not of 301 / 76.
    points = np.float32([[1.5, 1.5], [297.5, 1.5]])
    cells = encoding.crop_to_cells(points, (8, 301), (2, 76))
    np.testing.assert_allclose(cells, [[0, 0], [74, 0]])
    back = encoding.cells_to_crop(cells, (8, 301), (2, 76))
    np.testing.assert_allclose(back, points)
