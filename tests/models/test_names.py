"""Parameter names are API, and each has exactly one official name."""

import pathlib
import re

import pytest

from hrnet_jax.pretrained.names import HEAD_PATTERNS, from_official, to_official
from tests.models.shapes import leaf_shapes, parameter_names

NAMES_FILE = (
    pathlib.Path(__file__).parents[1] / "goldens" / "parameter_names_w18_small_v1.txt"
)
# Wider variants have the names of w18; test_registry says so.
STRUCTURES = [
    f"{family}/{variant}"
    for family in ("classification", "segmentation")
    for variant in ("w18_small_v1", "w18_small_v2", "w18")
]


def test_parameter_names_have_not_changed():
    # Checkpoints and notebooks depend on them. Whoever changes a name on purpose
    # changes the file, and says how old checkpoints are read.
    expected = NAMES_FILE.read_text().split()
    assert parameter_names("segmentation/w18_small_v1") == expected


@pytest.mark.parametrize("name", STRUCTURES)
def test_every_leaf_has_one_official_name_and_comes_back_from_it(name):
    official = {}
    for leaf in leaf_shapes(name):
        short = leaf.split("/", 1)[1]
        translated = to_official(short)
        assert translated is not None, f"no official name for {short}"
        assert from_official(translated) == short
        assert official.setdefault(translated, leaf) == leaf, "two leaves share a name"
    assert len(official) == len(leaf_shapes(name))


@pytest.mark.parametrize(
    ("ours", "official"),
    [
        ("stem/conv1/kernel", "conv1.weight"),
        ("stem/norm2/var", "bn2.running_var"),
        ("stage1/block0/shortcut/conv/kernel", "layer1.0.downsample.0.weight"),
        ("stage1/block3/norm3/scale", "layer1.3.bn3.weight"),
        # A new branch is one list deeper than one that only changes its width.
        ("transition1/branch0/conv/kernel", "transition1.0.0.weight"),
        ("transition1/branch1/conv/kernel", "transition1.1.0.0.weight"),
        ("transition3/branch3/norm/bias", "transition3.3.0.1.bias"),
        (
            "stage3/module2/branch1/block0/conv1/kernel",
            "stage3.2.branches.1.0.conv1.weight",
        ),
        # Official fuse layers count target first, then source.
        (
            "stage4/module0/exchange/from2_to0/conv/kernel",
            "stage4.0.fuse_layers.0.2.0.weight",
        ),
        (
            "stage4/module0/exchange/from0_to2/step1/norm/mean",
            "stage4.0.fuse_layers.2.0.1.1.running_mean",
        ),
        ("head/project/bias", "last_layer.0.bias"),
        ("head/classifier/kernel", "last_layer.3.weight"),
        ("increase2/norm3/scale", "incre_modules.2.0.bn3.weight"),
        ("downsample1/conv/bias", "downsamp_modules.1.0.bias"),
        ("final/norm/scale", "final_layer.1.weight"),
        ("classifier/kernel", "classifier.weight"),
    ],
)
def test_names_of_the_official_code(ours, official):
    assert to_official(ours) == official
    assert from_official(official) == ours


@pytest.mark.parametrize(
    "name", ["", "fc", "fc.weight", "conv1.gamma", "layer2.0.conv1.weight", "bn1."]
)
def test_other_names_are_not_official(name):
    assert from_official(name) is None


def test_heads_are_what_families_do_not_share():
    names = {
        family: parameter_names(f"{family}/w18_small_v1")
        for family in ("classification", "segmentation")
    }
    shared = set(names["classification"]) & set(names["segmentation"])
    for family_names in names.values():
        for name in family_names:
            is_head = any(re.search(pattern, name) for pattern in HEAD_PATTERNS)
            assert is_head == (name not in shared), name
