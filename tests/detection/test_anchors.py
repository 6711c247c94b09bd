"""Anchors against the goldens of the published code and by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hrnet_jax.detection.anchors import (
    base_anchors,
    cells_of_image,
    grid_anchors,
    inside,
    point_grid,
)
from hrnet_jax.detection.boxes import V1
from hrnet_jax.errors import ConfigError
from tests.goldens import official

STRIDES = (4, 8, 16, 32, 64)
# Of 128x96 pixels (height, width); the last level drops an incomplete window.
SHAPES = ((32, 24), (16, 12), (8, 6), (4, 3), (2, 1))


def of_goldens(name: str) -> np.ndarray:
    return official.arrays("numeric/detection")[f"anchors/{name}"]


def test_rounded_anchors_equal_the_published_ones():
    levels = grid_anchors(SHAPES, STRIDES, conventions=V1)
    for level, stride in zip(levels, STRIDES, strict=True):
        assert level.dtype == np.float32
        np.testing.assert_array_equal(level, of_goldens(f"grid_stride{stride}"))
    bases = [base_anchors(stride, conventions=V1) for stride in STRIDES]
    np.testing.assert_array_equal(bases, of_goldens("base"))


@pytest.mark.parametrize("scale_major", [True, False])
def test_order_of_two_scales_is_the_published_one(scale_major):
    name = "scale" if scale_major else "ratio"
    expected = of_goldens(f"base16_two_scales_{name}_major")
    got = base_anchors(16, (4, 8), conventions=V1, scale_major=scale_major)
    np.testing.assert_array_equal(got, expected)


def test_modern_anchors_by_hand():
    (level,) = grid_anchors([(2, 3)], [4])
    assert level.shape == (18, 4) and level.dtype == np.float32
    # Row 1, column 2: around (8, 4), 32 pixels at ratio 1.
    square = level.reshape(2, 3, 3, 4)[1, 2, 1]
    np.testing.assert_array_equal(square, [-8, -12, 24, 20])
    flat = level.reshape(2, 3, 3, 4)[1, 2, 0]
    w, h = 32 * np.sqrt(2), 32 / np.sqrt(2)
    np.testing.assert_allclose(
        flat, [8 - w / 2, 4 - h / 2, 8 + w / 2, 4 + h / 2], rtol=1e-6
    )
    (double,) = grid_anchors([(2, 3)], [4], dtype=np.float64)
    assert double.dtype == np.float64
    np.testing.assert_allclose(double.reshape(2, 3, 3, 4)[1, 2, 0, 2], 8 + w / 2, 1e-15)


def test_points_are_centres_of_cells():
    first, second = point_grid([(2, 2), (1, 1)], [8, 16])
    np.testing.assert_array_equal(first, [[4, 4], [12, 4], [4, 12], [12, 12]])
    np.testing.assert_array_equal(second, [[8, 8]])


def test_anchors_inside_equal_the_published_ones():
    anchors = np.concatenate(grid_anchors(SHAPES, STRIDES, conventions=V1))
    got = jax.jit(inside)(anchors, jnp.asarray([120, 90]))
    np.testing.assert_array_equal(got, of_goldens("inside_flags_border0"))
    assert got.any()


def test_a_border_allows_anchors_to_reach_out():
    anchors = jnp.asarray([[-3.0, -2.0, 13.0, 12.0], [-3.0, -2.0, 14.0, 12.0]])
    np.testing.assert_array_equal(inside(anchors, (10, 10), 4), [True, False])


def test_cells_of_an_image_equal_the_published_ones():
    # 16x12 cells, of which the image has 13x10.
    got = jax.jit(lambda size: cells_of_image([(16, 12)], [1], size, padding=1))(
        jnp.asarray([13, 10])
    )
    np.testing.assert_array_equal(got, of_goldens("valid_flags_16x12_valid_13x10"))


def test_an_image_counts_as_padded_and_the_last_level_is_the_one_of_the_features():
    shapes = ((200, 336), (100, 168), (50, 84), (25, 42), (12, 21))
    levels = grid_anchors(shapes, STRIDES)
    assert [len(level) // 3 for level in levels] == [67200, 16800, 4200, 1050, 252]
    # 800x1344 has 12.5x21 windows of 64 pixels, and the pyramid 12x21 cells.
    cells = jax.jit(lambda size: cells_of_image(shapes, STRIDES, size, per_cell=1))
    assert cells(jnp.asarray([800, 1344])).all()
    # 790 pixels count as 800, 1000 as 1024.
    flags = cells(jnp.asarray([790, 1000]))
    start = 0
    for (rows, columns), stride in zip(shapes, STRIDES, strict=True):
        level = flags[start : start + rows * columns].reshape(rows, columns)
        expected = np.zeros((rows, columns), bool)
        expected[: -(-800 // stride), : 1024 // stride] = True
        np.testing.assert_array_equal(level, expected)
        start += rows * columns
    assert start == len(flags)


@pytest.mark.parametrize(
    "make",
    [grid_anchors, point_grid, lambda *a: cells_of_image(*a, (8, 8))],
    ids=["anchors", "points", "cells"],
)
def test_every_level_needs_a_stride(make):
    message = "strides: expected one for each of 2 levels, got 1: 4"
    with pytest.raises(ConfigError, match=message):
        make([(2, 2), (1, 1)], [4])
