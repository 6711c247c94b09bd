"""Folded models compute what the models do."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import traverse_util

from hrnet_jax import runtime
from hrnet_jax.errors import WeightsError
from hrnet_jax.models.batch_norm import NormOptions
from hrnet_jax.models.folding import as_computed, fold_batch_norm
from hrnet_jax.registry import create_model
from tests.models.maps import random_maps
from tests.models.random_weights import random_variables
from tests.tiers import fast_are

NAMES = {
    "classification/w18_small_v1": {"num_classes": 10},
    "landmarks/w18_small_v1": {"num_points": 5},
    "pose/w18_small_v1": {},
    "pyramid/w18_small_v1": {"features": 16},
    "segmentation/w18_small_v1": {"num_classes": 4},
    "segmentation/w18_small_v1_ocr": {"num_classes": 4},
}
# Several outputs, and attention.
FAST = ["pyramid/w18_small_v1", "segmentation/w18_small_v1_ocr"]
SMALL = "pose/w18_small_v1"


@functools.cache
def parts(name):
    """(model, variables with random statistics)."""
    model = create_model(name, **NAMES[name])
    return model, random_variables(model)


def flat_parts(name=SMALL):
    model, variables = parts(name)
    return model, dict(traverse_util.flatten_dict(variables, sep="/"))


def nested(leaves):
    return traverse_util.unflatten_dict(leaves, sep="/")


@pytest.mark.parametrize("name", fast_are(FAST[1:], NAMES))
def test_folded_model_equals_the_model(name):
    model, variables = parts(name)
    folded, weights = fold_batch_norm(model, variables)
    images = random_maps(2, 64, 64, 3)
    expected = jax.tree.leaves(runtime.jit(model.apply)(variables, images))
    got = jax.tree.leaves(runtime.jit(folded.apply)(weights, images))
    assert len(got) == len(expected)
    for left, right in zip(got, expected, strict=True):
        scale = np.std(right)
        assert 1e-3 < scale < 1e3
        np.testing.assert_allclose(left, right, atol=1e-5 * scale, rtol=0)


@pytest.mark.parametrize("name", fast_are(FAST, NAMES))
def test_nothing_of_the_norms_is_left_but_biases(name):
    model, variables = parts(name)
    _, weights = fold_batch_norm(model, variables)
    assert set(weights) == {"params"}
    leaves = traverse_util.flatten_dict(weights["params"], sep="/")
    assert not any(leaf.endswith(("/scale", "conv/bias")) for leaf in leaves)
    assert {leaf.dtype for leaf in leaves.values()} == {np.dtype(np.float32)}
    # One norm's bias each, where three more leaves stood.
    count = len(jax.tree.leaves(variables["batch_stats"])) // 2
    biases = [leaf for leaf in leaves if leaf.split("/")[-2].startswith("norm")]
    assert len(biases) == count > 50


def test_the_formula_written_out():
    model, leaves = flat_parts()
    model = model.clone(norm=NormOptions(epsilon=0.25))
    _, weights = fold_batch_norm(model, nested(leaves))
    scale = leaves["params/stem/norm1/scale"] / np.sqrt(
        leaves["batch_stats/stem/norm1/var"] + 0.25
    )
    np.testing.assert_allclose(
        weights["params"]["stem"]["conv1"]["kernel"],
        leaves["params/stem/conv1/kernel"] * scale,
        rtol=1e-6,
    )
    np.testing.assert_allclose(
        weights["params"]["stem"]["norm1"]["bias"],
        leaves["params/stem/norm1/bias"]
        - leaves["batch_stats/stem/norm1/mean"] * scale,
        atol=1e-6,
    )


def test_the_arrays_given_stay_as_they_are():
    model, leaves = flat_parts()
    before = leaves["params/stem/conv1/kernel"].copy()
    fold_batch_norm(model, nested(leaves))
    np.testing.assert_array_equal(leaves["params/stem/conv1/kernel"], before)


@pytest.mark.parametrize(
    "gone",
    [
        "params/stem/conv1/kernel",
        "params/stem/norm2/scale",
        "batch_stats/stem/norm2/mean",
        "batch_stats/stage1/block0/shortcut/norm/var",
        "params/classifier/bias",
    ],
)
def test_a_missing_leaf_is_named(gone):
    model, leaves = flat_parts()
    del leaves[gone]
    # Without its mean a norm is not recognised, so its scale is left over.
    name = gone.replace("mean", "scale").replace("batch_stats", "params")
    with pytest.raises(WeightsError, match=f"({gone}|{name})"):
        fold_batch_norm(model, nested(leaves))


def test_a_leaf_nobody_needs_is_named():
    model, leaves = flat_parts()
    leaves["params/head/extra"] = np.zeros(3, np.float32)
    with pytest.raises(WeightsError, match=r"1 left over \(params/head/extra\)"):
        fold_batch_norm(model, nested(leaves))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("params/stem/norm1/scale", "stem/norm1 of 7 channels follows .*3, 64"),
        ("batch_stats/stem/norm1/var", "stem/norm1 of 7 channels follows .*3, 64"),
        ("params/classifier/bias", r"bias \[7\], expected \[17\]"),
    ],
)
def test_another_shape_is_named(name, message):
    model, leaves = flat_parts()
    with pytest.raises(WeightsError, match=message):
        fold_batch_norm(model, nested(leaves | {name: np.ones(7, np.float32)}))


def test_folding_twice_is_refused():
    folded, weights = fold_batch_norm(*parts(SMALL))
    with pytest.raises(WeightsError, match="folded already"):
        fold_batch_norm(folded, weights)


def test_rounding_weights_ahead_changes_no_bit():
    model = create_model("segmentation/w18_small_v1", dtype="bfloat16")
    folded, variables = fold_batch_norm(model, random_variables(model))
    rounded = as_computed(variables, folded.dtype)
    assert {leaf.dtype for leaf in jax.tree.leaves(rounded)} == {
        jnp.dtype(jnp.bfloat16)
    }
    images = np.random.default_rng(0).normal(size=(1, 32, 64, 3)).astype(np.float32)
    apply = jax.jit(folded.apply)
    np.testing.assert_array_equal(apply(rounded, images), apply(variables, images))
