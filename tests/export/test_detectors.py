"""Exported detectors find what the detectors do."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import onnx
import onnxruntime
import pytest

from hrnet_jax.detection.boxes import MODERN, V1, Conventions
from hrnet_jax.detection.exporting import largest_difference
from hrnet_jax.detection.nms import nms_of_images
from hrnet_jax.detection.roi_align import roi_align
from hrnet_jax.errors import ConfigError, DataError
from hrnet_jax.export.check import TOLERANCE_OF_PREDICTIONS
from hrnet_jax.export.exported import open_exported
from hrnet_jax.export.onnx_file import to_onnx
from hrnet_jax.export.programs import task_of
from hrnet_jax.export.source import ExportOptions
from hrnet_jax.export.writing import check_request, export_model
from hrnet_jax.inference import Predictor
from hrnet_jax.models.variants import VARIANTS
from tests import tiny
from tests.export.detectors import (
    CANVAS,
    KINDS,
    exported_detector,
    make_detector,
)
from tests.tiers import with_detectors

FIXED = ExportOptions(size=CANVAS)
CALLER = ExportOptions(size=CANVAS, nms="caller")
# What each kind of head, both formats and both measures of boxes need at least.
FILES = [
    ("fcos", "modern", ".onnx", FIXED),
    ("mask_rcnn", "modern", ".stablehlo", FIXED),
    ("faster_rcnn", "modern", ".onnx", CALLER),
    ("faster_rcnn", "v1", ".onnx", FIXED),
]
MORE = [
    *((kind, "modern", ".stablehlo", FIXED) for kind in KINDS if kind != "mask_rcnn"),
    *((kind, "modern", ".onnx", FIXED) for kind in KINDS if kind != "fcos"),
    ("cascade_mask_rcnn", "v1", ".onnx", FIXED),
    ("fcos", "modern", ".onnx", CALLER),
    ("cascade_rcnn", "modern", ".stablehlo", CALLER),
    ("fcos", "modern", ".onnx", ExportOptions("float32", CANVAS, layout="nchw")),
]
FILES += [with_detectors(*case) for case in MORE]


@pytest.fixture(autouse=True)
def tiny_variant(monkeypatch):
    monkeypatch.setitem(VARIANTS, tiny.VARIANT_NAME, tiny.VARIANT)


def make_image(height, width):
    rng = np.random.default_rng([height, width])
    return rng.integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".onnx", with_detectors(".stablehlo")])
def test_votes_and_mirror_images_are_in_a_file(suffix, tmp_path):
    source = make_detector("faster_rcnn", vote=0.8, flip=True)
    check = export_model(source, tmp_path / f"a{suffix}", FIXED)
    assert 0 <= max(check.errors.values()) < TOLERANCE_OF_PREDICTIONS


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "conventions", "suffix", "options"), FILES)
def test_a_file_finds_what_its_model_finds(kind, conventions, suffix, options):
    path, check = exported_detector((kind, conventions), suffix, options)
    assert set(check.errors) == {1, 3}
    assert 0 <= max(check.errors.values()) < TOLERANCE_OF_PREDICTIONS
    source = make_detector(kind, conventions)
    task = task_of(source, FIXED, source.model)
    model = open_exported(path)
    # Of the size of the canvas, and one that is resized and does not fill it.
    for size in (CANVAS, (50, 170)):
        image = make_image(*size)
        expected = Predictor(task, source.variables).predict(image)
        got = model.predict(image)
        assert got.keys() == expected.keys()
        assert len(got["boxes"]) == len(expected["boxes"]) > 0
        named = [
            {key: value[None] for key, value in found.items() if key != "masks"}
            | {"valid": np.ones((1, len(found["boxes"])), bool)}
            for found in (expected, got)
        ]
        assert largest_difference(*named) < 1e-4
        for key in ("boxes", "scores", "classes"):
            assert got[key].dtype == expected[key].dtype
        if "masks" in expected:
            masks = np.asarray(got["masks"]), np.asarray(expected["masks"])
            assert masks[0].shape == masks[1].shape == (len(got["boxes"]), *size)
            assert (masks[0] != masks[1]).mean() < 1e-3
    with pytest.raises(DataError, match="for images of 64x96, got one of 96x64; that"):
        model.predict(make_image(96, 64))


@pytest.mark.slow
def test_files_of_both_forms_say_what_they_give():
    shapes = {}
    for options in (FIXED, CALLER):
        path, _ = exported_detector(("fcos",), ".onnx", options)
        graph = onnx.load(path).graph
        shapes[options.nms] = {
            output.name: [d.dim_param or d.dim_value for d in output.type.tensor_type.shape.dim]
            for output in graph.output
        }  # fmt: skip
        uses = [node.op_type for node in graph.node]
        assert uses.count("NonMaxSuppression") == (options.nms == "operator")
        record = open_exported(path).record
        assert record["nms"] == options.nms
        assert record["more_inputs"] == {"image_size": {"dtype": "int32", "shape": [2]}}
    assert shapes["operator"]["boxes"] == ["batch", 12, 4]
    assert shapes["caller"].keys() == {
        f"candidate_{part}" for part in ("boxes", "scores", "classes", "valid")
    }


@pytest.mark.slow
def test_a_check_sees_detections_where_noise_has_none(tmp_path):
    source = make_detector("fcos", score=0.99)
    path = tmp_path / "a.stablehlo"
    options = dataclasses.replace(FIXED, platforms=("cpu",))
    check = export_model(source, path, options)
    assert set(check.errors) == {1, 3} and sorted(tmp_path.iterdir()) == [
        path,
        path.with_name("a.stablehlo.json"),
    ]
    assert len(open_exported(path).predict(make_image(*CANVAS))["boxes"]) == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (
            "mask_rcnn",
            CALLER,
            r"cannot be left to the caller \(nms='caller'\) for mask_",
        ),
        ("fcos", ExportOptions(size=(64, 80)), r"a canvas is \(64, 80\), expected"),
        (
            "fcos",
            ExportOptions(size=(64, 64)),
            "no canvas holds images resized to 96x64",
        ),
    ],
)
def test_what_a_detector_cannot_be_exported_with(kind, options, message, tmp_path):
    with pytest.raises(ConfigError, match=message):
        export_model(make_detector(kind), tmp_path / "a.onnx", options)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        (
            "detection/fcos_w18",
            {},
            r"fcos_w18 is exported for .* give one \(--size=HxW",
        ),
        (
            "segmentation/w18",
            {"nms": "caller"},
            "'nms' is for detection alone, not for s",
        ),
        (None, {"nms": "none"}, "'nms' is 'none'; expected one of operator, caller"),
    ],
)
def test_options_are_refused_before_the_model_is_opened(
    name, options, message, tmp_path
):
    with pytest.raises(ConfigError, match=message):
        check_request(name, tmp_path / "a.stablehlo", ExportOptions(**options))


def in_onnx(function, *arrays):
    """Results of a function of arrays [B, ...] as a graph of ONNX."""
    names = [f"in{number}" for number in range(len(arrays))]
    more = {
        name: jax.ShapeDtypeStruct(array.shape[1:], array.dtype)
        for name, array in zip(names, arrays, strict=True)
    }
    images = np.zeros((len(arrays[0]), 2, 2, 3), np.uint8)
    content = to_onnx(
        lambda images, *rest: dict(enumerate_named(function(*rest))),
        (2, 2), np.uint8, more, channels_first=False, maps=False, metadata={},
    )  # fmt: skip
    onnx.checker.check_model(onnx.load_from_string(content), full_check=True)
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    given = {"images": images, **dict(zip(names, arrays, strict=True))}
    return session.run(None, {i.name: given[i.name] for i in session.get_inputs()})


def enumerate_named(values):
    return ((f"out{number}", value) for number, value in enumerate(values))


BOXES = np.float32(
    [[0, 0, 10, 10], [0, 0, 10, 9], [20, 0, 30, 10], [0, 0, 10, 10], [5, 5, 5, 5]]
)
SCORES = np.float32([0.5, 0.9, -3.0, 0.9, 0.1])


@pytest.mark.parametrize(
    ("group", "valid", "expected"),
    [
        ([0, 0, 0, 0, 0], [1, 1, 1, 1, 1], [1, 4, 2]),
        ([0, 0, 1, 2, 0], [1, 1, 1, 1, 1], [1, 3, 4, 2]),
        ([0, 0, 1, 1, 0], [1, 0, 1, 1, 0], [3, 0, 2]),
        ([0, 0, 1, 1, 0], [0, 0, 0, 0, 0], []),
    ],
)
@pytest.mark.parametrize("known", [True, False])
def test_the_operator_keeps_the_best_of_every_group(group, valid, expected, known):
    """Groups that are known when traced take another way than those that are not."""
    group = np.int32(group)
    run = functools.partial(nms_of_images, threshold=0.5, max_out=6, groups=3)

    def function(boxes, scores, valid, numbers):
        if known:
            numbers = jnp.broadcast_to(group, scores.shape)
        return run(boxes, scores, valid, group=numbers)

    arrays = BOXES, SCORES, np.array(valid, bool), group
    index, kept = in_onnx(function, *(np.stack([one, one]) for one in arrays))
    for image in range(2):
        assert index[image][kept[image]].tolist() == expected
        assert (
            kept[image].sum() == len(expected) and not index[image][~kept[image]].any()
        )


@pytest.mark.slow
@pytest.mark.parametrize("conventions", [MODERN, V1, Conventions(roi_align="legacy")])
def test_regions_have_the_features_of_the_operator(conventions):
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 60, (2, 30, 2))
    sides = rng.uniform(0, 60, (2, 30, 2))
    rois = np.concatenate([corners, corners + sides], -1).astype(np.float32)
    levels = [
        rng.normal(size=(2, 16 >> k, 24 >> k, 5)).astype(np.float32) for k in range(4)
    ]

    def function(rois, *levels):
        valid = jnp.ones(rois.shape[:2], bool)
        return (roi_align(levels, rois, valid, 7, conventions, finest=14),)

    (got,) = in_onnx(function, rois, *levels)
    (expected,) = jax.jit(function)(rois, *levels)
    np.testing.assert_allclose(got, expected, atol=2e-5)


def detections(boxes, scores, classes):
    count = len(scores)
    return {
        "boxes": np.float32(boxes)[None],
        "scores": np.float32(scores)[None],
        "classes": np.int32(classes)[None],
        "valid": np.ones((1, count), bool),
    }


def test_differences_are_those_of_the_nearest_detections():
    boxes = np.arange(12.0).reshape(3, 4)
    one = detections(boxes, [0.9, 0.9, 0.5], [0, 1, 1])
    other = detections(boxes[[1, 0, 2]], [0.9, 0.9, 0.5], [1, 0, 1])
    assert largest_difference(one, other) == 0
    moved = detections(boxes, [0.9, 0.9, 0.6], [0, 1, 1])
    scale = np.std([0.9, 0.9, 0.5])
    assert largest_difference(one, moved) == pytest.approx(0.1 / scale)
    assert largest_difference(one, detections(boxes, [0.9] * 3, [0, 1, 2])) == np.inf
    none = one | {"valid": np.zeros((1, 3), bool)}
    assert largest_difference(one, none) == largest_difference(none, one) == np.inf
    assert largest_difference(none, none) is None
