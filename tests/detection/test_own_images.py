"""Over several devices each goes through its own images: nothing is exchanged."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hrnet_jax import runtime
from hrnet_jax.detection.fcos import FCOSOutputs
from hrnet_jax.detection.nms import nms_of_images
from hrnet_jax.detection.one_stage import point_targets
from hrnet_jax.detection.roi_align import roi_align
from hrnet_jax.detection.settings import FCOSSettings
from hrnet_jax.detection.targets import Objects

IMAGES, BOXES = 8, 6


def inputs():
    """Boxes [8, 6, 4] in images of 32x32, their scores, and two levels."""
    rng = np.random.default_rng(0)
    corner = rng.uniform(0, 16, (IMAGES, BOXES, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(4, 16, corner.shape)], -1)
    scores = rng.uniform(size=(IMAGES, BOXES))
    levels = [rng.normal(size=(IMAGES, side, side, 2)) for side in (8, 4)]
    return [array.astype(np.float32) for array in (boxes, scores, *levels)]


def suppress(boxes, scores, *_):
    valid, group = scores > 0.2, jnp.zeros(scores.shape, jnp.int32)
    return nms_of_images(boxes, scores, valid, 0.5, 4, group, 1)


def match_points(boxes, scores, fine, coarse):
    outputs = tuple(
        FCOSOutputs(level, jnp.zeros((*level.shape[:3], 4)), level[..., 0])
        for level in (fine, coarse)
    )
    objects = Objects(boxes, jnp.zeros(scores.shape, jnp.int32), scores > 0.2)
    settings = FCOSSettings(ranges=((-1.0, 8.0), (8.0, float("inf"))))
    return point_targets(outputs, objects, (4, 8), settings)


def pool(boxes, scores, *levels):
    return roi_align(levels, boxes, scores > 0.2, 3, finest=8, strides=(4, 8))


def gradients_of_levels(boxes, scores, *levels):
    def squares(levels):
        return (pool(boxes, scores, *levels) ** 2).sum()

    return jax.grad(squares)(levels)


@pytest.mark.parametrize(
    "function", [suppress, match_points, pool, gradients_of_levels]
)
def test_no_device_asks_another_and_results_are_the_same(function):
    mesh = runtime.make_mesh(8)
    arrays = inputs()
    divided = jax.device_put(arrays, runtime.batch_sharding(mesh))
    program = runtime.jit(function, mesh).lower(*divided).compile()
    asked = re.findall(r"= \S+ (all-\w+|collective-\w+)\(", program.as_text())
    assert asked == []
    expected = jax.jit(function)(*arrays)
    for left, right in zip(
        jax.tree.leaves(program(*divided)), jax.tree.leaves(expected), strict=True
    ):
        np.testing.assert_allclose(left, right, rtol=1e-5, atol=1e-5)


def test_images_that_do_not_divide_are_taken_together():
    mesh = runtime.make_mesh(8)
    arrays = [array[:3] for array in inputs()]
    got = runtime.jit(suppress, mesh)(*arrays)
    for left, right in zip(got, jax.jit(suppress)(*arrays), strict=True):
        np.testing.assert_array_equal(left, right)
