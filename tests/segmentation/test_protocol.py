"""Several scales of images of several sizes, beside NumPy and OpenCV."""

import functools

import jax
import numpy as np
import pytest

from hrnet_jax import runtime
from hrnet_jax.segmentation.boundary import boundary_counts
from hrnet_jax.segmentation.options import InferenceOptions
from hrnet_jax.segmentation.windows import WindowOptions
from hrnet_jax.training import evaluation
from tests.segmentation.plain_protocol import (
    SIZES,
    K,
    as_published,
    batch_of,
    made_image,
    straight,
    task_with,
)
from tests.tiers import fast_are

PROTOCOLS = {
    "default": {"scales": (0.5, 1.0, 1.4), "flip": True},
    "logits": {"scales": (0.75, 1.3), "fusion": "logits"},
    "base size": {"scales": (0.5, 1.0), "base_size": 60},
    "one scale": {"scales": (1.3,)},
    "windows": {
        "scales": (0.8, 1.0, 1.6),
        "window": WindowOptions((24, 32), whole_up_to=0.8),
    },
    "windows of the image": {"window": WindowOptions((24, 32), ends="beyond")},
    "Cityscapes": {
        "scales": (0.5, 1.0, 1.75),
        "base_size": 64,
        "fusion": "exp",
        "flip": True,
        "window": WindowOptions((32, 64), (32, 64), average="exp", whole_up_to=1),
    },
    "PASCAL-Context": {
        "scales": (0.75, 1.0),
        "base_size": 48,
        "fusion": "exp",
        "window": WindowOptions((40, 40), ends="beyond", average="exp"),
    },
    "PASCAL-Context of SEG-OCR": {
        "scales": (0.75, 1.0),
        "base_size": 52,
        "image_size": (44,),
        "multiple": 8,
        "fusion": "exp",
        "window": WindowOptions((40, 40), ends="beyond", average="exp"),
    },
    "ADE20K": {
        "scales": (1.0,),
        "image_size": (44,),
        "multiple": 8,
        "keeps_padding": True,
        "fusion": "exp",
    },
    "LIP": {"image_size": (48, 48), "fusion": "exp", "flip": True},
    "own size, softmax": {"image_size": (44,), "multiple": 8, "scales": (0.5, 1.0)},
}


CASES = [(name, aligned, 1) for name in PROTOCOLS for aligned in (False,)]
CASES += [("default", True, 1), ("PASCAL-Context of SEG-OCR", True, 1)]
CASES += [("default", False, 3), ("ADE20K", True, 3)]
FAST = [
    ("default", False, 1),
    ("Cityscapes", False, 1),
    ("PASCAL-Context of SEG-OCR", True, 1),
]


@pytest.mark.parametrize(
    "case", fast_are(FAST, CASES), ids=lambda case: "-".join(map(str, case))
)
def test_protocols_are_those_of_numpy_and_opencv(case):
    """Images of three sizes share a canvas and a batch, or have one each."""
    name, aligned, most = case
    options = InferenceOptions(**PROTOCOLS[name])
    plain = as_published if options.fusion == "exp" else straight
    task = task_with(aligned, **PROTOCOLS[name], canvases=most)
    task = task.for_sizes(np.array(SIZES))
    groups = task.eval_groups(np.array(SIZES))
    assert len(set(groups)) == most
    for group in set(groups):
        members = [size for size, g in zip(SIZES, groups, strict=True) if g == group]
        images = [made_image(*size) for size in members]
        batch = batch_of(task, images)
        got = np.asarray(jax.jit(task.logits)({}, batch["image"], batch))
        for image, logits in zip(images, got, strict=True):
            height, width = image.shape[:2]
            shapes = task._canvas((height, width)).views
            expected = plain(image, options, aligned, shapes)
            found = logits[:height, :width]
            np.testing.assert_allclose(found, expected, atol=2e-4)


class Records:
    """Ten images of five sizes, with labels that are nearly what is predicted."""

    sizes = np.array([(50, 64), (64, 47), (33, 61), (64, 50), (36, 40)] * 2, np.int32)

    def __len__(self):
        return len(self.sizes)

    def image_sizes(self):
        return self.sizes

    def __getitem__(self, index):
        image = made_image(*self.sizes[index])
        label = image.argmax(-1).astype(np.uint8)
        label[:3, :5] = 255
        return {"image": image, "label": label, "image_id": f"image{index}"}


EVALUATED = {
    "scales": (0.75, 1.0, 1.5),
    "flip": True,
    "fusion": "exp",
    "window": WindowOptions((32, 32), whole_up_to=0.75, average="exp"),
    "canvases": 2,
    "boundary": True,
}


@functools.cache
def scored_by_hand():
    """Confusion matrix and counts near borders, image by image, in NumPy."""
    options, records = InferenceOptions(**EVALUATED), Records()
    task = task_with(**EVALUATED).for_sizes(records.sizes)
    assert len(task._canvases) == 2
    confusion, near = np.zeros((K, K), int), np.zeros((K, 3), int)
    for sample in map(records.__getitem__, range(len(records))):
        label = sample["label"]
        shapes = task._canvas(label.shape).views
        scores = as_published(sample["image"], options, False, shapes)
        predicted = scores.argmax(-1).astype(np.uint8)
        counted = label != 255
        np.add.at(confusion, (label[counted], predicted[counted]), 1)
        near += boundary_counts(label, predicted, K)
    return confusion, near


@pytest.mark.slow
@pytest.mark.parametrize("cut", [(1, 1), (1, 3), (1, 8), (8, 8)], ids=str)
def test_evaluation_is_that_of_the_plain_protocol(cut, tmp_path):
    devices, batch_size = cut
    mesh = runtime.make_mesh(data=devices)
    task, records = task_with(**EVALUATED), Records()
    predict = evaluation.make_predict_step(task, mesh)
    evaluator = evaluation.evaluator_over(
        predict, task, {}, records, mesh, batch_size=batch_size, per_example=True
    )
    assert predict._cache_size() <= 2
    confusion, near = scored_by_hand()
    metrics = evaluator.compute()
    correct = np.diag(confusion)
    iou = correct / (confusion.sum(0) + confusion.sum(1) - correct)
    assert 0.1 < iou.mean() < 0.9
    # Where two classes are equally likely, rounding decides.
    assert metrics["mean_iou"] == pytest.approx(iou.mean(), abs=2e-4)
    both, labelled, predicted = near.T
    expected = np.mean(both / (labelled + predicted - both))
    assert metrics["boundary_iou"] == pytest.approx(expected, abs=1e-3)
    evaluator.report(tmp_path)
    rows = (tmp_path / "images.csv").read_text().splitlines()
    assert rows[0].endswith(",boundary_iou") and len(rows) == 1 + len(records)
    worst = evaluator.worst(2)
    assert f"image{worst[0]}," in rows[1] and f"image{worst[1]}," in rows[2]
