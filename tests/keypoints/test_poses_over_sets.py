"""Evaluation of poses over whole sets: real ones, and through the loop."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from hrnet_jax import runtime
from hrnet_jax.data.persons.annotations import annotations_of
from hrnet_jax.data.persons.view import PersonRecords
from hrnet_jax.data.points.person_sets import LSP14
from hrnet_jax.data.records import open_records
from hrnet_jax.data.sources.lsp import LSP, LSPOptions
from hrnet_jax.data.truth import Persons, Truth
from hrnet_jax.keypoints.pose_metrics import PoseEvaluator
from hrnet_jax.training import evaluation
from tests.data import person_files
from tests.data.person_files import prepare
from tests.keypoints.test_pose_metrics import OTHER, SIZE, evaluated, to_image


def test_annotations_as_predictions_are_perfect(real_data, tmp_path):
    folder = real_data / "samples" / "coco"
    if not folder.is_dir():
        pytest.skip(f"no {folder}")
    info = prepare("coco_keypoints", folder, tmp_path)
    for split in ("train", "val"):
        examples = PersonRecords(open_records("coco_keypoints", tmp_path, split))
        truth = examples.truth()
        points = truth.persons.points[truth.person]
        known = truth.persons.annotated[truth.person] > 0
        # A network puts points that nobody marked somewhere in the box.
        middle = (truth.box[:, None, :2] + truth.box[:, None, 2:]) / 2
        points = np.where(known[..., None], points, middle)
        count = len(points)
        batch = {
            "center": np.zeros((count, 2), np.float32),
            "scale": np.ones(count, np.float32),
            "example_valid": np.ones(count, bool),
            "image_id": [*truth.examples],
        }
        predictions = {
            "points": points.astype(np.float32),
            "scores": np.ones((count, 17), np.float32),
        }
        evaluator = evaluated(info, truth, batch, predictions, count)
        metrics = evaluator.compute()
        assert metrics.pop("score") == pytest.approx(1)
        assert all(value == pytest.approx(1) for value in metrics.values())


class Guesses:
    """A task that finds what a crop was told, as far as the loop asks."""

    reads_truth = True
    totals = pixel_maps = map_keys = ()
    groups_images = few_shapes = False

    def __init__(self, info):
        self._info = info

    def eval_transform(self, sample):
        center = (sample["box"][:2] + sample["box"][2:]) / 2
        return {
            "image": np.zeros((8, 8, 3), np.uint8),
            "image_id": sample["image_id"],
            "center": center.astype(np.float32),
            "scale": np.float32(0.5),
            "told": ((sample["points"] - center) / 0.5).astype(np.float32),
        }

    def predict(self, variables, batch):
        scores = jnp.ones(batch["told"].shape[:2])
        return {"points": batch["told"], "scores": scores}

    def evaluator(self, per_example=False, truth=None):
        return PoseEvaluator(self._info, truth, to_image, SIZE)


@pytest.mark.parametrize(("devices", "batch_size"), [(1, 1), (2, 4)])
def test_the_loop_shows_everybody_to_the_evaluator(devices, batch_size, tmp_path):
    source = person_files.write_coco(tmp_path / "source")
    info = prepare("keypoints_coco", source, tmp_path, sigmas=(0.05,))
    examples = person_files.persons("keypoints_coco", tmp_path)
    mesh = runtime.make_mesh(data=devices)
    task = Guesses(info)
    predict = evaluation.make_predict_step(task, mesh)
    metrics = evaluation.evaluator_over(
        predict, task, {}, examples, mesh, batch_size=batch_size
    ).compute()
    assert metrics["score"] == metrics["AP"] == pytest.approx(1)


def test_the_mean_posture_has_its_known_figures(real_data):
    """Of 120 athletes, placed in their boxes: 4.6 % of torsos, 28.4 % of boxes."""
    folder = real_data / "lspet"
    if not folder.is_dir():
        pytest.skip(f"no {folder}")
    splits = LSP(folder, LSPOptions()).splits()
    found = {split: annotations_of(items, 14) for split, items in splits.items()}

    def corners(split):
        return found[split]["box"][:, None, :2], found[split]["box"][:, None, 2:]

    low, high = corners("train")
    mean = ((found["train"]["points"] - low) / (high - low)).mean(0)
    val = found["val"]
    count = len(val["first"]) - 1
    keys = [field.name for field in dataclasses.fields(Persons)][1:]
    truth = Truth(
        examples=tuple(val["image_id"]),
        image=np.arange(count),
        person=np.arange(count),
        box=val["box"],
        box_score=np.ones(count),
        image_names=tuple(val["image_id"]),
        image_numbers=val["image_number"],
        persons=Persons(np.arange(count), *(val[key] for key in keys)),
    )
    low, high = corners("val")
    batch = {
        "center": np.zeros((count, 2), np.float32),
        "scale": np.ones(count, np.float32),
        "example_valid": np.ones(count, bool),
        "image_id": [*truth.examples],
    }
    predictions = {
        "points": (low + mean * (high - low)).astype(np.float32),
        "scores": np.ones((count, 14), np.float32),
    }
    info = dataclasses.replace(
        OTHER,
        point_names=LSP14.names,
        point_flip_pairs=LSP14.flip_pairs,
        normalizers=LSP14.normalizers,
        uncounted_points=(),
    )
    metrics = evaluated(info, truth, batch, predictions, count).compute()
    assert round(metrics["pck@0.2/torso"], 1) == 4.6
    assert round(metrics["pck@0.2/box"], 1) == 28.4 == round(metrics["score"], 1)
