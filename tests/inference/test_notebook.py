"""What a notebook shows of an opened model."""

import pathlib

import pytest

from hrnet_jax.classification.task import ClassificationTask
from hrnet_jax.data.info import DatasetInfo
from hrnet_jax.export.exported import ExportedModel
from hrnet_jax.inference.notebook import as_html
from hrnet_jax.inference.workdir import load_run
from hrnet_jax.keypoints.landmarks import LandmarkTask
from hrnet_jax.models.variants import VARIANTS
from hrnet_jax.segmentation.task import SegmentationTask
from tests import tiny


def test_a_run_shows_its_metrics_and_the_colours_of_its_classes(monkeypatch):
    monkeypatch.setitem(VARIANTS, tiny.VARIANT_NAME, tiny.VARIANT)
    run = load_run(tiny.finished_run())
    text = run._repr_html_()
    assert len(text) < 3000
    assert "<tr><th>model</th><td>segmentation/tiny</td></tr>" in text
    assert f"<tr><th>step</th><td>{run.step}</td></tr>" in text
    value = run.metrics["mean_iou"]
    assert f"<tr><th>mean_iou</th><td>{value:.4g}</td></tr>" in text
    red, green, blue = run.info.palette[4]
    square = f'<span style="color:rgb({red},{green},{blue})">&#9632;</span>'
    assert "7 classes: <span" in text and f"{square} star, " in text


@pytest.mark.parametrize(
    ("facts", "task", "legend"),
    [
        (
            {"point_names": ("chin", "<nose>"), "image_class_names": ("face",)},
            LandmarkTask,
            "2 points: chin, &lt;nose&gt;",
        ),
        (
            {"image_class_names": tuple(f"class {k}" for k in range(1000))},
            ClassificationTask,
            "class 29, and 970 more",
        ),
    ],
)
def test_points_and_a_thousand_classes_have_a_short_legend(facts, task, legend):
    text = as_html(
        {"model": "any", "metrics": {}}, DatasetInfo("a", 0, (), (), **facts), task
    )
    assert text.endswith(f"{legend}</p>") and len(text) < 1000


def test_an_exported_model_is_printed_in_one_line():
    about = {"model": "segmentation/w18", "step": 3}
    info = DatasetInfo("a", 1, ("sky",), ((1, 2, 3),))
    model = ExportedModel(pathlib.Path("w18.onnx"), about, info, SegmentationTask, None)
    assert repr(model) == "ExportedModel('w18.onnx', 'segmentation/w18')"
    assert "<td>segmentation/w18</td>" in model._repr_html_()
