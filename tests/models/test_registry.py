"""Every model of the registry has the published size and output."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hrnet_jax.errors import ConfigError
from hrnet_jax.models.batch_norm import NormOptions
from hrnet_jax.models.initialization import variable_shapes
from hrnet_jax.registry import create_model, model_names
from tests.models.shapes import leaf_shapes
from tests.tiers import fast_are

# Trainable parameters: bodies with four outputs, bodies whose last exchange has one
# (HRNetV1), ImageNet classifiers with 1000 classes, bodies with the pyramid. Counted
# from the architecture, equal to the published tables where there are any.
BODIES = {
    "w18_small_v1": (1_477_920, 1_284_672, 13_187_464, 4_490_016),
    "w18_small_v2": (3_860_720, 3_616_352, 15_597_464, 6_880_496),
    "w18": (9_562_260, 9_317_892, 21_299_004, 12_582_036),
    "w30": (25_812_276, 25_135_356, 37_712_220, 28_878_132),
    "w32": (29_305_536, 28_535_552, 41_232_680, 32_379_072),
    "w40": (45_521_216, 44_319_056, 57_557_160, 48_625_472),
    "w44": (54_974_640, 53_520_440, 67_064_984, 58_094_256),
    "w48": (65_325_120, 63_594_912, 77_469_864, 68_460_096),
    "w64": (115_697_600, 112_623_680, 128_059_944, 118_894_016),
}
# Whole models of the published tables.
PUBLISHED = {
    "segmentation/w18_small_v1": 1_540_819,
    "segmentation/w18_small_v2": 3_939_579,
    "segmentation/w18": 9_641_119,
    "segmentation/w32": 29_546_515,
    "segmentation/w40": 45_894_435,
    "segmentation/w48": 65_859_379,
    "segmentation/w48_ocr": 70_372_678,
    "landmarks/w18": 9_654_398,
    "pose/w32": 28_536_113,
    "pose/w48": 63_595_745,
}
# (convolution kernels, norms, convolution biases) of the bodies with four outputs and
# with one.
LAYERS = {"w18_small_v1": (71, 58), "w18_small_v2": (144, 131)}
WIDE_LAYERS = (305, 292)
# The same of the heads.
HEAD_LAYERS = {
    "classification": (20, 20, 4),
    "features": (0, 0, 0),
    "segmentation": (2, 1, 2),
    "segmentation_ocr": (11, 9, 4),
    "landmarks": (2, 1, 2),
    "pose": (1, 0, 1),
    "pyramid": (6, 0, 6),
    # The pyramid and the RPN; linear layers have no 4-d kernels.
    "faster_rcnn": (9, 0, 9),
    "cascade_rcnn": (9, 0, 9),
    # Six more in every mask head.
    "mask_rcnn": (15, 0, 15),
    "cascade_mask_rcnn": (27, 0, 27),
    # Group norms have no statistics.
    "fcos": (17, 0, 9),
}
# Trainable parameters of whole detectors beside the body and its pyramid: RPN, box heads
# and mask heads of 80 classes. Equal to those of mmdetection 3.3 where it has them
# (`test_detector_goldens`), and to table 7 of the paper less what the background had
# boxes and masks of: 4,100 (Faster), 257 more for each mask head.
_RPN = 9 * 256 * 256 + 256 + 15 * 257
_BOX = 12545 * 1024 + 1025 * 1024 + 1025 * 81
_MASK = 4 * (9 * 256 * 256 + 256) + 4 * 256 * 256 + 256 + 80 * 257
DETECTOR_HEADS = {
    "faster_rcnn": _RPN + _BOX + 1025 * 320,
    "mask_rcnn": _RPN + _BOX + 1025 * 320 + _MASK,
    "cascade_rcnn": _RPN + 3 * (_BOX + 1025 * 4),
    "cascade_mask_rcnn": _RPN + 3 * (_BOX + 1025 * 4 + _MASK),
    "fcos": 8 * (9 * 256 * 256 + 512) + 85 * (9 * 256 + 1) + 5,
}
# Section "exact parameters of the full detectors" of the published tables' check, with
# the background's boxes and masks.
DETECTORS = {
    "w18": (27_486_776, 30_130_313, 55_124_386, 63_054_997, 17_500_654),
    "w30": (43_782_872, 46_426_409, 71_420_482, 79_351_093, 33_796_750),
    "w32": (47_283_812, 49_927_349, 74_921_422, 82_852_033, 37_297_690),
    "w40": (63_530_212, 66_173_749, 91_167_822, 99_098_433, 53_544_090),
    "w48": (83_364_836, 86_008_373, 111_002_446, 118_933_057, 73_378_714),
    "w64": (133_798_756, 136_442_293, 161_436_366, 169_366_977, 123_812_634),
}
BACKGROUND = (4_100, 4_357, 0, 3 * 257, 0)


# Wider variants are W18 with other numbers.
STRUCTURES = [
    name
    for name in model_names()
    if name.split("/")[1].removesuffix("_ocr")
    in ("w18_small_v1", "w18_small_v2", "w18")
]
STRUCTURES += [f"detection/{kind}_w18" for kind in DETECTOR_HEADS]


def kind_and_variant(name: str) -> tuple[str, str]:
    family, rest = name.split("/")
    if family == "detection":
        kind, _, variant = rest.partition("_w")
        return kind, f"w{variant}"
    variant = rest.removesuffix("_ocr")
    return family + rest.removeprefix(variant), variant


def pixel_head(channels: int, outputs: int) -> int:
    """1x1 convolution with bias, norm, 1x1 convolution with bias."""
    return channels**2 + channels + 2 * channels + outputs * (channels + 1)


def ocr_head(channels: int, outputs: int) -> int:
    """Auxiliary head, 3x3 convolution, six attention layers, fusion, classifier."""
    pixels = 9 * channels * 512 + 512 + 2 * 512
    narrow = 3 * (512 * 256 + 2 * 256) + 2 * (256 * 256 + 2 * 256)
    wide = 256 * 512 + 2 * 512 + 1024 * 512 + 2 * 512
    classifier = outputs * (512 + 1)
    return pixel_head(channels, outputs) + pixels + narrow + wide + classifier


def expected_parameters(name: str) -> int:
    kind, variant = kind_and_variant(name)
    body, single, classifier, pyramid = BODIES[variant]
    channels = 15 * (16 if variant == "w18_small_v1" else int(variant[1:3]))
    if kind in DETECTOR_HEADS:
        return pyramid + DETECTOR_HEADS[kind]
    return {
        "classification": classifier,
        "features": body,
        "pyramid": pyramid,
        "pose": single + 17 * (channels // 15 + 1),
        "landmarks": body + pixel_head(channels, 68),
        "segmentation": body + pixel_head(channels, 19),
        "segmentation_ocr": body + ocr_head(channels, 19),
    }[kind]


def output_shape(model, shape):
    """Shape and type of the output, without computing it."""
    images = jax.ShapeDtypeStruct(shape, jnp.float32)
    variables = jax.eval_shape(model.init, jax.random.key(0), images)
    return jax.eval_shape(model.apply, variables, images)


@pytest.mark.parametrize("name", fast_are(STRUCTURES, model_names()))
def test_parameter_count_is_the_published_one(name):
    leaves = leaf_shapes(name)
    count = sum(leaf.size for key, leaf in leaves.items() if key.startswith("params/"))
    assert count == expected_parameters(name)
    assert {leaf.dtype for leaf in leaves.values()} == {jnp.dtype("float32")}


@pytest.mark.parametrize("name", fast_are(STRUCTURES, model_names()))
def test_number_of_layers_is_that_of_the_official_code(name):
    kind, variant = kind_and_variant(name)
    leaves = leaf_shapes(name)
    kernels = [key for key, leaf in leaves.items() if leaf.ndim == 4]
    norms = [key for key in leaves if key.endswith("/mean")]
    biases = [
        key
        for key in leaves
        if key.endswith("/bias") and key.replace("/bias", "/kernel") in kernels
    ]
    body = LAYERS.get(variant, WIDE_LAYERS)[kind == "pose"]
    expected = np.add((body, body, 0), HEAD_LAYERS[kind])
    assert (len(kernels), len(norms), len(biases)) == tuple(expected)


def test_published_counts_are_among_the_expected_ones():
    for name, count in PUBLISHED.items():
        assert expected_parameters(name) == count


@pytest.mark.parametrize("variant", DETECTORS)
def test_detectors_have_the_published_numbers_of_parameters(variant):
    for kind, published, background in zip(
        ("faster_rcnn", "mask_rcnn", "cascade_rcnn", "cascade_mask_rcnn", "fcos"),
        DETECTORS[variant],
        BACKGROUND,
        strict=True,
    ):
        name = f"detection/{kind}_{variant}"
        assert expected_parameters(name) == published - background


@pytest.mark.parametrize(
    ("representation", "difference"),
    [
        # Without the paths to lower resolutions; a head on C channels.
        ("v1", 9_317_892 + pixel_head(18, 19)),
        # A 1x1 convolution to 15 C channels in front of V2's head.
        ("v1h", 9_317_892 + 18 * 270 + 270 + pixel_head(270, 19)),
        ("v2", 9_562_260 + pixel_head(270, 19)),
    ],
)
def test_representations_differ_as_in_the_paper(representation, difference):
    model = create_model("segmentation/w18", representation=representation)
    variables = variable_shapes(model)
    count = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(variables["params"]))
    assert count == difference
    assert output_shape(model, (1, 65, 97, 3)).shape == (1, 17, 25, 19)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [(32, 24), (16, 12), (8, 6), (4, 3), (2, 1)]),
        ({"stride": 2}, [(16, 12), (8, 6), (4, 3), (2, 2), (1, 1)]),
        ({"levels": 6}, None),
        ({"levels": 4, "features": 32}, [(32, 24), (16, 12), (8, 6), (4, 3)]),
    ],
)
def test_levels_of_the_pyramid(options, expected):
    model = create_model("pyramid/w18_small_v1", **options)
    if expected is None:
        message = (
            r"a map of 32x24 has no window of 32x32: the image must be at least 128"
        )
        with pytest.raises(ConfigError, match=message):
            output_shape(model, (2, 128, 96, 3))
        return
    outputs = output_shape(model, (2, 128, 96, 3))
    features = options.get("features", 256)
    assert [level.shape for level in outputs] == [(2, *hw, features) for hw in expected]
    assert {level.dtype for level in outputs} == {jnp.dtype("float32")}


def test_ocr_puts_out_two_sets_of_logits():
    model = create_model("segmentation/w18_small_v1_ocr", num_classes=7)
    outputs = output_shape(model, (2, 65, 97, 3))
    assert outputs.keys() == {"aux", "logits"}
    assert {output.shape for output in outputs.values()} == {(2, 17, 25, 7)}


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


@pytest.mark.parametrize("kind", fast_are(["pyramid", "segmentation_ocr"], HEAD_LAYERS))
def test_outputs_and_variables_are_float32_when_computing_in_bfloat16(kind):
    family, _, suffix = kind.partition("_")
    suffix = f"_{suffix}" if suffix else ""
    name = f"{family}/w18_small_v1{suffix}"
    if f"detection/{kind}_w18_small_v1" in model_names():
        name = f"detection/{kind}_w18_small_v1"
    model = create_model(name, dtype="bfloat16")
    images = jax.ShapeDtypeStruct((1, 64, 64, 3), jnp.float32)
    variables = variable_shapes(model)
    output, state = jax.eval_shape(
        lambda v, x, key: model.apply(
            v, x, train=True, mutable=["batch_stats"], rngs={"dropout": key}
        ),
        variables,
        images,
        jax.random.key(1),
    )
    for leaf in jax.tree.leaves((variables, output, state)):
        assert leaf.dtype == jnp.float32
    # The body does compute in bfloat16.
    assert "bf16" in str(jax.make_jaxpr(model.apply)(variables, images))


def test_upsampling_follows_the_family_unless_asked_otherwise():
    assert create_model("classification/w48").upsample == "nearest"
    assert create_model("features/w48").upsample == "bilinear"
    assert create_model("segmentation/w48").upsample == "bilinear"
    assert create_model("landmarks/w18").upsample == "bilinear"
    assert create_model("pose/w32").upsample == "nearest"
    assert create_model("pyramid/w18").upsample == "nearest"
    assert create_model("segmentation/w48_ocr").upsample == "align_corners"
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
        (
            "pose/w32",
            {"representation": "v2"},
            (
                r"'pose/w32' has no representation 'v2'; expected one of v1 "
                r"\(v2 exists in features, landmarks, segmentation\)"
            ),
        ),
        ("pyramid/w18", {"representation": "v1h"}, "expected one of v2p"),
        ("segmentation/w48_ocr", {"representation": "v1"}, "expected one of v2 "),
        ("segmentation/w48", {"representation": "v3"}, "expected one of v1, v1h, v2$"),
        ("classification/w18", {"representation": "v2"}, "no option 'representation'"),
        ("segmentation/w48", {"concatenate": True}, "no option 'concatenate'"),
        ("landmarks/w18_ocr", {}, "unknown model 'landmarks/w18_ocr'"),
        ("landmarks/w18", {"num_classes": 68}, "no option 'num_classes'.*num_points"),
        (
            "segmentation/w48",
            {"upsample": "cubic"},
            "unknown upsample method 'cubic'.*bilinear_by_factor",
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
