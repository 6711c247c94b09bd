"""Every model in every naming convention: there and back, strict, recognised."""

import re
import zlib

import numpy as np
import pytest

from hrnet_jax.errors import WeightsError
from hrnet_jax.pretrained import from_torch, recognize, to_torch
from hrnet_jax.pretrained.detector_names import DETECTORS
from hrnet_jax.pretrained.names import SCHEMES, find_scheme
from hrnet_jax.pretrained.wrappers import unwrap
from tests.pretrained.state_dicts import CASES, make_model, random_state_dict
from tests.tiers import fast_are

# Wider variants have the names of W18, as test_registry shows; W18-small-v2 has those
# of v1, in other numbers. What others changed about W18's names, they changed about
# those of W18-small as well.
FAST = [
    (name, convention)
    for name, convention in CASES
    if name.split("/")[1].removesuffix("_ocr") == "w18_small_v1"
    or (name, convention)
    in (
        ("segmentation/w18", "official"),
        # Of detectors the others are in `test_detector_names`, with thinner heads.
        ("detection/fcos_w18_small_v1", "mmdet"),
    )
]


@pytest.fixture(params=fast_are(FAST, CASES), ids="-".join, scope="module")
def case(request):
    """(model, convention, its random state dict, the generator)."""
    name, convention = request.param
    rng = np.random.default_rng(zlib.crc32(f"{name} {convention}".encode()))
    model = make_model(name, convention)
    return model, convention, random_state_dict(model, convention, rng), rng


def test_there_and_back_is_bit_equal(case):
    model, convention, state, rng = case
    prefix = rng.choice(["", "module.", "model.", "module.model."])
    wrapped = {prefix + name: value for name, value in state.items()}
    variables = from_torch({"epoch": 3, "state_dict": wrapped}, model)
    back = to_torch(variables, model, convention=convention)
    assert back.keys() == state.keys()
    for name, value in state.items():
        assert back[name].dtype == value.dtype
        np.testing.assert_array_equal(back[name], value, err_msg=name)


def test_the_model_is_recognised(case):
    model, convention, state, _ = case
    found = recognize(unwrap(state))
    assert (found.scheme.convention, found.scheme.kind) == (
        convention,
        model.output_kind,
    )
    assert found.variant == model.variant
    for key, value in found.options.items():
        assert getattr(model, key) == value


@pytest.mark.parametrize("damage", ["dropped", "renamed", "reshaped"])
def test_one_damaged_tensor_is_named(case, damage):
    model, convention, state, rng = case
    weights = [name for name in state if not name.endswith("num_batches_tracked")]
    name = str(rng.choice(weights))
    damaged = dict(state)
    value = damaged.pop(name)
    expected = [f"1 missing: {re.escape(name)}"]
    if damage == "renamed":
        # A trailing letter is a name that nobody has.
        damaged[f"{name}x"] = value
        expected.append(f"1 extra: {re.escape(name)}x")
    elif damage == "reshaped":
        damaged[name] = np.concatenate([value, value])
        expected = [
            rf"1 of another shape: {re.escape(name)}: expected "
            + re.escape(f"{value.shape}, got {damaged[name].shape}")
        ]
    with pytest.raises(WeightsError, match="; ".join(expected)):
        from_torch(damaged, model, convention=convention)


# Heads as the code bases name them, read in their sources.
HEADS = {
    ("mmseg", "segmentation"): "decode_head.convs.0.conv.weight decode_head.convs.0.bn "
    "decode_head.conv_seg.weight decode_head.conv_seg.bias",
    ("mmseg", "segmentation_ocr"): "decode_head.0.convs.0.conv.weight "
    "decode_head.0.convs.0.bn decode_head.0.conv_seg.weight decode_head.0.conv_seg.bias "
    "decode_head.1.bottleneck.conv.weight decode_head.1.bottleneck.bn "
    + " ".join(
        f"decode_head.1.object_context_block.{part}.conv.weight "
        f"decode_head.1.object_context_block.{part}.bn"
        for part in (
            "query_project.0",
            "query_project.1",
            "key_project.0",
            "key_project.1",
            "value_project",
            "out_project",
            "bottleneck",
        )
    )
    + " decode_head.1.conv_seg.weight decode_head.1.conv_seg.bias",
    # mit_semseg/models/models.py, class C1.
    ("mit", "segmentation"): "cbr.0.weight cbr.1 conv_last.weight conv_last.bias",
    ("mmpose0", "landmarks"): "keypoint_head.final_layer.0.weight "
    "keypoint_head.final_layer.0.bias keypoint_head.final_layer.1 "
    "keypoint_head.final_layer.3.weight keypoint_head.final_layer.3.bias",
    ("mmpose1", "landmarks"): "head.conv_layers.0.weight head.conv_layers.0.bias "
    "head.conv_layers.1 head.final_layer.weight head.final_layer.bias",
    ("mmpose0", "pose"): "keypoint_head.final_layer.weight "
    "keypoint_head.final_layer.bias",
    ("mmpose1", "pose"): "head.final_layer.weight head.final_layer.bias",
    ("mmdet", "pyramid"): "neck.reduction_conv.conv.weight "
    "neck.reduction_conv.conv.bias "
    + " ".join(
        f"neck.fpn_convs.{k}.conv.weight neck.fpn_convs.{k}.conv.bias" for k in range(5)
    ),
    ("mmdet1", "pyramid"): "neck.reduction_conv.conv.weight "
    "neck.reduction_conv.conv.bias "
    + " ".join(f"neck.fpn_conv.{k}.weight neck.fpn_conv.{k}.bias" for k in range(5)),
    ("maskrcnn_benchmark", "pyramid"): "backbone.neck.reduction_conv.0.weight "
    "backbone.neck.reduction_conv.0.bias "
    + " ".join(
        f"backbone.neck.fpn_conv.{k}.weight backbone.neck.fpn_conv.{k}.bias"
        for k in range(5)
    ),
    ("fcos", "pyramid"): "backbone.fpn.reduction_conv.0.weight "
    "backbone.fpn.reduction_conv.0.bias "
    + " ".join(
        f"backbone.fpn.fpn_conv.{k}.weight backbone.fpn.fpn_conv.{k}.bias"
        for k in range(5)
    ),
    ("mmpretrain", "classification"): "head.fc.weight head.fc.bias "
    "neck.0.final_layer.conv.weight neck.0.final_layer.bn "
    + " ".join(
        f"neck.0.downsample_layers.{b}.conv.weight neck.0.downsample_layers.{b}.bn"
        for b in range(3)
    )
    + " "
    + " ".join(
        f"neck.0.increase_layers.{b}.0.conv{k}.weight "
        f"neck.0.increase_layers.{b}.0.bn{k}"
        for b in range(4)
        for k in (1, 2, 3)
    )
    + " "
    + " ".join(
        f"neck.0.increase_layers.{b}.0.downsample.0.weight "
        f"neck.0.increase_layers.{b}.0.downsample.1"
        for b in range(4)
    ),
}


def _both(*layers: str) -> str:
    return " ".join(f"{layer}.weight {layer}.bias" for layer in layers)


# mmdet/models/{dense_heads,roi_heads} of 3.3, mmdet/models/{anchor_heads,bbox_heads,
# mask_heads} of 1.x; the neck as of the pyramids above.
_RPN = _both("rpn_head.rpn_conv", "rpn_head.rpn_cls", "rpn_head.rpn_reg")
_BOX = ("shared_fcs.0", "shared_fcs.1", "fc_cls", "fc_reg")
_MASK = (*(f"convs.{k}.conv" for k in range(4)), "upsample", "conv_logits")
_STAGES = (".0.", ".1.", ".2.")
for _convention, _neck, _start in (
    ("mmdet", "mmdet", "roi_head."),
    ("mmdet1x", "mmdet", ""),
    ("mmdet1", "mmdet1", ""),
):
    for _kind, _stages in (
        ("faster_rcnn", (".",)),
        ("mask_rcnn", (".",)),
        ("cascade_rcnn", _STAGES),
        ("cascade_mask_rcnn", _STAGES),
    ):
        _layers = [f"{_start}bbox_head{s}{one}" for s in _stages for one in _BOX]
        if "mask" in _kind:
            _layers += [f"{_start}mask_head{s}{one}" for s in _stages for one in _MASK]
        HEADS[_convention, _kind] = " ".join(
            (HEADS[_neck, "pyramid"], _RPN, _both(*_layers))
        )
    _last = "conv" if _convention == "mmdet" else "fcos"
    HEADS[_convention, "fcos"] = " ".join(
        [
            HEADS[_neck, "pyramid"],
            *(
                f"bbox_head.{tower}_convs.{k}.conv.weight "
                + _both(f"bbox_head.{tower}_convs.{k}.gn")
                for tower in ("cls", "reg")
                for k in range(4)
            ),
            _both(
                *(f"bbox_head.{_last}_{end}" for end in ("cls", "reg", "centerness"))
            ),
            *(f"bbox_head.scales.{k}.scale" for k in range(5)),
        ]
    )
NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
BODIES = {"maskrcnn_benchmark": "backbone.body.", "fcos": "backbone.body.", "mit": ""}


@pytest.mark.parametrize("convention, kind", HEADS)
def test_names_are_those_of_the_code_base(convention, kind):
    name = f"{kind}/w18_small_v1"
    if kind.endswith("ocr"):
        name = "segmentation/w18_small_v1_ocr"
    elif kind in DETECTORS:
        name = f"detection/{kind}_w18_small_v1"
    model = make_model(name, convention)
    state = random_state_dict(model, convention, np.random.default_rng(0))
    expected = set()
    for layer in HEADS[convention, kind].split():
        is_leaf = layer.endswith((".weight", ".bias", ".scale"))
        expected |= {layer} if is_leaf else {f"{layer}.{leaf}" for leaf in NORM}
    is_detector = kind in DETECTORS
    name = "pyramid/w18_small_v1" if is_detector else name
    official = make_model(name, "official")
    official = random_state_dict(official, "official", np.random.default_rng(0))
    start = "backbone." if is_detector or kind == "pyramid" else ""
    bodies = {key.removeprefix(start) for key in official if key.startswith(start)}
    body = BODIES.get(convention, "backbone.")
    expected |= {
        body + key
        for key in bodies
        if re.match(r"(conv|bn)\d|layer|trans|sta", key)
        and not key.startswith("conv3x3")
    }
    assert state.keys() == expected


def test_every_scheme_is_tried_above():
    others = {(s.convention, s.kind) for s in SCHEMES if s.convention != "official"}
    assert others == set(HEADS)
    assert find_scheme("pose", "mmseg") is None
