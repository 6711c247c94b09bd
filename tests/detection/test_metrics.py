"""Average precision: by hand, and equal to pycocotools."""

import contextlib
import io
import json

import jax.numpy as jnp
import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.detection.metrics import CocoEvaluator
from hrnet_jax.detection.task import DetectionTask
from hrnet_jax.errors import DataError
from hrnet_jax.imaging import run_lengths
from hrnet_jax.registry import create_model
from hrnet_jax.training import evaluation
from tests.detection import evaluated

NAMES = ("cat", "dog")
INFO = DatasetInfo(
    name="pets",
    num_classes=0,
    class_names=(),
    palette=(),
    box_class_names=NAMES,
    category_ids=(3, 7),
    max_objects=3,
    object_masks=True,
)
# The names of the library's twelve numbers.
TWELVE = (
    *("AP", "AP50", "AP75", "APs", "APm", "APl"),
    *("AR1", "AR10", "AR100", "ARs", "ARm", "ARl"),
)
SIZE = (100, 200)


def batch_of(images, most=4, scale=1.0):
    """A batch of images, each a list of (box, class, crowd)."""
    count = len(images)
    batch = {
        "object_boxes": np.zeros((count, most, 4), np.float32),
        "object_area": np.zeros((count, most), np.float32),
        "box_class": np.zeros((count, most), np.int32),
        "box_valid": np.zeros((count, most), bool),
        "box_crowd": np.zeros((count, most), bool),
        "scale": np.full((count, 2), scale, np.float32),
        "original_size": np.tile(np.array(SIZE, np.int32), (count, 1)),
        "example_valid": np.ones(count, bool),
        "image_id": [f"image{k}" for k in range(count)],
        "image_number": [str(10 * k + 1) for k in range(count)],
        "object_masks": [],
    }
    for k, objects in enumerate(images):
        texts = []
        for n, (box, label, crowd) in enumerate(objects):
            x1, y1, x2, y2 = box
            batch["object_boxes"][k, n] = box
            batch["object_area"][k, n] = (x2 - x1) * (y2 - y1)
            batch["box_class"][k, n] = label
            batch["box_valid"][k, n], batch["box_crowd"][k, n] = not crowd, crowd
            bitmap = np.ones((y2 - y1, x2 - x1), bool)
            texts.append(run_lengths.encode(bitmap, SIZE, (y1, x1)))
        batch["object_masks"].append(" ".join(texts))
    return evaluated.on_devices(batch)


def predictions_of(images, most=4, scale=1.0):
    """Predictions, each image a list of (box, class, score)."""
    found = {
        "boxes": np.zeros((len(images), most, 4), np.float32),
        "scores": np.zeros((len(images), most), np.float32),
        "classes": np.zeros((len(images), most), np.int32),
        "valid": np.zeros((len(images), most), bool),
        "masks": np.ones((len(images), most, 8, 8), np.float32),
    }
    for k, objects in enumerate(images):
        for n, (box, label, score) in enumerate(objects):
            found["boxes"][k, n] = np.array(box) * scale
            found["classes"][k, n], found["scores"][k, n] = label, score
            found["valid"][k, n] = True
    return {key: jnp.asarray(value) for key, value in found.items()}


CAT, DOG = (10, 10, 50, 50), (60, 20, 100, 60)
PREDICTED = predictions_of([[], []])


def test_two_images_by_hand():
    """Two cats and a dog; one cat found exactly, one at IoU .75, the dog as a cat."""
    truth = [[(CAT, 0, False), (DOG, 1, False)], [(CAT, 0, False)]]
    # 40 x 30 of 40 x 40: IoU .75, which is right at the thresholds .50 to .75.
    found = [[(CAT, 0, 0.9), (DOG, 0, 0.5)], [((10, 10, 50, 40), 0, 0.8)]]
    evaluator = CocoEvaluator(INFO)
    evaluator.update(batch_of(truth), predictions_of(found))
    metrics = evaluator.compute()
    # Of cats: precision 1 up to recall 1 at six thresholds; at four only half of the
    # cats is found, by the first of three: precision 1 at 51 of 101 recalls.
    cats = (6 * 1 + 4 * 51 / 101) / 10
    assert metrics["AP/cat"] == pytest.approx(cats, abs=1e-12)
    assert metrics["AP/dog"] == 0
    assert metrics["AP"] == pytest.approx(cats / 2, abs=1e-12)
    assert metrics["AP50"] == metrics["AP75"] == 0.5
    assert metrics["AR100"] == pytest.approx((6 * 1 + 4 * 0.5) / 10 / 2, abs=1e-12)
    # All boxes are of 40 x 40 = 1600 pixels, so medium.
    assert metrics["APm"] == metrics["AP"]
    assert not {"APs", "APl", "ARs", "ARl"} & metrics.keys()
    assert evaluator.remarks() == [
        "no object is small (below 32x32): there is no APs",
        "no object is large (above 96x96): there is no APl",
    ]
    # The first image has one pair of two objects and two detections: 2 / 4.
    assert evaluator.worst(2) == [0, 1]


@pytest.mark.parametrize("masks", [False, True])
def test_nothing_predicted_is_0_with_a_remark(masks):
    evaluator = CocoEvaluator(INFO, masks=masks)
    evaluator.update(batch_of([[(CAT, 0, False)], []]), predictions_of([[], []]))
    metrics = evaluator.compute()
    assert metrics["AP"] == metrics["AR100"] == metrics["AP/cat"] == 0
    assert ("mask_AP" in metrics) == masks and not metrics.get("mask_AP")
    assert evaluator.remarks()[:2] == [
        "no object was predicted in any image, so all metrics are 0",
        "no object is annotated as dog (1 of 2 classes); left out of the means",
    ]


def test_crowds_and_images_without_objects():
    """What is in a crowd is no mistake; what is in an empty image is one."""
    inside, crowd = (120, 20, 160, 60), (110, 10, 190, 90)
    truth = [[(CAT, 0, False), (crowd, 0, True)], []]
    evaluator = CocoEvaluator(INFO)
    found = [[(CAT, 0, 0.5), (inside, 0, 0.9)], []]
    evaluator.update(batch_of(truth), predictions_of(found))
    assert evaluator.compute()["AP"] == 1.0
    evaluator = CocoEvaluator(INFO)
    found = [[(CAT, 0, 0.5)], [(inside, 0, 0.9)]]
    evaluator.update(batch_of(truth), predictions_of(found))
    # Recall 1 is reached behind a mistake of higher score: precision 1/2 everywhere.
    assert evaluator.compute()["AP"] == 0.5
    assert evaluator.worst(2) == [1, 0]


def test_of_equal_scores_the_image_of_the_lowest_number_comes_first():
    """As in pycocotools, and whatever order images are evaluated in."""
    batch = batch_of([[], [(CAT, 0, False)]]) | {"image_number": ["11", "2"]}
    evaluator = CocoEvaluator(INFO)
    evaluator.update(batch, predictions_of([[(DOG, 0, 0.5)], [(CAT, 0, 0.5)]]))
    # The right one of image 2 before the wrong one of image 11.
    assert evaluator.compute()["AP"] == 1.0
    evaluator = CocoEvaluator(INFO)
    batch = batch | {"image_number": ["1", "2"]}
    evaluator.update(batch, predictions_of([[(DOG, 0, 0.5)], [(CAT, 0, 0.5)]]))
    assert evaluator.compute()["AP"] == 0.5


def test_predictions_come_back_from_the_canvas():
    truth = batch_of([[(CAT, 0, False)]], scale=2.5)
    evaluator = CocoEvaluator(INFO, masks=True)
    evaluator.update(truth, predictions_of([[(CAT, 0, 0.9)]], scale=2.5))
    metrics = evaluator.compute()
    assert metrics["AP"] == metrics["mask_AP"] == 1.0


def test_every_image_is_counted_once():
    evaluator = CocoEvaluator(INFO, expected=3)
    batch, found = batch_of([[(CAT, 0, False)], []]), predictions_of([[], []])
    evaluator.update(batch, found)
    with pytest.raises(DataError, match=r"2 of 3 images .*record 2 is missing"):
        evaluator.compute()
    with pytest.raises(DataError, match="image0 was evaluated twice"):
        evaluator.update(batch, found)
    with pytest.raises(DataError, match="no image was evaluated"):
        CocoEvaluator(INFO).compute()
    # Padding is none.
    evaluator = CocoEvaluator(INFO, expected=1)
    padded = batch | {"example_valid": jnp.array([True, False])}
    evaluator.update(padded, found)
    assert evaluator.compute()["AP"] == 0


@pytest.mark.parametrize("lost", ["first", "last"])
def test_an_image_that_the_evaluation_does_not_see_is_an_error(lost, monkeypatch):
    """By the loop of the evaluation, which knows how many records there are."""
    batch = batch_of([[(CAT, 0, False)], []]) | {"record": jnp.array([0, 1])}
    seen = [lost != "first", lost != "last"]
    batch |= {"example_valid": jnp.array(seen)}
    monkeypatch.setattr(
        evaluation, "predictions_over", lambda *_, **__: [(batch, PREDICTED)]
    )
    task = DetectionTask(create_model("detection/fcos_w18", num_classes=2), INFO)
    records = range(2)
    evaluator = evaluation.evaluator_over(None, task, {}, records, None)
    missing = seen.index(False)
    with pytest.raises(DataError) as caught:
        evaluator.compute()
    assert str(caught.value) == (
        f"1 of 2 images were evaluated (record {missing} is missing); expected every "
        "one once"
    )


def test_a_prediction_that_is_not_finite_names_its_image():
    bad = predictions_of([[(CAT, 0, np.nan)]])
    with pytest.raises(DataError, match="image image0: a detection .* score nan"):
        CocoEvaluator(INFO).update(batch_of([[(CAT, 0, False)]]), bad)


def test_crowds_alone_are_no_annotations():
    evaluator = CocoEvaluator(INFO)
    evaluator.update(batch_of([[(CAT, 0, True)]]), predictions_of([[(CAT, 0, 0.9)]]))
    assert evaluator.compute() == {"detections": 1.0}
    assert "no object is annotated in this split" in evaluator.remarks()[0]


def test_a_split_without_annotations_leaves_the_files_for_a_server(tmp_path):
    evaluator = CocoEvaluator(INFO, masks=True)
    found = predictions_of([[(CAT, 1, 0.625)], []])
    evaluator.update(batch_of([[], []]), found)
    assert evaluator.compute() == {"detections": 0.5}
    assert "for a server" in evaluator.remarks()[0]
    evaluator.report(tmp_path)
    (box,) = json.loads((tmp_path / "coco_bbox.json").read_text())
    # The ids of the files: of the first image 1, of dogs 7.
    assert box == {"image_id": 1, "category_id": 7, "score": 0.625} | {
        "bbox": [10, 10, 40, 40]
    }
    (mask,) = json.loads((tmp_path / "coco_segm.json").read_text())
    whole = run_lengths.decode(mask["segmentation"]["counts"], SIZE)
    # But the corners, where the outermost cells fade.
    assert 1580 < whole[10:50, 10:50].sum() == whole.sum() <= 1600
    assert not (tmp_path / "classes.csv").exists()


def test_the_report_has_classes_and_the_worst_images_first(tmp_path):
    evaluator = CocoEvaluator(INFO)
    truth = [[(CAT, 0, False)], [(DOG, 1, False)]]
    evaluator.update(batch_of(truth), predictions_of([[(CAT, 0, 0.9)], []]))
    evaluator.report(tmp_path)
    assert (tmp_path / "classes.csv").read_text().splitlines() == [
        "class,objects,AP,AP50,AR100",
        "cat,1,1.0000,1.0000,1.0000",
        "dog,1,0.0000,0.0000,0.0000",
        "mean,2,0.5000,0.5000,0.5000",
    ]
    rows = (tmp_path / "images.csv").read_text().splitlines()
    assert rows[1:] == ["image1,1,0,0.0000", "image0,1,1,1.0000"]


def random_predictions(batch, rng, most=60, side=14):
    """Objects moved a little, of other classes at times, and boxes from nowhere."""
    count = len(batch["image_id"])
    found = {
        "boxes": np.zeros((count, most, 4), np.float32),
        "scores": rng.choice(np.linspace(0.1, 0.9, 17), (count, most)),
        "classes": rng.integers(0, 80, (count, most)),
        "valid": rng.random((count, most)) < 0.9,
        "masks": rng.random((count, most, side, side)).astype(np.float32) + 0.3,
    }
    scale = np.asarray(batch["scale"])[:, None, [1, 0, 1, 0]]
    for k in range(count):
        objects = np.asarray(batch["object_boxes"])[k]
        objects = objects[objects.any(1)]
        for n in range(most):
            if n < len(objects) * 2:
                box = objects[n % len(objects)]
                moved = box + rng.normal(0, 0.05, 4) * np.tile(box[2:] - box[:2], 2)
                if rng.random() < 0.8:
                    label = np.asarray(batch["box_class"])[k, n % len(objects)]
                    found["classes"][k, n] = label
            else:
                corner = rng.uniform(0, 300, 2)
                moved = np.concatenate([corner, corner + rng.uniform(5, 200, 2)])
            found["boxes"][k, n] = moved
    found["boxes"] *= scale
    return {key: jnp.asarray(value) for key, value in found.items()}


def oracle_numbers(truth, results, kind):
    """The twelve numbers of pycocotools; it prints."""
    with contextlib.redirect_stdout(io.StringIO()):
        counting = COCOeval(truth, truth.loadRes(str(results)), kind)
        counting.evaluate()
        counting.accumulate()
        counting.summarize()
    return counting.stats


@pytest.mark.slow
@pytest.mark.parametrize("split", ["train", "val"])
def test_random_predictions_count_as_in_pycocotools(real_data, tmp_path, split):
    """Against the annotation files themselves, read by pycocotools."""
    folder, info = evaluated.prepared_samples(real_data, tmp_path / "data")
    evaluator = CocoEvaluator(info, masks=True, expected=8)
    rng = np.random.default_rng(0)
    for batch in evaluated.batches(folder, "coco_detection", split, 3):
        batch = evaluated.on_devices(batch)
        evaluator.update(batch, random_predictions(batch, rng))
    metrics = evaluator.compute()
    assert 0.1 < metrics["AP50"] < 0.9 and 0 < metrics["mask_AP50"] < 0.9
    name = f"samples/coco/annotations/instances_{split}2017.json"
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(real_data / name))
    for kind, prefix in (("bbox", ""), ("segm", "mask_")):
        results = evaluator._results(kind)
        numbers = sorted(one.number for one in evaluator._found)
        for entry in results:
            entry["image_id"] = numbers[entry["image_id"] - 1]
            entry["category_id"] = info.category_ids[entry["category_id"] - 1]
        path = tmp_path / f"{kind}.json"
        path.write_text(json.dumps(results))
        wanted = oracle_numbers(truth, path, kind)
        for key, value in zip(TWELVE, wanted, strict=True):
            assert metrics[f"{prefix}{key}"] == pytest.approx(value, abs=1e-12), key


@pytest.mark.slow
@pytest.mark.parametrize("batch_size", [1, 8])
def test_the_annotations_themselves_are_perfect(real_data, tmp_path, batch_size):
    folder, info = evaluated.prepared_samples(real_data, tmp_path)
    for split in ("train", "val"):
        evaluator = CocoEvaluator(info, masks=True, expected=8)
        for batch in evaluated.batches(folder, "coco_detection", split, batch_size):
            found = evaluated.annotations_as_predictions(batch, 28)
            batch = evaluated.on_devices(batch)
            evaluator.update(batch, {k: jnp.asarray(v) for k, v in found.items()})
            # Their own masks, not those that 28 x 28 cells can hold.
            for one, seen in zip(evaluator._found, evaluator._annotated, strict=True):
                object.__setattr__(one, "masks", seen.masks)
        metrics = evaluator.compute()
        for key in ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR100"):
            assert metrics[key] == metrics[f"mask_{key}"] == 1.0, key
