"""Every network equals the official PyTorch code on synthetic weights."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hrnet_jax import runtime
from hrnet_jax.pretrained import from_torch, recognize, to_torch
from hrnet_jax.pretrained.wrappers import unwrap
from hrnet_jax.registry import create_model
from tests.goldens import official
from tests.tiers import fast_are

GOLDENS = [name for family in official.FAMILIES for name in official.names(family)]
# The smallest of each family and of each kind of head.
SMALLEST = [
    "classification/w18_small_v1",
    "detection/hrnetv2p_w18_hrfpn",
    "landmarks/hrnet_w18_aflw19",
    "pose/hrnet_w32_coco17",
    "segmentation/hrnet_ocr_w48_pascal60",
    "segmentation/hrnet_w18_small_v1_cityscapes19_v11",
]
# The head of poses, one layer on the highest branch, is the least of them; object context,
# which comes with no network narrower than W48, is in `segmentation/test_object_context`;
# heatmaps of landmarks are made as logits of segmentation are; of pyramids
# `detection/test_pyramid` has the sums.
ELSEWHERE = "^pose/|^landmarks/|^detection/|_ocr_"
FAST = [name for name in SMALLEST if not re.search(ELSEWHERE, name)]


@pytest.fixture(scope="module", params=fast_are(FAST, GOLDENS))
def name(request) -> str:
    """A golden file; its cases run together, as its weights are made but once."""
    official.state_dict(request.param)
    return request.param


def golden_model(name: str, **options):
    """Our model for a golden file, by its description."""
    family, stem = name.split("/")
    record = official.info(name)
    if family == "classification":
        return create_model(name, **options)
    variant = stem.removeprefix("hrnet_").removeprefix("hrnetv2p_")
    if family == "detection":
        return create_model(f"pyramid/{variant.removesuffix('_hrfpn')}", **options)
    if family in ("landmarks", "pose"):
        options["num_points"] = record["num_classes"]
        return create_model(f"{family}/{variant.split('_')[0]}", **options)
    is_ocr = variant.startswith("ocr_")
    parts = variant.removeprefix("ocr_").split("_")
    variant = "_".join(parts[:3]) if "small" in parts else parts[0]
    return create_model(
        f"segmentation/{variant}{'_ocr' if is_ocr else ''}",
        num_classes=record["num_classes"],
        align_corners=record["align_corners"],
        **options,
    )


def named_outputs(case: dict, outputs, state: dict) -> dict[str, np.ndarray]:
    """Outputs by the names in the golden files, NCHW."""
    if isinstance(outputs, tuple):
        named = dict(zip(case["outputs"], outputs, strict=True))
    elif isinstance(outputs, dict):
        named = {"logits": outputs["logits"], "aux_logits": outputs["aux"]}
    else:
        named = {next(iter(case["outputs"])): outputs}
    if "features" in state["intermediates"]:
        (named["features"],) = state["intermediates"]["features"]
    assert named.keys() == case["outputs"].keys()
    return {name: to_nchw(value) for name, value in named.items()}


def named_taps(state: dict) -> dict[str, np.ndarray]:
    """Outputs of the stages, by the names in the golden files, NCHW."""
    taps = {}
    for stage in (1, 2, 3, 4):
        (branches,) = state["intermediates"][f"after_stage{stage}"]
        for index, value in enumerate(branches):
            name = "layer1" if stage == 1 else f"stage{stage}.{index}"
            taps[name] = to_nchw(value)
    return taps


def to_nchw(value) -> np.ndarray:
    value = np.asarray(value)
    return value.transpose(0, 3, 1, 2) if value.ndim == 4 else value


# As users compile, in the fast tier as well, which optimises nothing (Makefile).
OPTIMISED = {"xla_backend_optimization_level": 3}


def run(name: str, model, variables, images_type, options=None):
    """(case, outputs, taps) of every case of a golden file."""

    @runtime.jit
    def forward(variables, images):
        return model.apply(variables, images, mutable=["intermediates"])

    for case in official.info(name)["cases"]:
        images = official.image(case).astype(images_type)
        program = forward.lower(variables, images).compile(options)
        outputs, state = jax.device_get(program(variables, images))
        yield case, named_outputs(case, outputs, state), named_taps(state)


def compare(name: str, results, check, tolerance: float) -> None:
    """Checks every output; names the first wrong stage where one is off."""
    for case, outputs, taps in results:
        assert taps.keys() == case["taps"].keys()
        for output, value in outputs.items():
            try:
                check(name, case, output, value)
            except AssertionError as error:
                hint = official.first_wrong_tap(case, taps, tolerance)
                raise AssertionError(f"{error}{hint}") from None


def test_forward_pass_equals_the_official_code(name):
    model = golden_model(name)
    variables = from_torch(official.state_dict(name), model)
    results = run(name, model, variables, np.float32)
    compare(name, results, official.assert_matches, official.TOLERANCE)


@pytest.mark.parametrize("name", fast_are(SMALLEST[-1:], GOLDENS))
def test_forward_pass_equals_the_official_code_in_double_precision(name):
    with jax.enable_x64():
        model = golden_model(name, dtype=jnp.float64)
        variables = jax.tree.map(
            np.float64, from_torch(official.state_dict(name), model)
        )
        results = run(name, model, variables, np.float64)
        compare(name, results, official.assert_matches_in_double, official.TOLERANCE)


@pytest.mark.parametrize("name", fast_are(SMALLEST[-1:], SMALLEST))
def test_forward_pass_equals_the_official_code_as_users_compile_it(name):
    model = golden_model(name)
    variables = from_torch(official.state_dict(name), model)
    results = run(name, model, variables, np.float32, OPTIMISED)
    compare(name, results, official.assert_matches, official.TOLERANCE)


def test_a_wrong_stage_is_named():
    name = "segmentation/hrnet_w18_small_v1_cityscapes19_v11"
    model = golden_model(name)
    variables = from_torch(official.state_dict(name), model)
    norm = variables["params"]["stage3"]["module0"]["branch2"]["block1"]["norm2"]
    norm["bias"] = norm["bias"] + 0.1
    results = run(name, model, variables, np.float32)
    with pytest.raises(AssertionError, match=r"logits: .*that differs is stage3\.0:"):
        compare(name, results, official.assert_matches, official.TOLERANCE)


def test_parameter_count_and_round_trip_are_exact(name):
    model = golden_model(name)
    state = official.state_dict(name)
    variables = from_torch(state, model)
    count = sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))
    assert count == official.info(name)["trainable_parameters"]
    back = to_torch(variables, model)
    assert back.keys() == state.keys()
    for key, value in state.items():
        assert back[key].dtype == value.dtype
        np.testing.assert_array_equal(back[key], value)


def test_the_model_is_recognised_from_names_and_shapes(name):
    found = recognize(unwrap(official.state_dict(name)))
    model = golden_model(name)
    assert (found.scheme.convention, found.scheme.kind) == (
        "official",
        model.output_kind,
    )
    recognised = create_model(found.model, upsample=model.upsample, **found.options)
    assert recognised == model
