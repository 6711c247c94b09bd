"""One number for a checkpoint, however the evaluation is cut into batches."""

import jax
import numpy as np
import pytest

import hrnet_jax
from hrnet_jax import runtime
from hrnet_jax.data.records import open_records
from hrnet_jax.models.initialization import initial_variables
from hrnet_jax.models.variants import VARIANTS
from hrnet_jax.registry import create_model
from hrnet_jax.runtime.placement import replicate
from hrnet_jax.segmentation.task import InferenceOptions, SegmentationTask
from hrnet_jax.training import evaluation
from hrnet_jax.training.evaluate import evaluate
from tests import tiny


@pytest.fixture(autouse=True)
def tiny_variant(monkeypatch):
    monkeypatch.setitem(VARIANTS, tiny.VARIANT_NAME, tiny.VARIANT)


class Mixed:
    """Records of several sizes."""

    def __init__(self, records):
        self._records = records
        self.info = records.info

    def __len__(self):
        return len(self._records)

    def image_sizes(self):
        return np.array([self[i]["label"].shape for i in range(len(self))], np.int32)

    def __getitem__(self, index):
        sample = self._records[index]
        bottom = tiny.SIZE - 7 * (index % 3)
        return sample | {
            "label": sample["label"][:bottom, : tiny.SIZE - 5],
            "image": sample["image"][:bottom, : tiny.SIZE - 5],
        }


def make_task(info, **inference):
    model = create_model(
        f"segmentation/{tiny.VARIANT_NAME}", num_classes=info.num_classes
    )
    return SegmentationTask(model, info, inference=InferenceOptions(**inference))


def make_variables(model):
    """Weights of a random network whose predictions show several classes."""
    variables = jax.device_get(initial_variables(model, 0, "he"))
    kernel = variables["params"]["head"]["classifier"]["kernel"]
    rng = np.random.default_rng(0)
    kernel = rng.standard_normal(kernel.shape).astype(np.float32)
    variables["params"]["head"]["classifier"]["kernel"] = kernel
    return variables


def score(task, records, devices, batch_size):
    mesh = runtime.make_mesh(data=devices)
    return evaluation.evaluator_over(
        evaluation.make_predict_step(task, mesh),
        task,
        replicate(make_variables(task.model), mesh),
        records,
        mesh,
        batch_size=batch_size,
    ).compute()


def confusion(labels, predictions, classes):
    """Counts pixel by pixel, as the definition says."""
    counts = np.zeros((classes, classes), np.int64)
    for label, prediction in zip(labels, predictions, strict=True):
        valid = label != 255
        np.add.at(counts, (label[valid], prediction[valid]), 1)
    return counts


@pytest.mark.parametrize(
    ("devices", "batch_size"), [(1, 1), (1, 2), (1, 4), (2, 4), (8, 8)]
)
def test_any_batch_size_and_device_count_gives_the_same(devices, batch_size):
    records = open_records("shapes", tiny.data_dir(), "val")
    task = make_task(records.info)
    metrics = score(task, records, devices, batch_size)
    labels, predictions = [], []
    apply = runtime.jit(task.predict)
    variables = make_variables(task.model)
    for sample in records:
        batch = {"image": sample["image"][None]}
        predictions.append(np.asarray(apply(variables, batch)["label"][0]))
        labels.append(sample["label"])
    assert len(np.unique(np.stack(predictions))) > 1
    counts = confusion(labels, predictions, records.info.num_classes)
    correct = np.diag(counts)
    iou = correct / np.maximum(1, counts.sum(0) + counts.sum(1) - correct)
    assert metrics["mean_iou"] == pytest.approx(iou.mean(), abs=1e-12)
    assert metrics["pixel_accuracy"] == correct.sum() / counts.sum()
    assert metrics["iou/star"] == iou[records.info.class_names.index("star")]


def test_images_of_several_sizes_count_their_own_pixels_only():
    records = Mixed(open_records("shapes", tiny.data_dir(), "val"))
    task = make_task(records.info)
    evaluators = []
    make_evaluator = task.evaluator

    def evaluator(per_example):
        evaluators.append(make_evaluator(per_example))
        return evaluators[-1]

    task.evaluator = evaluator
    score(task, records, 1, 4)
    pixels = sum((sample["label"] != 255).sum() for sample in records)
    assert evaluators[0]._confusion.sum() == pixels


def test_a_finished_run_scores_what_its_predictions_score():
    run = hrnet_jax.load_run(tiny.finished_run())
    records = open_records("shapes", tiny.data_dir(), "val")
    labels = [sample["label"] for sample in records]
    predictions = [run.predict(sample["image"])["label"] for sample in records]
    counts = confusion(labels, predictions, records.info.num_classes)
    accuracy = np.trace(counts) / counts.sum()
    assert run.metrics["pixel_accuracy"] == pytest.approx(accuracy, abs=1e-12)
    for batch_size in (1, 4):
        config = tiny.config(eval__batch_size=batch_size)
        assert evaluate(config, tiny.finished_run()) == run.metrics


def test_flipping_averages_an_image_with_its_mirror_image():
    records = open_records("shapes", tiny.data_dir(), "val")
    plain, flipped = make_task(records.info), make_task(records.info, flip=True)
    variables = make_variables(plain.model)
    image = records[0]["image"][None]
    mirrored = image[:, :, ::-1]
    logits = runtime.jit(plain.logits)
    both = [logits(variables, x) for x in (image, mirrored)]
    expected = (both[0] + both[1][:, :, ::-1]) / 2
    logits = runtime.jit(flipped.logits)
    np.testing.assert_allclose(logits(variables, image), expected, atol=1e-4)
    # Consequence: the prediction of the mirror image is the mirrored prediction.
    np.testing.assert_allclose(
        logits(variables, mirrored)[:, :, ::-1], expected, atol=1e-4
    )


def test_draws_the_first_and_the_last_example():
    records = open_records("shapes", tiny.data_dir(), "val")
    task = make_task(records.info)
    mesh = runtime.make_mesh(data=1)
    predict = evaluation.make_predict_step(task, mesh)
    variables = replicate(make_variables(task.model), mesh)
    chosen = evaluation.spread(records, 3)
    pictures = evaluation.draw_chosen(
        predict, task, variables, records, mesh, chosen, batch_size=2
    )
    names = [str(sample["image_id"]).replace("/", "_") for sample in records]
    assert list(pictures) == [names[0], names[2], names[5]]
    assert all(picture.dtype == np.uint8 for picture in pictures.values())
    chosen = evaluation.spread(records, 99)
    everything = evaluation.draw_chosen(
        predict, task, variables, records, mesh, chosen, batch_size=4
    )
    assert list(everything) == names
