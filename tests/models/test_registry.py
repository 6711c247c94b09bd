"""Every model of the registry has the published size and output."""

import jax
import jax.numpy as jnp
import pytest

from hrnet_jax.errors import ConfigError
from hrnet_jax.models.batch_norm import NormOptions
from hrnet_jax.registry import create_model, model_names
from tests.models.shapes import leaf_shapes, parameter_names

# Trainable parameters, computed from the official code. Classification: 1000
# classes, as in the tables of HRNet-Image-Classification. Segmentation: 19
# classes; the body of the variant plus (15 C)^2 + 15 C in the first convolution,
# 30 C in the norm and 19 (15 C + 1) in the classifier.
PARAMETERS = {
    "classification/w18_small_v1": 13_187_464,
    "classification/w18_small_v2": 15_597_464,
    "classification/w18": 21_299_004,
    "classification/w30": 37_712_220,
    "classification/w32": 41_232_680,
    "classification/w40": 57_557_160,
    "classification/w44": 67_064_984,
    "classification/w48": 77_469_864,
    "classification/w64": 128_059_944,
    "segmentation/w18_small_v1": 1_540_819,
    "segmentation/w18_small_v2": 3_939_579,
    "segmentation/w18": 9_641_119,
    "segmentation/w32": 29_546_515,
    "segmentation/w40": 45_894_435,
    "segmentation/w48": 65_859_379,
}
BODY_PARAMETERS = {"w30": 25_812_276, "w44": 54_974_640, "w64": 115_697_600}
# (convolution kernels, norms, convolution biases) of a whole model.
LAYERS = {
    "classification": {"w18_small_v1": (91, 91, 4), "w18_small_v2": (164, 164, 4)},
    "segmentation": {"w18_small_v1": (73, 72, 2), "w18_small_v2": (146, 145, 2)},
}
WIDE_LAYERS = {"classification": (325, 325, 4), "segmentation": (307, 306, 2)}


def expected_parameters(name: str) -> int:
    if name in PARAMETERS:
        return PARAMETERS[name]
    variant = name.split("/")[1]
    channels = 15 * int(variant.removeprefix("w"))
    head = channels**2 + channels + 2 * channels + 19 * (channels + 1)
    return BODY_PARAMETERS[variant] + head


def output_shape(model, shape):
    """Shape and type of the output, without computing it."""
    images = jax.ShapeDtypeStruct(shape, jnp.float32)
    variables = jax.eval_shape(model.init, jax.random.key(0), images)
    return jax.eval_shape(model.apply, variables, images)


@pytest.mark.parametrize("name", model_names())
def test_parameter_count_is_the_published_one(name):
    leaves = leaf_shapes(name)
    count = sum(leaf.size for key, leaf in leaves.items() if key.startswith("params/"))
    assert count == expected_parameters(name)
    assert {leaf.dtype for leaf in leaves.values()} == {jnp.dtype("float32")}


@pytest.mark.parametrize("name", model_names())
def test_number_of_layers_is_that_of_the_official_code(name):
    family, variant = name.split("/")
    leaves = leaf_shapes(name)
    kernels = [key for key, leaf in leaves.items() if leaf.ndim == 4]
    norms = [key for key in leaves if key.endswith("/mean")]
    biases = [
        key
        for key in leaves
        if key.endswith("/bias") and key.replace("/bias", "/kernel") in kernels
    ]
    expected = LAYERS[family].get(variant, WIDE_LAYERS[family])
    assert (len(kernels), len(norms), len(biases)) == expected


def test_the_wide_variants_differ_in_widths_only():
    for family in ("classification", "segmentation"):
        names = parameter_names(f"{family}/w18")
        for variant in ("w30", "w32", "w40", "w44", "w48", "w64"):
            assert parameter_names(f"{family}/{variant}") == names


@pytest.mark.parametrize(
    ("size", "expected"),
    [((64, 64), (16, 16)), ((65, 97), (17, 25)), ((473, 473), (119, 119))],
)
def test_segmentation_labels_a_quarter_of_any_size_rounded_up(size, expected):
    model = create_model("segmentation/w18_small_v1", num_classes=7)
    output = output_shape(model, (2, *size, 3))
    assert output.shape == (2, *expected, 7)
    assert output.dtype == jnp.float32


def test_classification_takes_any_size():
    model = create_model("classification/w18_small_v1", num_classes=11)
    assert output_shape(model, (2, 65, 97, 3)).shape == (2, 11)


@pytest.mark.parametrize("family", ["classification", "segmentation"])
def test_outputs_and_variables_are_float32_when_computing_in_bfloat16(family):
    model = create_model(f"{family}/w18_small_v1", dtype="bfloat16")
    images = jax.ShapeDtypeStruct((1, 64, 64, 3), jnp.float32)
    variables = jax.eval_shape(model.init, jax.random.key(0), images)
    output, state = jax.eval_shape(
        lambda v, x: model.apply(v, x, train=True, mutable=["batch_stats"]),
        variables,
        images,
    )
    for leaf in jax.tree.leaves((variables, output, state)):
        assert leaf.dtype == jnp.float32
    # The body does compute in bfloat16.
    assert "bf16" in str(jax.make_jaxpr(model.apply)(variables, images))


def test_upsampling_follows_the_family_unless_asked_otherwise():
    assert create_model("classification/w48").upsample == "nearest"
    assert create_model("segmentation/w48").upsample == "bilinear"
    model = create_model("segmentation/w48", align_corners=True)
    assert model.upsample == "align_corners"
    model = create_model("segmentation/w48", align_corners=False)
    assert model.upsample == "bilinear"


def test_norm_is_given_by_mode_or_by_options():
    assert create_model("segmentation/w18", norm="frozen").norm.mode == "frozen"
    options = NormOptions(momentum=0.01)
    assert create_model("segmentation/w18", norm=options).norm == options


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("segmentation/w17", {}, "unknown model 'segmentation/w17'.*segmentation/w64"),
        ("w48", {}, "unknown model 'w48'"),
        ("segmentation/w48", {"classes": 2}, "no option 'classes'.*num_classes"),
        ("segmentation/w48", {"variant": "w18"}, "no option 'variant'"),
        (
            "segmentation/w48",
            {"align_corners": True, "upsample": "nearest"},
            "either 'align_corners' or 'upsample'",
        ),
        ("segmentation/w48", {"norm": "sync"}, "unknown norm mode 'sync'"),
        ("segmentation/w48", {"dtype": "half!"}, "unknown dtype 'half!'.*'bfloat16'"),
        ("segmentation/w48", {"dtype": "int8"}, "unknown dtype 'int8'.*floating"),
    ],
)
def test_a_wrong_name_or_option_is_an_error_that_says_what_was_expected(
    name, options, message
):
    with pytest.raises(ConfigError, match=message):
        create_model(name, **options)
