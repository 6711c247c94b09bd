"""Peaks, with a fraction of a cell."""

import jax
import numpy as np
import pytest

from hrnet_jax.keypoints import decoding, encoding

decode = jax.jit(decoding.decode, static_argnums=(1, 2))


def heatmaps_of(cells, size, sigma):
    return np.asarray(encoding.gaussian_heatmaps(np.float32(cells), size, sigma))


@pytest.mark.parametrize("method", decoding.METHODS)
def test_the_first_of_the_highest_cells_is_the_peak(method):
    heatmaps = np.zeros((1, 12, 9, 2), np.float32)
    heatmaps[0, 4, 3, 0] = heatmaps[0, 4, 5, 0] = heatmaps[0, 7, 1, 0] = 0.75
    heatmaps[0, :, :, 1] = -1
    cells, scores = decode(heatmaps, method, 1.5)
    if method == "argmax":
        np.testing.assert_array_equal(cells[0], [[3, 4], [0, 0]])
    np.testing.assert_array_equal(scores[0], [0.75, -1])
    assert np.isfinite(cells).all()


@pytest.mark.parametrize("size", [(64, 64), (40, 48), (41, 35)])
@pytest.mark.parametrize("sigma", [1.0, 1.5, 2.0, 3.0])
def test_dark_finds_a_gaussian_exactly(size, sigma):
    rng = np.random.default_rng(0)
    margin = 4 + round(4 * sigma)
    limit = np.array([size[1], size[0]]) - margin
    cells = rng.uniform(margin, limit, (3, 5, 2))
    got, scores = decode(0.3 * heatmaps_of(cells, size, sigma), "dark", sigma)
    # The smoothing is cut off at 2.5 sigma.
    np.testing.assert_allclose(got, cells, atol=5e-3)
    assert (scores < 0.3001).all() and (scores > 0.2).all()


def test_dark_is_better_than_a_quarter_and_that_better_than_none():
    cells = np.random.default_rng(1).uniform(10, 50, (4, 9, 2))
    heatmaps = heatmaps_of(cells, (64, 64), 1.5)
    errors = [
        np.abs(np.asarray(decode(heatmaps, method, 1.5)[0]) - cells).mean()
        for method in ("dark", "quarter", "argmax")
    ]
    assert errors[0] < 0.01 < errors[1] < 0.14 < errors[2]


def quarter_by_hand(heatmap):
    """One heatmap [h, w], as the published loop does it."""
    height, width = heatmap.shape
    y, x = np.unravel_index(heatmap.argmax(), heatmap.shape)
    point = np.array([x, y], float)
    if 0 < x < width - 1 and 0 < y < height - 1:
        slope_x = heatmap[y, x + 1] - heatmap[y, x - 1]
        slope_y = heatmap[y + 1, x] - heatmap[y - 1, x]
        point += 0.25 * np.sign([slope_x, slope_y])
    return point


def test_a_quarter_is_that_of_a_loop():
    rng = np.random.default_rng(0)
    heatmaps = rng.normal(size=(5, 6, 7, 20)).astype(np.float32)
    cells, scores = decode(heatmaps, "quarter", 1.5)
    for b, k in np.ndindex(5, 20):
        np.testing.assert_array_equal(cells[b, k], quarter_by_hand(heatmaps[b, ..., k]))
        assert scores[b, k] == heatmaps[b, ..., k].max()


def dark_by_hand(heatmap, sigma):
    """One heatmap, with OpenCV's blur and NumPy's solver, in double precision."""
    import cv2

    height, width = heatmap.shape
    y, x = np.unravel_index(heatmap.argmax(), heatmap.shape)
    point = np.array([x, y], float)
    if not (2 <= x < width - 2 and 2 <= y < height - 2):
        return point
    radius = round(2.5 * sigma)
    padded = np.pad(heatmap.astype(np.float64), radius)
    kernel = cv2.getGaussianKernel(2 * radius + 1, sigma)
    smooth = cv2.sepFilter2D(padded, -1, kernel, kernel, borderType=cv2.BORDER_CONSTANT)
    smooth = smooth[radius:-radius, radius:-radius]
    log = np.log(np.maximum(smooth, 1e-10))
    gradient = np.array([log[y, x + 1] - log[y, x - 1], log[y + 1, x] - log[y - 1, x]])
    dxx = log[y, x + 2] - 2 * log[y, x] + log[y, x - 2]
    dyy = log[y + 2, x] - 2 * log[y, x] + log[y - 2, x]
    dxy = log[y + 1, x + 1] - log[y - 1, x + 1] - log[y + 1, x - 1] + log[y - 1, x - 1]
    hessian = np.array([[dxx, dxy], [dxy, dyy]]) / 4
    if np.linalg.eigvalsh(hessian).max() >= 0:
        return point
    return point - np.linalg.solve(hessian, gradient / 2)


@pytest.mark.parametrize("sigma", [1.0, 1.5, 2.0])
def test_dark_is_the_formula_on_noisy_maps(sigma):
    rng = np.random.default_rng(2)
    cells = rng.uniform(-2, 26, (4, 15, 2))
    heatmaps = heatmaps_of(cells, (24, 28), sigma)
    heatmaps = (heatmaps + rng.normal(0, 0.05, heatmaps.shape)).astype(np.float32)
    got, _ = decode(heatmaps, "dark", sigma)
    moved = 0
    for b, k in np.ndindex(4, 15):
        expected = dark_by_hand(heatmaps[b, ..., k], sigma)
        np.testing.assert_allclose(got[b, k], expected, atol=2e-2, rtol=1e-3)
        moved += (expected % 1 != 0).any()
    assert moved > 30


def test_mirrored_maps_swap_left_and_right():
    heatmaps = np.random.default_rng(0).normal(size=(2, 4, 6, 5)).astype(np.float32)
    pairs = ((0, 3), (1, 2))
    got = decoding.mirror_heatmaps(heatmaps, pairs)
    for new, old in enumerate((3, 2, 1, 0, 4)):
        np.testing.assert_array_equal(got[..., new], heatmaps[:, :, ::-1, old])
    np.testing.assert_array_equal(decoding.mirror_heatmaps(got, pairs), heatmaps)


@pytest.mark.parametrize("method", decoding.METHODS)
def test_the_peaks_of_mirrored_maps_are_mirrored_peaks(method):
    cells = np.random.default_rng(0).uniform(8, 24, (3, 4, 2))
    heatmaps = heatmaps_of(cells, (32, 32), 1.5)
    straight, _ = decode(heatmaps, method, 1.5)
    mirrored, _ = decode(heatmaps[:, :, ::-1], method, 1.5)
    np.testing.assert_allclose(mirrored[..., 0], 31 - straight[..., 0], atol=1e-4)
    np.testing.assert_allclose(mirrored[..., 1], straight[..., 1], atol=1e-4)
