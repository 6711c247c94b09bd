"""What detectors are trained on, against the stored samples of mmdetection 3.3."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hrnet_jax.detection import settings
from hrnet_jax.detection.masks import SIDE, mask_loss, mask_targets
from hrnet_jax.detection.proposals import RPNTargets, rpn_losses, rpn_targets
from hrnet_jax.detection.regions import (
    Regions,
    box_losses,
    draw_regions,
    refine,
)
from hrnet_jax.detection.sampling import Sample
from hrnet_jax.detection.targets import Draw, Objects
from tests.detection import golden_detectors as golden
from tests.tiers import fast_are

NUMBERS = {
    "faster_rcnn_w18": settings.FASTER,
    "mask_rcnn_w18": settings.MASK,
    "cascade_mask_rcnn_w32": settings.CASCADE,
}
STRIDES = (4, 8, 16, 32, 64)


def silent_outputs(name: str):
    """Outputs of an RPN that says nothing, of the shapes of a golden."""
    shapes = golden.case_of(name, "batch")["outputs"]
    return tuple(
        (jnp.zeros((b, h, w, a)), jnp.zeros((b, h, w, a, 4)))
        for b, a, h, w in (shapes[f"rpn_cls{level}"]["shape"] for level in range(5))
    )


@pytest.mark.parametrize("name", fast_are(["cascade_mask_rcnn_w32"], NUMBERS))
def test_targets_of_the_rpn(name):
    numbers, case = NUMBERS[name], golden.case_of(name, "batch")
    targets = jax.jit(
        functools.partial(
            rpn_targets,
            strides=STRIDES,
            settings=numbers.rpn,
            conventions=numbers.conventions,
        )
    )(
        silent_outputs(name),
        golden.image_sizes(case),
        golden.objects(name),
        golden.draw(name),
    )
    stored = golden.arrays(name)
    for index in range(2):
        assigned = np.asarray(targets.assigned[index])
        inside = stored[f"train/rpn_inside{index}"]
        used = np.ones(len(assigned), bool)
        if inside.size:
            used = golden.unpacked(inside, (len(assigned),))
        # Theirs: -1 neither, 0 background, k the k-th object.
        theirs = stored[f"train/rpn_gt_inds{index}"]
        ours = np.where(assigned == -2, -1, assigned + 1)
        np.testing.assert_array_equal(ours[used], theirs)
        assert (assigned[~used] == -2).all()
        sample = jax.tree.map(lambda one, index=index: one[index], targets.sample)
        positive = np.asarray(sample.positive)
        chosen = np.asarray(sample.index)
        order = np.argsort(chosen[positive])
        expected = stored[f"train/rpn_pos{index}"]
        np.testing.assert_array_equal(chosen[positive][order], np.sort(expected))
        background = chosen[np.asarray(sample.valid) & ~positive]
        expected_background = stored[f"train/rpn_neg{index}"]
        assert set(background) == set(expected_background)
        deltas = np.asarray(targets.deltas[index])[positive][order]
        wanted = stored[f"train/rpn_pos_targets{index}_float64_run"]
        wanted = wanted[np.argsort(expected)]
        np.testing.assert_allclose(deltas, wanted, atol=1e-5)


def test_losses_of_the_rpn_count_all_samples_of_the_batch():
    outputs = ((jnp.zeros((2, 1, 2, 1)), jnp.zeros((2, 1, 2, 1, 4))),)
    sample = Sample(
        jnp.array([[0, 1], [1, 0]]),
        jnp.array([[True, True], [True, False]]),
        jnp.array([[True, False], [False, False]]),
    )
    targets = RPNTargets(jnp.zeros((2, 2), jnp.int32), sample, jnp.full((2, 2, 4), 2.0))
    found = rpn_losses(outputs, targets, settings.RPNSettings())
    # Three samples of log 2 each; one positive with four differences of 2.
    assert found["rpn_class"] == pytest.approx(np.log(2), 1e-5)
    assert found["rpn_box"] == pytest.approx(8 / 3, 1e-5)
    smooth = dataclasses.replace(settings.RPNSettings(), beta=1 / 9)
    found = rpn_losses(outputs, targets, smooth)
    assert found["rpn_box"] == pytest.approx(4 * (2 - 1 / 18) / 3, 1e-5)


def two_objects() -> Objects:
    """One image with two objects, and a place that is padding."""
    boxes = np.array([[[0.0, 0, 10, 10], [20, 20, 40, 40], [0, 0, 0, 0]]], np.float32)
    valid = np.array([[True, True, False]])
    return Objects(boxes, np.array([[3, 1, 0]], np.int32), valid)


# Compiled as a whole: operation by operation takes ten times as long.
drawn_regions = jax.jit(draw_regions, static_argnums=(4, 5))
losses_of_boxes = jax.jit(box_losses, static_argnums=(4, 5))
targets_of_masks = jax.jit(mask_targets, static_argnums=2)


def lowest_first() -> Draw:
    return Draw(jax.random.key(0), roi_priority=np.arange(16, dtype=np.uint32))


def test_objects_are_regions_themselves_and_leave_a_cascade():
    numbers = dataclasses.replace(settings.CASCADE, samples=6, most_positive=4)
    boxes = jnp.array([[[0.0, 0, 10, 9], [50, 50, 60, 60], [20, 20, 40, 30]]])
    valid = jnp.array([[True, True, True]])
    objects, drawn = two_objects(), lowest_first()
    regions = drawn_regions(boxes, valid, objects, drawn, 0, numbers)
    sample = regions.sample
    # Objects 0 and 1, candidates 0 (overlap .9) and 2 (overlap .5); then background.
    np.testing.assert_array_equal(sample.index[0, :5], [0, 1, 3, 5, 4])
    np.testing.assert_array_equal(sample.positive[0], [1, 1, 1, 1, 0, 0])
    np.testing.assert_array_equal(sample.valid[0], [1, 1, 1, 1, 1, 0])
    np.testing.assert_array_equal(regions.object[0, :4], [0, 1, 0, 1])
    np.testing.assert_array_equal(regions.is_object[0], [1, 1, 0, 0, 0, 0])
    sizes, stage = jnp.array([[100, 100]]), numbers.stages[0]
    move = jax.jit(refine, static_argnums=(3, 4))
    moved, usable = move(regions, jnp.zeros((1, 6, 4)), sizes, stage, numbers)
    np.testing.assert_array_equal(usable[0], [0, 0, 1, 1, 1, 0])
    np.testing.assert_allclose(moved, regions.boxes, atol=1e-5)
    # A stricter stage has one positive less.
    regions = drawn_regions(boxes, valid, objects, drawn, 1, numbers)
    assert regions.sample.positive.sum() == 3


@pytest.mark.parametrize("low_quality, expected", [(False, 0), (True, 1)])
def test_an_object_takes_its_best_region_from_another(low_quality, expected):
    numbers = dataclasses.replace(settings.FASTER, low_quality=low_quality, samples=4)
    # The region is object 0 itself, and 10/18 of object 1, whose best it is.
    boxes = np.array([[[0.0, 0, 10, 10], [0, 0, 10, 18], [0, 0, 0, 0]]], np.float32)
    objects = two_objects()._replace(boxes=boxes)
    regions = drawn_regions(
        boxes[:, :1], np.array([[True]]), objects, lowest_first(), 0, numbers
    )
    np.testing.assert_array_equal(regions.sample.index[0], [0, 1, 3, 0])
    np.testing.assert_array_equal(regions.object[0, :3], [0, 1, expected])


def test_box_losses_of_class_specific_and_agnostic_heads():
    regions = Regions(
        jnp.array([[[0.0, 0, 10, 10], [50, 50, 60, 60], [0, 0, 1, 1]]]),
        Sample(
            jnp.array([[0, 4, 0]]),
            jnp.array([[True, True, False]]),
            jnp.array([[True, False, False]]),
        ),
        jnp.array([[0, 0, 0]]),
        jnp.array([[True, False, False]]),
    )
    numbers, stage = settings.FASTER, settings.StageSettings()
    logits = jnp.zeros((1, 3, 6))
    # The object is of class 3 of five; its region is its box: nothing to correct.
    deltas = jnp.zeros((1, 3, 5, 4)).at[0, 0, 3].set(0.5).at[0, 0, 1].set(9)
    objects = two_objects()
    found = losses_of_boxes(logits, deltas, regions, objects, stage, numbers)
    assert found["class"] == pytest.approx(np.log(6), 1e-5)
    assert found["box"] == pytest.approx(4 * 0.5 / 2, 1e-5)
    assert found["accuracy"] == 0
    agnostic = jnp.full((1, 3, 1, 4), 0.25)
    smooth = dataclasses.replace(numbers, beta=1.0)
    found = losses_of_boxes(logits, agnostic, regions, objects, stage, smooth)
    assert found["box"] == pytest.approx(4 * 0.25**2 / 2 / 2, 1e-5)


@pytest.mark.parametrize(
    "name, stages",
    [
        ("mask_rcnn_w18", 1),
        pytest.param("cascade_mask_rcnn_w32", 3, marks=pytest.mark.slow),
    ],
)
def test_masks_of_regions(name, stages):
    stored, objects = golden.arrays(name), golden.objects(name)
    for stage in range(stages):
        starts = [f"train/sample{stage}_image{index}/" for index in range(2)]
        boxes = [stored[f"{start}pos_boxes_float64_run"] for start in starts]
        numbers = [stored[f"{start}pos_gt"] for start in starts]
        count = max(map(len, boxes))
        padded = np.zeros((2, count, 4), np.float32)
        object_of = np.zeros((2, count), np.int32)
        for index in range(2):
            padded[index, : len(boxes[index])] = boxes[index]
            object_of[index, : len(boxes[index])] = numbers[index]
        regions = Regions(padded, None, object_of, None)
        frames = objects.frames.astype(np.float32)
        found = targets_of_masks(regions, objects._replace(frames=frames), count)
        found = np.concatenate([found[i, : len(boxes[i])] for i in range(2)])
        bits = stored[f"train/mask_targets{stage}_bits"]
        expected = golden.unpacked(bits, (len(found), SIDE, SIDE))
        np.testing.assert_array_equal(found, expected)


def test_a_mask_in_the_frame_of_its_box_needs_no_frame():
    objects = two_objects()
    masks = np.zeros((1, 3, 8, 8), np.uint8)
    masks[0, 0, :, 4:] = 1  # the right half of object 0
    regions = Regions(objects.boxes[:, :1], None, np.zeros((1, 1), np.int32), None)
    found = targets_of_masks(regions, objects._replace(masks=masks), 1)[0, 0]
    np.testing.assert_array_equal(found, np.tile(np.arange(28) >= 14, (28, 1)))


def test_mask_loss_reads_the_class_of_the_object_in_positives():
    objects = two_objects()
    sample = Sample(None, None, jnp.array([[True, False]]))
    regions = Regions(None, sample, jnp.array([[1, 0]]), None)
    logits = jnp.zeros((1, 2, 28, 28, 5)).at[0, 0, ..., 1].set(3.0)
    targets = jnp.ones((1, 2, 28, 28), bool)
    found = mask_loss(logits, regions, objects, targets)
    assert found == pytest.approx(np.log1p(np.exp(-3)), 1e-5)
