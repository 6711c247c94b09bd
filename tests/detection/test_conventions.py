"""Boxes that go into a detector and come out of it, whatever way it measures them."""

import jax.numpy as jnp
import numpy as np
import pytest

from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.detection.exporting import named_candidates
from hrnet_jax.detection.postprocess import Candidates, Detections
from hrnet_jax.detection.task import DetectionTask
from hrnet_jax.registry import create_model

INFO = DatasetInfo("mine", 0, (), (), box_class_names=("a", "b"), category_ids=(1, 2))
# An object of the pixels 3 to 9 and 5 to 6, which is 7 wide and 2 high.
EDGES = np.array([[[3, 5, 10, 7], [0, 0, 0, 0]]], np.float32)
PIXELS = np.array([[[3, 5, 9, 6], [0, 0, 0, 0]]], np.float32)
VALID = np.array([[True, False]])


def make_task(conventions):
    model = create_model(
        "detection/mask_rcnn_w18_small_v1", num_classes=2, conventions=conventions
    )
    return DetectionTask(model, INFO)


@pytest.mark.parametrize(("conventions", "inside"), [("modern", EDGES), ("v1", PIXELS)])
def test_boxes_end_at_edges_outside_and_at_pixels_inside_of_v1(
    conventions, inside, monkeypatch
):
    task = make_task(conventions)
    masks = np.ones((1, 2, 4, 4), np.uint8)
    batch = {"boxes": EDGES, "box_class": VALID * 1, "box_valid": VALID, "masks": masks}
    objects = task._objects(batch)
    np.testing.assert_array_equal(objects.boxes[VALID], inside[VALID])
    # Masks were cut out of the boxes of the file.
    frames = objects.boxes if objects.frames is None else objects.frames
    np.testing.assert_array_equal(frames, EDGES)

    scores = np.float32([[0.5, 0]])
    found = Detections(jnp.asarray(inside), scores, VALID * 1, jnp.asarray(VALID))
    monkeypatch.setattr(task, "_apply", lambda *_: found)
    image = np.zeros((1, 32, 32, 3), np.uint8)
    boxes = task.predict({}, {"image": image})["boxes"]
    np.testing.assert_array_equal(boxes, EDGES)

    candidates = Candidates(
        jnp.asarray(inside), jnp.asarray(scores), jnp.asarray(VALID * 1), VALID, 2
    )
    decoded = task.decode(named_candidates(candidates), (32, 32))
    np.testing.assert_array_equal(decoded["boxes"][0, 0], EDGES[0, 0])
