"""Assignment of objects to anchors and points, against goldens and plain matrices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hrnet_jax.detection.anchors import grid_anchors, point_grid
from hrnet_jax.detection.boxes import V1
from hrnet_jax.detection.matching import (
    BACKGROUND,
    IGNORED,
    best_overlaps,
    level_ranges,
    match,
    match_points,
)
from tests.goldens import official
from tests.tiers import fast_are

SHAPES = ((32, 24), (16, 12), (8, 6), (4, 3), (2, 1))
STRIDES = (4, 8, 16, 32, 64)
# As the published configurations and the goldens have them.
RULES = {
    "rpn": {"positive": 0.7, "negative": 0.3, "least": 0.3},
    "rpn_low": {"positive": 0.5, "negative": 0.2, "least": 0.0},
    "rpn_ignore": {"positive": 0.7, "negative": 0.3, "least": 0.3, "crowd_share": 0.5},
    "rpn_single_best": {
        "positive": 0.7,
        "negative": 0.3,
        "least": 0.3,
        "all_best": False,
    },
    "rpn_negative_range": {"positive": 0.7, "negative": (0.1, 0.3), "least": 0.3},
    "rcnn": {"positive": 0.5, "negative": 0.5, "least": 0.5},
}


def of_goldens(name: str, dtype=np.float32) -> np.ndarray:
    value = official.arrays("numeric/detection")[f"assign/{name}"]
    return value.astype(dtype) if value.dtype == np.float32 else value


def places(name: str, dtype=np.float32) -> np.ndarray:
    """Anchors, or proposals, of a golden."""
    if name == "rcnn":
        return of_goldens("proposals", dtype)
    return np.concatenate(grid_anchors(SHAPES, STRIDES, conventions=V1)).astype(dtype)


def padded(boxes: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Boxes, and empty ones behind them, with what is valid."""
    space = np.zeros((count - len(boxes), 4), boxes.dtype)
    return np.concatenate([boxes, space]), np.arange(count) < len(boxes)


def assigned(name: str, dtype=np.float32) -> jax.Array:
    objects, valid = padded(of_goldens("gt_boxes", dtype), 8)
    crowds, crowd_valid = padded(of_goldens("ignore_boxes", dtype), 3)
    matched = jax.jit(
        lambda *arrays: match(
            *arrays,
            **RULES[name],
            plus_one=1.0,
            crowds=jnp.asarray(crowds),
            crowd_valid=jnp.asarray(crowd_valid),
        )
    )
    boxes = places(name, dtype)
    return matched(boxes, np.ones(len(boxes), bool), objects, valid)


@pytest.mark.parametrize("name", fast_are(["rpn_ignore", "rcnn"], RULES))
def test_goldens(name):
    got = assigned(name)
    expected = of_goldens(f"{name}_gt_inds")
    # There: -1 ignored, 0 background, k the k-th box.
    expected = np.where(
        expected > 0, expected - 1, np.where(expected, IGNORED, BACKGROUND)
    )
    assert got.dtype == jnp.int32
    np.testing.assert_array_equal(got, expected)
    labels = of_goldens("gt_labels")
    classes = np.where(got >= 0, labels[np.maximum(got, 0)], 0)
    np.testing.assert_array_equal(classes, of_goldens(f"{name}_labels"))


@pytest.mark.slow
@pytest.mark.parametrize("name", RULES)
def test_goldens_in_double_precision(name):
    with jax.enable_x64():
        np.testing.assert_array_equal(assigned(name, np.float64), assigned(name))


@pytest.mark.parametrize("name", fast_are(["rpn"], ["rpn", "rcnn"]))
def test_largest_overlaps_of_goldens(name):
    objects, valid = padded(of_goldens("gt_boxes"), 8)
    boxes = places(name)
    got, index = jax.jit(lambda *x: best_overlaps(*x, plus_one=1.0))(
        boxes, objects, valid
    )
    np.testing.assert_allclose(got, of_goldens(f"{name}_max_overlaps"), rtol=1e-6)
    assert (index < 5).all()


def overlaps(anchors: np.ndarray, objects: np.ndarray) -> np.ndarray:
    """[A, G] in the precision of the boxes, as NumPy rounds."""
    a, b = anchors[:, None], objects[None]
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    common = np.maximum(sides, 0).prod(-1)
    union = (
        (a[..., 2:] - a[..., :2]).prod(-1) + (b[..., 2:] - b[..., :2]).prod(-1) - common
    )
    return common / union


def by_matrix(anchors, anchor_valid, objects, positive, negative, least) -> np.ndarray:
    """The rule on the whole matrix, modern conventions."""
    matrix = np.where(anchor_valid[:, None], overlaps(anchors, objects), -1)
    best = matrix.max(1)
    result = np.full(len(anchors), IGNORED)
    result[(best >= 0) & (best < negative)] = BACKGROUND
    result[best >= positive] = matrix.argmax(1)[best >= positive]
    for number, column in enumerate(matrix.T):
        if column.max() >= least:
            result[column == column.max()] = number
    result[~anchor_valid] = IGNORED
    return result


def made_up_objects(count: int, size: tuple[int, int], seed: int) -> np.ndarray:
    """Boxes with whole and half corners: products of their sides are exact."""
    rng = np.random.default_rng(seed)
    height, width = size
    start = rng.integers(0, (2 * width - 80, 2 * height - 80), (count, 2))
    sides = np.exp(rng.uniform(np.log(20), np.log(height), (count, 2))).astype(int)
    return np.concatenate([start, start + sides], axis=1).astype(np.float32) / 2


def test_best_anchors_are_those_of_the_whole_matrix():
    # Trap 1: "equal to the largest" of overlaps that are computed twice.
    anchors = np.concatenate(grid_anchors(SHAPES, STRIDES, ratios=(0.25, 1, 4)))
    objects = made_up_objects(12, (128, 96), seed=0)
    anchor_valid = np.random.default_rng(1).random(len(anchors)) < 0.8
    expected = by_matrix(anchors, anchor_valid, objects, 0.7, 0.3, 0.3)
    space, valid = padded(objects, 16)
    matched = jax.jit(lambda *arrays: match(*arrays, 0.7, 0.3, 0.3))
    got = matched(anchors, anchor_valid, space, valid)
    np.testing.assert_array_equal(got, expected)
    assert len(np.unique(expected)) > 10


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("count", [12, 90])
def test_best_anchors_of_a_whole_image(count, seed):
    # As in the fast case, but corners as they come: of these objects, a matrix of
    # overlaps compared with its largest gave some of those of seed 1 anchors too many.
    shapes = ((200, 336), (100, 168), (50, 84), (25, 42), (12, 21))
    anchors = np.concatenate(grid_anchors(shapes, STRIDES))
    rng = np.random.default_rng(seed)
    objects = made_up_objects(count, (800, 1344), seed) + rng.random((count, 4))
    space, valid = padded(objects.astype(np.float32), 100)
    everything = np.ones(len(anchors), bool)
    matched = jax.jit(lambda *arrays: match(*arrays, 0.7, 0.3, 0.3))
    got = matched(anchors, everything, space, valid)
    expected = by_matrix(anchors, everything, space[:count], 0.7, 0.3, 0.3)
    np.testing.assert_array_equal(got, expected)
    assert (expected >= 0).sum() >= 50


@pytest.mark.slow
def test_padding_changes_nothing_and_no_object_leaves_background():
    anchors = np.concatenate(grid_anchors(SHAPES, STRIDES))
    anchor_valid = np.arange(len(anchors)) % 5 > 0
    matched = jax.jit(lambda *arrays: match(*arrays, 0.7, 0.3, 0.3))
    objects = made_up_objects(3, (128, 96), seed=3)
    expected = by_matrix(anchors, anchor_valid, objects, 0.7, 0.3, 0.3)
    # Padding in front: padded boxes are full of what an error would notice.
    space = np.concatenate([np.tile(anchors[700], (2, 1)), objects]).astype(np.float32)
    got = matched(anchors, anchor_valid, space, np.arange(5) >= 2)
    np.testing.assert_array_equal(got, np.where(expected >= 0, expected + 2, expected))
    got = matched(anchors, anchor_valid, space, np.zeros(5, bool))
    np.testing.assert_array_equal(got, np.where(anchor_valid, BACKGROUND, IGNORED))
    none = match(
        jnp.asarray(anchors), None, jnp.zeros((0, 4)), jnp.zeros(0, bool), 1, 1
    )
    assert (none == BACKGROUND).all()


def test_empty_anchors_and_objects_give_numbers():
    # Trap 6: intersection over union of two empty boxes is 0 / 0.
    anchors = jnp.asarray([[3.0, 3, 3, 3], [0, 0, 9, 9]])
    objects = jnp.asarray([[3.0, 3, 3, 3], [0, 0, 9, 8]])
    matched = jax.jit(lambda *x: match(x[0], None, *x[1:], 0.7, 0.3, 0.3))
    got = matched(anchors, objects, jnp.ones(2, bool))
    np.testing.assert_array_equal(got, [BACKGROUND, 1])


@pytest.mark.slow
def test_several_images_at_once():
    anchors = jnp.asarray(np.concatenate(grid_anchors(SHAPES, STRIDES)))
    objects = np.stack([made_up_objects(6, (128, 96), seed) for seed in (4, 5)])
    valid = np.array([[True] * 6, [True, True] + [False] * 4])
    many = jax.jit(
        jax.vmap(lambda *x: match(anchors, None, *x, 0.7, 0.3, 0.3), in_axes=(0, 0))
    )(objects, valid)
    for image, number in enumerate((6, 2)):
        expected = by_matrix(
            anchors, np.ones(len(anchors), bool), objects[image, :number], 0.7, 0.3, 0.3
        )
        np.testing.assert_array_equal(many[image], expected)


def points_by_matrix(points, ranges, objects, radii=None) -> np.ndarray:
    """The rule of FCOS on the whole matrix."""
    a, b = points[:, None], objects[None]
    sides = np.concatenate([a - b[..., :2], b[..., 2:] - a], axis=-1)
    inside = sides.min(-1) > 0
    if radii is not None:
        centre = (b[..., :2] + b[..., 2:]) / 2
        inside &= (np.abs(a - centre) < radii[:, None, None]).all(-1)
    most = sides.max(-1)
    inside &= (most >= ranges[:, :1]) & (most <= ranges[:, 1:])
    area = (objects[:, 2:] - objects[:, :2]).prod(-1)
    area = np.where(inside, area, np.inf)
    return np.where(np.isinf(area.min(1)), BACKGROUND, area.argmin(1))


@pytest.mark.parametrize("center_sampling", fast_are([True], [False, True]))
def test_points_find_the_smallest_object_around_them(center_sampling):
    shapes, strides = SHAPES[1:], STRIDES[1:]
    points = np.concatenate(point_grid(shapes, strides))
    ranges = level_ranges(shapes, ((-1, 24), (24, 48), (48, 64), (64, np.inf)))
    cells = np.repeat(strides, [h * w for h, w in shapes])
    radii = 1.5 * cells.astype(np.float32) if center_sampling else None
    objects = made_up_objects(12, (128, 96), seed=6)
    objects[5] = objects[2]  # Of equal areas the first is chosen.
    expected = points_by_matrix(points, ranges, objects, radii)
    assert len(np.unique(expected)) > 4 and 5 not in expected
    space, valid = padded(objects, 20)
    matched = jax.jit(match_points)
    got = matched(points, ranges, space, valid, radii)
    assert got.dtype == jnp.int32
    np.testing.assert_array_equal(got, expected)
    nobody = matched(points, ranges, space, np.zeros(20, bool), radii)
    assert (nobody == BACKGROUND).all()


def test_ranges_of_levels_are_the_published_ones():
    ranges = level_ranges(((2, 2), (1, 1), (1, 1), (1, 1), (1, 1)))
    first = [[-1, 64]] * 4 + [[64, 128], [128, 256], [256, 512], [512, np.inf]]
    np.testing.assert_array_equal(ranges, first)
    # Distances of just a limit belong to both levels.
    points, objects = jnp.asarray([[64.0, 1.0]]), jnp.asarray([[0.0, 0, 70, 3]])
    for limits in ((-1.0, 64.0), (64.0, 128.0)):
        got = jax.jit(match_points)(
            points, jnp.asarray([limits]), objects, jnp.ones(1, bool)
        )
        assert list(got) == [0]
