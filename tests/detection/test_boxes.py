"""Boxes against the goldens of the published code and formulas written out."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hrnet_jax.detection.boxes import (
    MODERN,
    V1,
    areas,
    clip,
    decode,
    distances,
    encode,
    flip,
    from_distances,
    iou,
    pair_iof,
    pair_iou,
)
from tests.goldens import official
from tests.tiers import fast_are

GOLDENS = "numeric/detection"
STAGES = fast_are(["rcnn"], ("rpn", "rcnn", "other"))


@pytest.fixture(
    params=[np.float32, pytest.param(np.float64, marks=pytest.mark.slow)],
    ids=["float32", "float64"],
)
def precision(request):
    """A dtype, with 64 bits allowed where it needs them."""
    with jax.enable_x64(request.param == np.float64):
        yield request.param


def of_goldens(name: str, dtype=np.float32) -> jax.Array:
    return jnp.asarray(official.arrays(GOLDENS)[name].astype(dtype))


def assert_close(got: jax.Array, name: str, scale: float = 1.0) -> None:
    """Goldens are rounded to float32 and were computed in it."""
    expected = official.arrays(GOLDENS)[name]
    np.testing.assert_allclose(got, expected, rtol=3e-6, atol=3e-6 * scale)


@pytest.mark.parametrize("stage", STAGES)
def test_encoding_equals_the_published_one(stage, precision):
    means, stds = official.arrays(GOLDENS)[f"delta/{stage}_means_stds"]
    proposals = of_goldens("delta/proposals", precision)
    got = jax.jit(encode, static_argnums=4)(
        proposals, of_goldens("delta/targets", precision), means, stds, V1
    )
    assert got.dtype == precision
    assert_close(got, f"delta/{stage}_bbox2delta", scale=20)


@pytest.mark.parametrize("stage", STAGES)
def test_decoding_of_two_classes_equals_the_published_one(stage, precision):
    means, stds = official.arrays(GOLDENS)[f"delta/{stage}_means_stds"]
    deltas = of_goldens(f"delta/{stage}_deltas", precision).reshape(40, 2, 4)
    anchors = of_goldens("delta/proposals", precision)[:, None]
    for size, name in ((None, "delta2bbox"), ((150, 200), "delta2bbox_clipped")):
        decoded = jax.jit(lambda *x, size=size: decode(*x, means, stds, size, V1))
        got = decoded(anchors, deltas)
        assert got.dtype == precision
        assert_close(got.reshape(40, 8), f"delta/{stage}_{name}", scale=200)


@pytest.mark.slow
@pytest.mark.parametrize("conventions", [MODERN, V1], ids=["modern", "v1"])
def test_decoding_undoes_encoding(conventions):
    anchors = of_goldens("delta/proposals")
    boxes = of_goldens("delta/targets")
    means, stds = (0.1, -0.2, 0.3, 0.0), (0.1, 0.1, 0.2, 0.2)
    deltas = encode(anchors, boxes, means, stds, conventions)
    got = decode(anchors, deltas, means, stds, conventions=conventions, ratio_clip=1e-9)
    np.testing.assert_allclose(got, boxes, atol=2e-4)


def test_modern_encoding_and_decoding_by_hand():
    anchor = jnp.asarray([10.0, 20.0, 30.0, 60.0])  # 20x40 around (20, 40)
    box = jnp.asarray([15.0, 20.0, 35.0, 100.0])  # 20x80 around (25, 60)
    deltas = encode(anchor, box, stds=(0.1, 0.1, 0.2, 0.2))
    expected = [0.25 / 0.1, 0.5 / 0.1, 0, np.log(2) / 0.2]
    np.testing.assert_allclose(deltas, expected, rtol=1e-6)
    got = decode(anchor, deltas, stds=(0.1, 0.1, 0.2, 0.2), size=(90, 32))
    np.testing.assert_allclose(got, [15, 20, 32, 90], rtol=1e-6)


@pytest.mark.slow
def test_predicted_sides_change_by_a_limited_factor():
    anchor = jnp.asarray([0.0, 0.0, 16.0, 16.0])
    wide = decode(anchor, jnp.asarray([0.0, 0.0, 50.0, -50.0]))
    np.testing.assert_allclose(wide, [-492, 7.872, 508, 8.128], rtol=1e-5)


def test_encodings_of_empty_boxes_are_finite():
    empty, box = jnp.full(4, 7.0), jnp.asarray([1.0, 2.0, 3.0, 4.0])
    for anchor, target in ((empty, empty), (empty, box), (box, empty)):
        assert np.isfinite(jax.jit(encode)(anchor, target)).all()


def test_flip_equals_the_published_one(precision):
    proposals = of_goldens("delta/proposals", precision)
    assert_close(flip(proposals, 200, 1), "boxes/flip_width200", scale=200)
    mapped = flip(proposals * 1.5, 300, 1)
    assert_close(mapped, "boxes/mapping_scale1.5_flip", scale=200)
    np.testing.assert_allclose(flip(flip(proposals, 50), 50), proposals, atol=1e-4)


def test_modern_flip_and_clip_by_hand():
    boxes = jnp.asarray([[-3.0, 4.0, 20.0, 70.0]])
    np.testing.assert_array_equal(flip(boxes, 100), [[80, 4, 103, 70]])
    np.testing.assert_array_equal(clip(boxes, (60, 10)), [[0, 4, 10, 60]])
    traced = jax.jit(clip)(boxes, jnp.asarray([60, 10]))
    np.testing.assert_array_equal(traced, [[0, 4, 10, 60]])
    np.testing.assert_array_equal(clip(boxes, (60, 10), 1), [[0, 4, 9, 59]])


def test_overlaps_equal_the_published_ones(precision):
    proposals = of_goldens("delta/proposals", precision)
    targets = of_goldens("delta/targets", precision)
    overlaps = jax.jit(pair_iou)(proposals[:20], targets[:12], 1)
    assert overlaps.dtype == precision
    assert_close(overlaps, "boxes/iou")
    assert_close(pair_iof(proposals[:20], targets[:12], 1), "boxes/iof")
    assert_close(iou(proposals, targets, 1), "boxes/iou_aligned")


def test_modern_overlaps_by_hand():
    a = jnp.asarray([[0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 4.0, 5.0]])
    b = jnp.asarray([[5.0, 5.0, 15.0, 15.0], [10.0, 0.0, 12.0, 3.0]])
    np.testing.assert_allclose(pair_iou(a, b), [[25 / 175, 0], [0, 0]], rtol=1e-6)
    np.testing.assert_allclose(pair_iof(a, b), [[0.25, 0], [0, 0]], rtol=1e-6)
    np.testing.assert_array_equal(areas(b), [100, 6])
    np.testing.assert_array_equal(areas(b, 1), [121, 12])


def test_two_empty_boxes_have_no_overlap_rather_than_nan():
    empty = jnp.asarray([[3.0, 3.0, 3.0, 3.0], [0.0, 0.0, 0.0, 9.0]])
    np.testing.assert_array_equal(pair_iou(empty, empty), np.zeros((2, 2)))
    np.testing.assert_array_equal(pair_iof(empty, empty), np.zeros((2, 2)))
    gradient = jax.jit(jax.grad(lambda boxes: pair_iou(boxes, boxes).sum()))(empty)
    assert np.isfinite(gradient).all()


@pytest.mark.slow
def test_distances_are_undone():
    point, box = jnp.asarray([4.0, 6.0]), jnp.asarray([1.0, 5.0, 9.0, 8.0])
    sides = distances(point, box)
    np.testing.assert_array_equal(sides, [3, 1, 5, 2])
    np.testing.assert_array_equal(from_distances(point, sides), box)
    np.testing.assert_array_equal(from_distances(point, sides, (7, 8)), [1, 5, 8, 7])
