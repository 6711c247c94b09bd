"""Exported files as predictors."""

import dataclasses
import hashlib
import json
import pathlib
import shutil
import sys

import numpy as np
import pytest

from hrnet_jax import errors
from hrnet_jax.errors import DataError, ExportError
from hrnet_jax.export.exported import open_exported, record_path
from hrnet_jax.export.writing import ExportOptions, export_model
from hrnet_jax.inference import Predictor
from hrnet_jax.inference.folder import predict_files
from hrnet_jax.models.variants import VARIANTS
from hrnet_jax.registry import get_task
from hrnet_jax.segmentation.task import SegmentationTask
from tests import tiny
from tests.export.exporting import INFO, SIZE, exported, make_source
from tests.tiers import fast_are

TINY = "segmentation/tiny"
FLOATS = "stablehlo, float32"
ODD_SIZE = (33, 47)
# Kinds of `FILES` that take images of any size.
ANY_SIZE = ("stablehlo", FLOATS)
FILES = {
    "stablehlo": (".stablehlo", ExportOptions()),
    "stablehlo, one size": (".stablehlo", ExportOptions(size=SIZE, upsample=False)),
    FLOATS: (".stablehlo", ExportOptions("float32")),
    "onnx": (".onnx", ExportOptions(size=SIZE)),
    "onnx, a quarter": (".onnx", ExportOptions(size=SIZE, upsample=False)),
    "onnx, nchw": (".onnx", ExportOptions("float32", SIZE, layout="nchw")),
}


@pytest.fixture(autouse=True)
def tiny_variant(monkeypatch):
    monkeypatch.setitem(VARIANTS, tiny.VARIANT_NAME, tiny.VARIANT)


def path_of(kind, name=TINY):
    return exported(name, *FILES[kind])[0]


def copy_of(kind, folder):
    """A file and its description that a test may damage."""
    path = path_of(kind)
    shutil.copy(record_path(path), folder)
    return pathlib.Path(shutil.copy(path, folder))


def make_image(height, width):
    rng = np.random.default_rng([height, width])
    return rng.integers(0, 256, (height, width, 3), np.uint8)


def expected_prediction(image):
    source = make_source(TINY)
    task = SegmentationTask(source.model, INFO)
    return Predictor(task, source.variables).predict(image)


@pytest.mark.parametrize(
    "case",
    fast_are(
        [("stablehlo", ODD_SIZE), ("onnx", SIZE)],
        [(kind, SIZE) for kind in FILES] + [(kind, ODD_SIZE) for kind in ANY_SIZE],
    ),
    ids=str,
)
def test_predicts_what_the_predictor_does(case):
    kind, size = case
    image = make_image(*size)
    got = Predictor.open(path_of(kind)).predict(image)
    expected = expected_prediction(image)
    assert got.keys() == expected.keys() == {"label", "confidence"}
    for key, value in expected.items():
        assert got[key].shape == size and got[key].dtype == value.dtype
    assert (got["label"] == expected["label"]).mean() > 0.999
    np.testing.assert_allclose(got["confidence"], expected["confidence"], atol=1e-4)


def test_knows_its_classes():
    model = open_exported(str(path_of("onnx")))
    assert model.info == INFO and model.record["model"] == TINY


FAMILIES = [
    "landmarks/w18_small_v1",
    "pose/w18_small_v1",
    "pyramid/w18_small_v1",
    "landmarks/tiny",
]


@pytest.mark.parametrize(
    "kind", [pytest.param("stablehlo", marks=pytest.mark.slow), "onnx"]
)
@pytest.mark.parametrize("name", fast_are(["landmarks/tiny"], FAMILIES))
def test_other_families_predict_as_the_predictor_does(kind, name, tmp_path):
    source, image = make_source(name), make_image(*SIZE)
    task = get_task(source.task)(source.model, INFO)
    model = open_exported(path_of(kind, name))
    expected = Predictor(task, source.variables).predict(image)
    got = model.predict(image)
    assert got.keys() == expected.keys()
    for key, value in expected.items():
        assert got[key].shape == value.shape and got[key].dtype == value.dtype
        # Points are exact: no two cells of a heatmap are as high as another.
        limit = 0 if key == "points" else 2e-5 * value.std()
        np.testing.assert_allclose(got[key], value, atol=limit, rtol=0)
    report = predict_files(model, [], tmp_path, progress=False)
    assert (report["model"], report["step"]) == (name, 7)
    assert model.task.save(tmp_path, "it", image, got)


@pytest.mark.parametrize("kind", fast_are(["onnx"], ["stablehlo", "onnx"]))
def test_boxes_are_cut_in_the_size_that_the_file_takes(kind):
    name = "landmarks/tiny"
    source, image = make_source(name), make_image(150, 200)
    model = open_exported(path_of(kind, name))
    fixed = model.record["input"]["size"]
    crops = get_task("landmarks").Augmentation(
        crop_size=tuple(fixed) if fixed else (256, 256)
    )
    task = get_task("landmarks")(source.model, INFO, crops)
    boxes = np.array([[20, 30, 90, 100], [80, 20, 180, 120.0]])
    expected = Predictor(task, source.variables).predict(image, boxes)
    got = model.predict(image, boxes)
    assert got["points"].shape == (2, 4, 2)
    np.testing.assert_allclose(got["points"], expected["points"], atol=1e-3)
    np.testing.assert_allclose(got["boxes"], boxes)


@pytest.mark.slow
def test_images_for_a_classifier_are_prepared_first():
    options = {"short_side": 72, "crop": 64}
    source = make_source("classification/tiny")
    source = dataclasses.replace(source, inference=options)
    path = tiny.session_dir() / "classifier.stablehlo"
    export_model(source, path, ExportOptions(size=SIZE))
    image = make_image(100, 230)
    model = open_exported(path)
    assert model.task.prepare(image).shape == (64, 64, 3)
    task = get_task("classification")(
        source.model, INFO, inference=model.task.Inference(**options)
    )
    expected = Predictor(task, source.variables).predict(image)
    got = model.predict(image)
    np.testing.assert_allclose(
        got["probabilities"], expected["probabilities"], atol=1e-5
    )
    assert got["class"] == expected["class"]


def test_without_names_outputs_are_numbered(tmp_path):
    source = dataclasses.replace(make_source(TINY), info=None)
    path = tmp_path / "tiny.onnx"
    export_model(source, path, ExportOptions(size=SIZE))
    names = open_exported(path).info.class_names
    assert names == ("class 0", "class 1", "class 2", "class 3")


@pytest.mark.parametrize("kind", ["stablehlo, one size", "onnx", "onnx, nchw"])
def test_another_size_is_an_error_that_names_both(kind):
    model = open_exported(path_of(kind))
    with pytest.raises(DataError, match=r"for images of 64x64, got one of 33x47"):
        model.predict(make_image(33, 47))


@pytest.mark.slow
def test_an_image_too_small_for_a_pyramid_is_an_error():
    path, _ = exported("pyramid/tiny", ".stablehlo", ExportOptions(platforms=("cpu",)))
    with pytest.raises(DataError, match="at least 64 pixels high and wide, got 64x60"):
        open_exported(path).predict(make_image(64, 60))


@pytest.mark.parametrize("kind", ["stablehlo", "onnx"])
def test_refuses_what_is_no_image(kind):
    with pytest.raises(DataError, match=r"must be uint8.*got float32 \[64, 64, 3\]"):
        open_exported(path_of(kind)).predict(np.zeros((64, 64, 3), np.float32))


@pytest.mark.parametrize("kind", ["stablehlo", "onnx"])
def test_a_damaged_file_is_named(kind, tmp_path):
    path = copy_of(kind, tmp_path)
    content = path.read_bytes()
    middle = len(content) // 2
    flipped = bytes([content[middle] ^ 1])
    for damaged in (content[:-1], content[:middle] + flipped + content[middle + 1 :]):
        path.write_bytes(damaged)
        with pytest.raises(ExportError, match=f"{path} is damaged, or .*another file"):
            open_exported(path)


@pytest.mark.parametrize(
    ("kind", "message"),
    [("stablehlo", "by this jax"), ("onnx", "by onnxruntime")],
)
def test_a_file_that_the_library_refuses_is_named(kind, message, tmp_path):
    path = copy_of(kind, tmp_path)
    path.write_bytes(b"no model")
    record = json.loads(record_path(path).read_text())
    record["sha256"] = hashlib.sha256(b"no model").hexdigest()
    record_path(path).write_text(json.dumps(record))
    with pytest.raises(ExportError, match=f"{path}: not readable {message}"):
        open_exported(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read: no such file.* describes .* and must be beside it"),
        ("{", "json: not valid JSON"),
        ("[]", "json: holds a list, expected keys and values"),
        ('{"task": "pose"}', "it has no dataset_info, inference, input, model, mod"),
    ],
)
def test_a_wrong_description_is_named(content, message, tmp_path):
    path = copy_of("onnx", tmp_path)
    record_path(path).unlink()
    if content is not None:
        record_path(path).write_text(content)
    with pytest.raises(ExportError, match=message) as caught:
        open_exported(path)
    assert str(record_path(path)) in str(caught.value)


def test_a_missing_file_and_another_kind_are_named(tmp_path):
    with pytest.raises(ExportError, match="a.onnx cannot be read: no such file"):
        open_exported(tmp_path / "a.onnx")
    reason = errors.reason_of(OSError("Without a number"))
    assert reason == "Without a number" and errors.reason_of(OSError()) == "OSError"
    with pytest.raises(ExportError, match=r"a.pth: expected .* .stablehlo or .onnx"):
        Predictor.open(tmp_path / "a.pth")


def test_without_onnxruntime_the_error_says_what_to_install(monkeypatch):
    path = path_of("onnx")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ExportError, match=r"pip install -e '\.\[onnx\]'"):
        open_exported(path)


def test_a_description_of_another_model_is_named(tmp_path):
    path = copy_of("stablehlo", tmp_path)
    record = json.loads(record_path(path).read_text())
    record["model_options"]["depth"] = 5
    record_path(path).write_text(json.dumps(record))
    with pytest.raises(ExportError, match="json: model .* has no option 'depth'"):
        open_exported(path)
