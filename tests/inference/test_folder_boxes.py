"""Landmarks of photographs: in given boxes, in found faces, and in none."""

import json

import cv2
import numpy as np
import pytest

from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.errors import ConfigError, DataError
from hrnet_jax.imaging.boxes import box_of_points
from hrnet_jax.inference.boxes import read_boxes
from hrnet_jax.inference.folder import find_images, predict_files
from hrnet_jax.keypoints import landmarks
from hrnet_jax.registry import get_spec

BOX = np.array([[10, 20, 60, 70]], np.float32)


class FakeRun:
    """Points are the corners of each box, moved by two pixels to the right."""

    def __init__(self, model="landmarks/w18", tight=True, by=(2, 0)):
        self.about = {"model": model}
        info = DatasetInfo("some", 0, (), (), tight_boxes=tight)
        self.task = get_spec(model).task_class(None, info)
        self.task.save = self.save
        self.by = by
        self.boxes = []

    def predict(self, image, boxes=None):
        self.boxes.append(boxes)
        if boxes is None:
            return {}
        return {"boxes": boxes, "points": boxes.reshape(-1, 2, 2) + self.by}

    def save_large(self, folder, name, image, **only):
        return None

    def for_sizes(self, sizes):
        return self

    def save(self, folder, name, image, prediction):
        if not self.task.takes_boxes:
            return {}
        rows = zip(prediction["boxes"], prediction["points"], strict=True)
        return {"found": [{"box": b.tolist(), "points": p.tolist()} for b, p in rows]}


@pytest.fixture
def images(tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    for name in ("a.png", "b.png"):
        cv2.imwrite(str(photos / name), np.full((80, 100, 3), 90, np.uint8))
    return find_images(photos)


@pytest.fixture
def finds(monkeypatch):
    """Sets what the detector finds."""

    def find(boxes):
        boxes = np.asarray(boxes, np.float32).reshape(-1, 4)
        monkeypatch.setattr(landmarks, "find_faces", lambda image: boxes)

    return find


def predicted(run, images, tmp_path, **options):
    report = predict_files(run, images, tmp_path / "out", progress=False, **options)
    assert json.loads((tmp_path / "out" / "summary.json").read_text()) == report
    return [entry.get("found") for entry in report["images"]]


def test_given_boxes_are_looked_into_as_they_are(images, tmp_path, finds):
    finds([[0, 0, 9, 9]])
    run = FakeRun()
    boxes = {"a": np.repeat(BOX, 2, 0), "b.png": np.zeros((0, 4), np.float32)}
    found = predicted(run, images, tmp_path, boxes=boxes)
    np.testing.assert_array_equal(run.boxes[0], boxes["a"])
    assert len(run.boxes) == 2
    assert [len(entry) for entry in found] == [2, 0]


def test_found_faces_are_looked_into_twice(images, tmp_path, finds):
    finds(BOX)
    run = FakeRun()
    found = predicted(run, images[:1], tmp_path)
    first = BOX.reshape(-1, 2, 2) + [2, 0]
    assert [boxes.tolist() for boxes in run.boxes] == [
        BOX.tolist(),
        [box_of_points(first[0]).tolist()],
    ]
    assert found == [[{"box": [12, 20, 62, 70], "points": [[14, 20], [64, 70]]}]]


def test_points_far_from_their_box_do_not_move_it(images, tmp_path, finds):
    finds(BOX)
    run = FakeRun(by=(45, 0))
    predicted(run, images[:1], tmp_path)
    np.testing.assert_array_equal(run.boxes[1], BOX)


def test_boxes_that_points_do_not_tell_are_kept(images, tmp_path, finds):
    finds(BOX)
    run = FakeRun(tight=False)
    predicted(run, images[:1], tmp_path)
    assert [boxes.tolist() for boxes in run.boxes] == [BOX.tolist()]


def test_an_image_without_a_face_has_nothing_found(images, tmp_path):
    # The detector itself, on blank images.
    assert predicted(FakeRun(), images, tmp_path) == [[], []]


def test_pose_models_take_the_whole_image(images, tmp_path):
    run = FakeRun("pose/w32")
    predicted(run, images[:1], tmp_path)
    assert [boxes.tolist() for boxes in run.boxes] == [[[-0.5, -0.5, 99.5, 79.5]]]


def test_other_models_get_no_boxes(images, tmp_path):
    run = FakeRun("segmentation/w18")
    assert predicted(run, images, tmp_path) == [None, None]
    assert run.boxes == [None, None]
    with pytest.raises(DataError, match="segmentation/w18 looks at whole images; only"):
        predicted(run, images, tmp_path, boxes={"a": BOX, "b": BOX})


def test_a_box_outside_its_image_is_named(images, tmp_path):
    boxes = {"a.png": BOX, "b.png": BOX + 100}
    run = FakeRun()
    report = predict_files(run, images, tmp_path / "out", boxes=boxes, progress=False)
    assert [entry["name"] for entry in report["images"]] == ["a"]
    (failed,) = report["failed"]
    assert failed["image"] == str(images[1])
    assert "b.png: box [110.0, 120.0, 160.0, 170.0] is outside" in failed["error"]


def test_a_task_with_one_picture_leaves_none_out(images, tmp_path):
    with pytest.raises(ConfigError) as caught:
        predict_files(FakeRun(), images, tmp_path / "out", only=["label"])
    assert str(caught.value) == (
        "only=label: landmarks/w18 does not write label; it writes one kind of file "
        "for each image, so leave this out"
    )


def test_every_image_needs_boxes(images, tmp_path):
    run = FakeRun()
    with pytest.raises(
        DataError, match="no boxes for .*b.png; there are some for a.png"
    ):
        predicted(run, images, tmp_path, boxes={"a.png": BOX})
    assert not run.boxes


def test_a_summary_gives_the_boxes_of_the_next_run(images, tmp_path, finds):
    finds(BOX)
    found = predicted(FakeRun(), images, tmp_path)
    run = FakeRun()
    boxes = read_boxes(tmp_path / "out" / "summary.json")
    again = predicted(run, images, tmp_path, boxes=boxes)
    assert again == found
