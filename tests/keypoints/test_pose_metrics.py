"""Evaluation of poses: which metric a set has, batches, devices, boxes, reports."""

import csv
import dataclasses
import json

import numpy as np
import pytest

from hrnet_jax import runtime
from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.data.points.person_sets import COCO17, MPII16
from hrnet_jax.data.stream.feeding import to_global
from hrnet_jax.data.truth import Persons, Truth
from hrnet_jax.errors import ConfigError, DataError
from hrnet_jax.keypoints import oks
from hrnet_jax.keypoints.pose_metrics import PoseEvaluator, crop_areas
from hrnet_jax.tasks.coco_scores import score

SIZE = (64, 48)
COCO = DatasetInfo(
    "coco",
    0,
    (),
    (),
    point_names=COCO17.names,
    point_flip_pairs=COCO17.flip_pairs,
    normalizers=COCO17.normalizers,
    point_sigmas=COCO17.sigmas,
)
MPII = dataclasses.replace(
    COCO,
    name="mpii",
    point_names=MPII16.names,
    point_flip_pairs=MPII16.flip_pairs,
    normalizers=MPII16.normalizers,
    point_sigmas=(),
    uncounted_points=MPII16.uncounted,
    head_sizes=True,
)
OTHER = dataclasses.replace(MPII, name="other", head_sizes=False)


def make_truth(points, given=False):
    """Twelve persons in five images, some only partly annotated; one image is empty."""
    rng = np.random.default_rng(points)
    count = 12
    xy = rng.uniform(0, 60, (count, points, 2)) + rng.uniform(20, 400, (count, 1, 2))
    annotated = (rng.random((count, points)) < 0.8).astype(np.uint8)
    annotated[:, :3] = 1
    image = np.sort(rng.integers(0, 5, count)).astype(np.int32)
    low, high = xy.min(1), xy.max(1)
    persons = Persons(
        image=image,
        points=xy,
        visible=annotated,
        annotated=annotated,
        bbox=np.concatenate([low, high - low], 1),
        area=rng.uniform(1500, 12000, count),
        head_size=rng.uniform(8, 12, count),
        crowd=np.zeros(count, np.uint8),
        number=np.arange(count),
    )
    boxes = np.concatenate([low, high], 1)
    scores = rng.random(count) if given else np.ones(count)
    return Truth(
        examples=tuple(f"{image[k]}#{k}" for k in range(count)),
        image=image,
        person=np.full(count, -1) if given else np.arange(count),
        box=boxes,
        box_score=scores,
        image_names=tuple("abcdef"),
        image_numbers=np.array([31, 7, 12, 99, 5, 1]),
        persons=persons,
    )


def to_image(points, center, scale):
    return points * scale[:, None, None] + center[:, None]


def made(truth, noise=3.0, seed=0):
    """A batch of all examples and predictions near the truth, in crops."""
    rng = np.random.default_rng(seed)
    xy = truth.persons.points
    count = len(xy)
    batch = {
        "center": xy.mean(1).astype(np.float32),
        "scale": rng.uniform(0.4, 0.6, count).astype(np.float32),
        "example_valid": np.ones(count, bool),
        "image_id": [*truth.examples],
    }
    moved = xy + rng.normal(0, noise, xy.shape)
    crop = (moved - batch["center"][:, None]) / batch["scale"][:, None, None]
    predictions = {
        "points": crop.astype(np.float32),
        "scores": rng.random(xy.shape[:2]).astype(np.float32),
    }
    return batch, predictions


def evaluated(info, truth, batch, predictions, size=12, devices=1, **options):
    evaluator = PoseEvaluator(info, truth, to_image, SIZE, **options)
    mesh = runtime.make_mesh(data=devices)
    count = len(batch["image_id"])
    for first in range(0, count, size):
        part = slice(first, first + size)
        rows = {key: value[part] for key, value in (batch | predictions).items()}
        rows = to_global(rows, mesh)
        evaluator.update(rows, {key: rows.pop(key) for key in predictions})
    return evaluator


def errors_of(truth, batch, predictions, divisor):
    found = to_image(
        *(
            np.float64(x)
            for x in (predictions["points"], batch["center"], batch["scale"])
        )
    )
    distance = np.linalg.norm(found - truth.persons.points, axis=2)
    return np.where(truth.persons.annotated > 0, distance / divisor[:, None], np.nan)


def test_sets_with_sigmas_have_average_precision():
    truth = make_truth(17)
    batch, predictions = made(truth)
    metrics = evaluated(COCO, truth, batch, predictions).compute()
    # Nobody is alike, so the library can be asked at once.
    found = to_image(
        *(
            np.float64(x)
            for x in (predictions["points"], batch["center"], batch["scale"])
        )
    )
    persons = truth.persons
    numbers = truth.image_numbers[truth.image]
    expected = score(
        [{"id": int(number)} for number in truth.image_numbers],
        [
            {
                "image_id": int(numbers[k]),
                "category_id": 1,
                "bbox": persons.bbox[k].tolist(),
                "area": persons.area[k],
                "iscrowd": 0,
                "num_keypoints": int(persons.annotated[k].sum()),
                "keypoints": np.c_[persons.points[k], persons.annotated[k]].ravel(),
            }
            for k in range(12)
        ],
        [
            {
                "image_id": int(numbers[k]),
                "category_id": 1,
                "keypoints": np.c_[found[k], np.ones(17)].ravel().tolist(),
                "score": oks.rescored(
                    np.ones(1), np.float64(predictions["scores"][k : k + 1])
                )[0],
            }
            for k in range(12)
        ],
        1,
        "keypoints",
        COCO17.sigmas,
    ).named()
    assert metrics == {"score": expected["AP"], **expected}
    assert 0.3 < metrics["AP"] < 1


def test_sets_with_head_sizes_have_pckh():
    truth = make_truth(16)
    batch, predictions = made(truth)
    metrics = evaluated(MPII, truth, batch, predictions).compute()
    errors = errors_of(truth, batch, predictions, truth.persons.head_size)
    counted = np.delete(errors, [6, 7], 1)
    known = np.isfinite(counted)
    for threshold in (0.5, 0.1, 0.11):
        expected = 100 * (counted[known] <= threshold).mean()
        assert metrics[f"pckh@{threshold}"] == pytest.approx(expected)
    assert metrics["score"] == metrics["pckh@0.5"] and 20 < metrics["score"] < 100
    wrists = [
        100 * np.mean(errors[np.isfinite(errors[:, k]), k] <= 0.5) for k in (10, 15)
    ]
    assert metrics["pckh@0.5/wrist"] == pytest.approx(np.mean(wrists))
    assert "pckh@0.5/pelvis" not in metrics and "AP" not in metrics


def test_other_sets_have_the_share_of_correct_points():
    truth = make_truth(16)
    batch, predictions = made(truth, noise=8.0)
    metrics = evaluated(OTHER, truth, batch, predictions).compute()
    sides = truth.persons.bbox[:, 2:].max(1)
    errors = np.delete(errors_of(truth, batch, predictions, sides), [6, 7], 1)
    known = np.isfinite(errors)
    expected = 100 * (errors[known] <= 0.1).mean()
    assert metrics["pck@0.1/box"] == pytest.approx(expected)
    assert metrics["score"] == metrics["pck@0.2/box"]
    # Who lacks a shoulder or hip has no torso.
    both = truth.persons.annotated[:, [13, 2]].all(1)
    torso = np.linalg.norm(
        truth.persons.points[:, 13] - truth.persons.points[:, 2], axis=1
    )
    errors = errors_of(truth, batch, predictions, np.where(both, torso, np.nan))
    errors = np.delete(errors, [6, 7], 1)
    expected = 100 * (errors[np.isfinite(errors)] <= 0.2).mean()
    assert not both.all()
    assert metrics["pck@0.2/torso"] == pytest.approx(expected)


@pytest.mark.parametrize("info", [COCO, MPII], ids=["ap", "pckh"])
def test_any_cut_into_batches_over_any_devices_gives_the_same(info):
    truth = make_truth(len(info.point_names))
    batch, predictions = made(truth)
    expected = evaluated(info, truth, batch, predictions).compute()
    # Another order, and padding in between.
    order = np.random.default_rng(1).permutation(12)
    order = np.insert(order, 5, [3, 3, 4, 4])
    shuffled = {key: np.asarray(value)[order] for key, value in batch.items()}
    shuffled["image_id"] = shuffled["image_id"].tolist()
    shuffled["example_valid"][5:9] = False
    moved = {key: value[order] for key, value in predictions.items()}
    moved["points"][5:9] = np.nan
    for size, devices in ((1, 1), (4, 2), (16, 8)):
        found = evaluated(info, truth, shuffled, moved, size, devices)
        assert found.compute() == expected
        assert found.worst(3) == evaluated(info, truth, batch, predictions).worst(3)


def test_persons_who_are_alike_count_once():
    truth = make_truth(17)
    truth = dataclasses.replace(truth, image=np.zeros(12, np.int32))
    truth.persons.image[:] = 0
    batch, predictions = made(truth, noise=0.1)
    predictions["scores"][:] = np.linspace(0.9, 0.3, 12)[:, None]
    # The last two are found where the first is.
    for key in ("center", "scale"):
        batch[key][-2:] = batch[key][0]
    predictions["points"][-2:] = predictions["points"][0]
    alike = evaluated(COCO, truth, batch, predictions)
    apart = evaluated(COCO, truth, batch, predictions, same_person=1.0)
    assert len(alike._kept) == 10 and len(apart._kept) == 12
    assert alike.compute()["AR"] == apart.compute()["AR"] == pytest.approx(10 / 12)


def test_given_boxes_are_compared_with_everybody():
    truth = make_truth(17, given=True)
    # Two persons in an image in which nothing was found.
    lost = dataclasses.replace(truth.persons, image=truth.persons.image.copy())
    lost.image[-2:] = 5
    truth = dataclasses.replace(truth, persons=lost)
    batch, predictions = made(truth, noise=0.01)
    evaluator = evaluated(COCO, truth, batch, predictions)
    assert evaluator.compute()["AR"] == pytest.approx(10 / 12)
    # Those of the lost ones are like nobody.
    assert set(evaluator.worst(2)) == {10, 11}
    assert "--detections" not in " ".join(evaluator.remarks())
    own = make_truth(17)
    assert "--detections" in evaluated(COCO, own, *made(own)).remarks()[0]
    with pytest.raises(ConfigError, match="data set 'mpii' has no sigmas for it"):
        PoseEvaluator(MPII, make_truth(16, given=True), to_image, SIZE)


@pytest.mark.parametrize("info", [COCO, MPII, OTHER], ids=["ap", "pckh", "pck"])
def test_a_report_has_tables_and_the_results_for_a_server(info, tmp_path):
    truth = make_truth(len(info.point_names))
    batch, predictions = made(truth)
    info = dataclasses.replace(info, point_category=4)
    evaluator = evaluated(info, truth, batch, predictions)
    evaluator.report(tmp_path)
    with (tmp_path / "persons.csv").open(newline="") as file:
        (_, quality, _), *rows = csv.reader(file)
    assert quality == {"coco": "oks", "mpii": "minus_error/head"}.get(
        info.name, "minus_error/box"
    )
    values = [float(row[1]) for row in rows]
    assert len(rows) == 12 and values == sorted(values)
    assert rows[0][0] == truth.examples[evaluator.worst(1)[0]]
    lines = (tmp_path / "points.csv").read_text().splitlines()
    assert len(lines) == len(info.point_names) + 1
    assert lines[0].startswith("point,persons,mean_percent/")
    results = json.loads((tmp_path / "coco_keypoints.json").read_text())
    assert len(results) == 12
    found = {one["image_id"] for one in results}
    assert found == set(truth.image_numbers[truth.image].tolist())
    assert {one["category_id"] for one in results} == {4}
    at = [one["keypoints"][0] for one in results]
    first = to_image(predictions["points"], batch["center"], batch["scale"])[:, 0, 0]
    np.testing.assert_allclose(sorted(at), np.sort(first), atol=1e-3)
    assert all(len(one["keypoints"]) == 3 * len(info.point_names) for one in results)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda b, p: b["image_id"].__setitem__(3, "x#9"),
            r"x#9 is no person of the s",
        ),
        (
            lambda b, p: p["points"].__setitem__((3, 0), np.nan),
            r"#3: a predicted point",
        ),
        (
            lambda b, p: p["scores"].__setitem__((3, 0), np.inf),
            r"#3: a predicted point",
        ),
        (
            lambda b, p: b["image_id"].__setitem__(3, b["image_id"][2]),
            r"12 of 12 persons were evaluated \(.#2 is evaluated twice\); expected eve",
        ),
        (
            lambda b, p: b["example_valid"].__setitem__(3, False),
            r"11 of 12 persons were evaluated \(.#3 is missing\)",
        ),
    ],
)
def test_what_is_wrong_with_an_example_is_named(change, message):
    truth = make_truth(17)
    batch, predictions = made(truth)
    change(batch, predictions)
    with pytest.raises(DataError, match=message):
        evaluated(COCO, truth, batch, predictions).compute()


def test_a_length_of_nothing_is_named():
    truth = make_truth(16)
    truth.persons.head_size[4] = 0
    with pytest.raises(DataError, match=r"#4: its head is 0 pixels, by which errors"):
        evaluated(MPII, truth, *made(truth)).compute()


def test_a_split_without_annotations_has_results_alone(tmp_path):
    truth = make_truth(17, given=True)
    truth.persons.annotated[:] = 0
    evaluator = evaluated(COCO, truth, *made(truth))
    assert evaluator.compute() == {"persons": 12 / 6}
    assert evaluator.remarks()[0].startswith("nobody is annotated in this split")
    evaluator.report(tmp_path)
    assert len(json.loads((tmp_path / "coco_keypoints.json").read_text())) == 12


def test_areas_of_crops_are_those_of_the_published_scales():
    scale = np.array([0.5, 1.25])
    np.testing.assert_allclose(
        crop_areas(scale, (256, 192)), (200 * scale) ** 2 * 256 / 192
    )
    both = np.array([[0.5, 2 / 3], [1.0, 1.5]])
    np.testing.assert_allclose(
        crop_areas(both, (256, 192)), (200 * both[:, 0]) * (200 * both[:, 1])
    )
