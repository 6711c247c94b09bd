"""Detectors of every generation of mmdetection: their tensors, there and back."""

import numpy as np
import pytest

from hrnet_jax.detection.mask_head import Double
from hrnet_jax.errors import WeightsError
from hrnet_jax.models.initialization import initial_variables
from hrnet_jax.pretrained import convert_names, from_torch, recognize, to_torch
from hrnet_jax.pretrained.detector_names import DETECTOR_SCHEMES
from hrnet_jax.pretrained.wrappers import unwrap
from hrnet_jax.registry import create_model
from tests import tiny
from tests.tiers import fast_are

SCHEMES = [(scheme.kind, scheme.convention) for scheme in DETECTOR_SCHEMES]
FAST = [("cascade_mask_rcnn", "mmdet"), ("mask_rcnn", "official"), ("fcos", "mmdet1x")]


def thin(kind: str):
    """A detector of five classes with few channels."""
    options = {} if kind == "fcos" else {"head_width": 6}
    return create_model(
        f"detection/{kind}_w18_small_v1", num_classes=5, features=32, **options
    )


def tensors_of(kind: str, convention: str):
    """(model, variables, tensors as the code base names them)."""
    model = thin(kind)
    variables = initial_variables(model, 3)
    return model, variables, to_torch(variables, model, convention=convention)


@pytest.mark.parametrize("case", fast_are(FAST, SCHEMES), ids="-".join)
def test_there_and_back(case):
    kind, convention = case
    model, variables, tensors = tensors_of(kind, convention)
    found = recognize(unwrap(tensors))
    assert found.model == f"detection/{kind}_w18_small_v1"
    assert found.scheme.convention == convention
    assert found.options["num_classes"] == 5 and found.options["features"] == 32
    back = from_torch(tensors, create_model(found.model, **found.options))
    tiny.assert_equal_bits(flat(back), flat(variables))
    del tensors["neck.reduction_conv.conv.weight" if "mm" in convention else NECK]
    with pytest.raises(WeightsError, match="1 missing: neck.reduction_conv"):
        from_torch(tensors, model, convention=convention)


NECK = "neck.reduction_conv.0.weight"


def flat(tree, start="") -> dict:
    if not isinstance(tree, dict):
        return {start: tree}
    return {
        k: v
        for key, one in tree.items()
        for k, v in flat(one, f"{start}/{key}").items()
    }


def test_the_background_moves_to_the_end():
    _, variables, modern = tensors_of("mask_rcnn", "mmdet")
    _, _, old = tensors_of("mask_rcnn", "official")
    head = variables["params"]["box_head"]
    classes = modern["roi_head.bbox_head.fc_cls.weight"]
    np.testing.assert_array_equal(classes, head["classes"]["kernel"].T)
    assert classes.shape == (6, 6)
    # Background first, then classes 0 to 4.
    np.testing.assert_array_equal(
        old["bbox_head.fc_cls.weight"], classes[[5, 0, 1, 2, 3, 4]]
    )
    boxes = old["bbox_head.fc_reg.weight"]
    assert boxes.shape == (24, 6) and not boxes[:4].any()
    np.testing.assert_array_equal(boxes[4:], modern["roi_head.bbox_head.fc_reg.weight"])
    masks = old["mask_head.conv_logits.bias"]
    assert masks.shape == (6,) and masks[0] == 0


def test_boxes_of_a_cascade_have_no_background():
    _, _, modern = tensors_of("cascade_rcnn", "mmdet")
    _, _, old = tensors_of("cascade_rcnn", "mmdet1x")
    for stage in range(3):
        np.testing.assert_array_equal(
            old[f"bbox_head.{stage}.fc_reg.weight"],
            modern[f"roi_head.bbox_head.{stage}.fc_reg.weight"],
        )
        assert modern[f"roi_head.bbox_head.{stage}.fc_reg.weight"].shape == (4, 6)


def test_boxes_that_all_classes_share_are_recognised():
    model = create_model(
        "detection/faster_rcnn_w18_small_v1",
        num_classes=5,
        features=32,
        head_width=6,
        class_agnostic=True,
    )
    variables = initial_variables(model, 3)
    tensors = to_torch(variables, model, convention="mmdet")
    assert tensors["roi_head.bbox_head.fc_reg.weight"].shape == (4, 6)
    found = recognize(unwrap(tensors))
    assert found.options["class_agnostic"] is True
    again = create_model(found.model, **found.options)
    tiny.assert_equal_bits(flat(from_torch(tensors, again)), flat(variables))
    message = (
        "^'official' has no layout for a faster_rcnn model with class_agnostic=True"
    )
    with pytest.raises(WeightsError, match=f"{message}; expected one of mmdet$"):
        to_torch(variables, model, convention="official")


def test_the_first_layer_reads_channels_first_in_pytorch():
    _, variables, tensors = tensors_of("faster_rcnn", "mmdet")
    ours = variables["params"]["box_head"]["fc1"]["kernel"]
    theirs = tensors["roi_head.bbox_head.shared_fcs.0.weight"]
    rng = np.random.default_rng(0)
    pooled = rng.standard_normal((7, 7, 32), np.float32)
    expected = theirs @ pooled.transpose(2, 0, 1).ravel()
    np.testing.assert_allclose(pooled.ravel() @ ours, expected, rtol=1e-4, atol=1e-5)


def test_the_transposed_convolution_makes_four_pixels_of_one():
    _, variables, tensors = tensors_of("mask_rcnn", "mmdet")
    kernel = tensors["roi_head.mask_head.upsample.weight"]
    bias = tensors["roi_head.mask_head.upsample.bias"]
    assert kernel.shape == (32, 32, 2, 2)
    given = {"params": variables["params"]["mask_head"]["upsample"]}
    x = np.random.default_rng(0).standard_normal((1, 2, 3, 32), np.float32)
    got = Double(32).apply(given, x)
    assert got.shape == (1, 4, 6, 32)
    for row in range(4):
        for column in range(6):
            expected = x[0, row // 2, column // 2] @ kernel[:, :, row % 2, column % 2]
            np.testing.assert_allclose(
                got[0, row, column], expected + bias, rtol=1e-4, atol=1e-5
            )


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("bbox_head.shared_fcs.0.weight", (6, 50), "cannot reshape array"),
        ("mask_head.upsample.weight", (4, 4, 3, 3), "expected a kernel of 2x2"),
        ("bbox_head.fc_reg.weight", (4, 6), "expected more than 4 outputs"),
    ],
)
def test_shapes_that_no_detector_has_are_named(name, shape, message):
    _, _, tensors = tensors_of("mask_rcnn", "official")
    tensors[name] = np.zeros(shape, np.float32)
    with pytest.raises(WeightsError, match=f"^{name}: the shape .* none .*{message}"):
        convert_names(tensors)
