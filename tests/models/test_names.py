"""Parameter names are API, and each has exactly one official name."""

import pathlib
import re

import pytest

from hrnet_jax.pretrained.names import HEAD_PATTERNS, find_scheme
from tests.models.shapes import leaf_shapes, parameter_names
from tests.tiers import fast_are

NAMES_FILE = (
    pathlib.Path(__file__).parents[1] / "goldens" / "parameter_names_w18_small_v1.txt"
)
# Wider variants have the names of w18; test_registry says so.
KINDS = (
    "classification",
    "segmentation",
    "segmentation_ocr",
    "landmarks",
    "pose",
    "pyramid",
    "faster_rcnn",
    "mask_rcnn",
    "cascade_rcnn",
    "cascade_mask_rcnn",
)
STRUCTURES = [
    (kind, variant)
    for kind in KINDS
    for variant in ("w18_small_v1", "w18_small_v2", "w18")
]
FAST = [pair for pair in STRUCTURES if pair[1] == "w18_small_v1"]
FAST.append(("segmentation", "w18"))


def model_name(kind: str, variant: str = "w18_small_v1") -> str:
    if kind.endswith("rcnn"):
        return f"detection/{kind}_{variant}"
    family, _, suffix = kind.partition("_")
    return f"{family}/{variant}" + (f"_{suffix}" if suffix else "")


def test_parameter_names_have_not_changed():
    # Checkpoints and notebooks depend on them. Whoever changes a name on purpose
    # changes the file, and says how old checkpoints are read.
    expected = NAMES_FILE.read_text().split()
    assert parameter_names("segmentation/w18_small_v1") == expected


@pytest.mark.parametrize("structure", fast_are(FAST, STRUCTURES), ids="-".join)
def test_every_leaf_has_one_official_name_and_comes_back_from_it(structure):
    kind, variant = structure
    scheme, official = find_scheme(kind, "official"), {}
    leaves = leaf_shapes(model_name(kind, variant))
    for leaf in leaves:
        short = leaf.split("/", 1)[1]
        translated = scheme.to_torch(short)
        assert translated is not None, f"no official name for {short}"
        assert scheme.from_torch(translated) == short
        assert official.setdefault(translated, leaf) == leaf, "two leaves share a name"
    assert len(official) == len(leaves)


@pytest.mark.parametrize(
    ("kind", "ours", "official"),
    [
        ("pose", "stem/conv1/kernel", "conv1.weight"),
        ("pose", "stem/norm2/var", "bn2.running_var"),
        ("pose", "stage1/block0/shortcut/conv/kernel", "layer1.0.downsample.0.weight"),
        ("pose", "stage1/block3/norm3/scale", "layer1.3.bn3.weight"),
        # A new branch is one list deeper than one that only changes its width.
        ("pose", "transition1/branch0/conv/kernel", "transition1.0.0.weight"),
        ("pose", "transition1/branch1/conv/kernel", "transition1.1.0.0.weight"),
        ("pose", "transition3/branch3/norm/bias", "transition3.3.0.1.bias"),
        (
            "landmarks",
            "stage3/module2/branch1/block0/conv1/kernel",
            "stage3.2.branches.1.0.conv1.weight",
        ),
        # Official fuse layers count target first, then source.
        (
            "landmarks",
            "stage4/module0/exchange/from2_to0/conv/kernel",
            "stage4.0.fuse_layers.0.2.0.weight",
        ),
        (
            "landmarks",
            "stage4/module0/exchange/from0_to2/step1/norm/mean",
            "stage4.0.fuse_layers.2.0.1.1.running_mean",
        ),
        ("segmentation", "head/project/bias", "last_layer.0.bias"),
        ("segmentation", "head/classifier/kernel", "last_layer.3.weight"),
        ("classification", "increase2/norm3/scale", "incre_modules.2.0.bn3.weight"),
        ("classification", "downsample1/conv/bias", "downsamp_modules.1.0.bias"),
        ("classification", "final/norm/scale", "final_layer.1.weight"),
        ("classification", "classifier/kernel", "classifier.weight"),
        ("landmarks", "head/norm/scale", "head.1.weight"),
        ("pose", "classifier/bias", "final_layer.bias"),
        ("pyramid", "stem/conv1/kernel", "backbone.conv1.weight"),
        ("pyramid", "pyramid/reduce/bias", "neck.reduction_conv.0.bias"),
        ("pyramid", "pyramid/level4/kernel", "neck.fpn_conv.4.weight"),
        ("segmentation_ocr", "aux/project/kernel", "aux_head.0.weight"),
        ("segmentation_ocr", "ocr/pixels/norm/mean", "conv3x3_ocr.1.running_mean"),
        (
            "segmentation_ocr",
            "ocr/attention/query1/norm/scale",
            "ocr_distri_head.object_context_block.f_pixel.3.0.weight",
        ),
        (
            "segmentation_ocr",
            "ocr/attention/out/conv/kernel",
            "ocr_distri_head.object_context_block.f_up.0.weight",
        ),
        ("segmentation_ocr", "ocr/classifier/bias", "cls_head.bias"),
    ],
)
def test_names_of_the_official_code(kind, ours, official):
    scheme = find_scheme(kind, "official")
    assert scheme.to_torch(ours) == official
    assert scheme.from_torch(official) == ours


@pytest.mark.parametrize(
    "name", ["", "fc", "fc.weight", "conv1.gamma", "layer2.0.conv1.weight", "bn1."]
)
def test_other_names_are_not_official(name):
    for kind in KINDS:
        assert find_scheme(kind, "official").from_torch(name) is None


def test_heads_are_what_families_do_not_share():
    names = {kind: set(parameter_names(model_name(kind))) for kind in KINDS}
    # The body of pose lacks the last paths to lower resolutions.
    shared = set.intersection(*(names[kind] for kind in KINDS if kind != "pose"))
    for family_names in names.values():
        for name in family_names:
            is_head = any(re.search(pattern, name) for pattern in HEAD_PATTERNS)
            assert is_head == (name not in shared), name
