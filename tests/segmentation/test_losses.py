"""Pixel losses equal the official ones, and are global over devices."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hrnet_jax import runtime
from hrnet_jax.config.options import read_options
from hrnet_jax.errors import ConfigError
from hrnet_jax.segmentation.losses import (
    LossOptions,
    kth_smallest,
    mean_cross_entropy,
    ohem_cross_entropy,
    pixel_cross_entropy,
    segmentation_loss,
)
from tests.goldens import official, synthetic_weights

NUMERIC = "numeric/segmentation"
SHAPES = {
    "low": ("loss/logits", (2, 19, 9, 13)),
    "full": ("loss/logits_full", (2, 19, 33, 49)),
}
GOLDENS = sorted(
    key.removeprefix("loss/")
    for key in official.arrays(NUMERIC)
    if re.fullmatch(r"loss/(ce|ohem)\w*[\w.]*/(low|full)", key)
)

# With an auxiliary output; all at low resolution, with aligned corners.
OCR_GOLDENS = ("ocr_ce", "ocr_ohem_t0.1_k400", "ocr_ohem_t0.9_k131072_weighted")


value_and_gradient = jax.jit(
    jax.value_and_grad(segmentation_loss), static_argnums=(2, 3)
)


def golden_options(name: str, class_weights: np.ndarray, **options) -> LossOptions:
    """Options of a golden called `ce`, `ce_weighted`, `ohem_t0.1_k400_weighted`."""
    weights = tuple(class_weights.tolist()) if name.endswith("_weighted") else ()
    if name.startswith("ce"):
        return LossOptions(class_weights=weights, **options)
    threshold, kept = re.match(r"ohem_t([\d.]+)_k(\d+)", name).groups()
    return LossOptions("ohem", weights, float(threshold), int(kept), **options)


def golden_logits(key: str, shape: tuple) -> jax.Array:
    """float64 logits [B, H, W, K] of the goldens."""
    seed = int(official.arrays(NUMERIC)["loss/seed"])
    logits = synthetic_weights.noise(key, shape, 1.5, seed).astype(np.float32)
    return jnp.asarray(logits.transpose(0, 2, 3, 1), jnp.float64)


def digest(gradient: jax.Array) -> np.ndarray:
    """Norm and two projections of a gradient, as in the goldens."""
    gradient = np.asarray(gradient).transpose(0, 3, 1, 2)
    projections = synthetic_weights.projections(gradient, 2)
    return np.array([np.linalg.norm(gradient), *projections])


def random_case(shape=(2, 8, 8), classes=5, seed=0):
    """Logits and labels with about a tenth of the pixels ignored."""
    rng = np.random.default_rng(seed)
    logits = 2 * rng.standard_normal((*shape, classes)).astype(np.float32)
    labels = rng.integers(0, classes, shape)
    labels[rng.random(shape) < 0.1] = 255
    return logits, labels.astype(np.int32)


def test_goldens_are_all_there():
    assert len(GOLDENS) == 2 * 8


@pytest.mark.parametrize("golden", GOLDENS)
def test_loss_and_gradient_equal_the_official_code(golden):
    arrays = official.arrays(NUMERIC)
    name, resolution = golden.split("/")
    options = golden_options(name, arrays["loss/class_weights"])
    with jax.enable_x64():
        value, gradient = value_and_gradient(
            golden_logits(*SHAPES[resolution]),
            arrays["loss/labels"],
            options,
            "bilinear",
        )
        value, got = np.asarray(value), digest(gradient)
    assert value.dtype == np.float64
    np.testing.assert_allclose(value, arrays[f"loss/{golden}"], rtol=1e-8)
    np.testing.assert_allclose(got, arrays[f"loss/{golden}_gradient_digest"], rtol=1e-8)


@pytest.mark.parametrize("golden", OCR_GOLDENS)
def test_loss_of_two_outputs_equals_the_official_code(golden):
    arrays = official.arrays(NUMERIC)
    name = golden.removeprefix("ocr_")
    options = golden_options(
        name,
        arrays["loss/class_weights"],
        official_aux_mean=name.startswith("ohem"),
    )
    shape = SHAPES["low"][1]
    with jax.enable_x64():
        outputs = {
            "aux": golden_logits("loss/logits_aux", shape),
            "logits": golden_logits("loss/logits", shape),
        }
        value, gradient = value_and_gradient(
            outputs, arrays["loss/labels"], options, "align_corners"
        )
        got = [digest(gradient["aux"]), digest(gradient["logits"])]
    np.testing.assert_allclose(value, arrays[f"loss/{golden}/low"], rtol=1e-8)
    np.testing.assert_allclose(
        got, arrays[f"loss/{golden}/low_gradient_digest"], rtol=1e-8
    )


def test_goldens_of_two_outputs_are_all_there():
    found = {key for key in official.arrays(NUMERIC) if key.startswith("loss/ocr_")}
    assert {f"loss/{name}/low" for name in OCR_GOLDENS} <= found
    assert len(found) == 2 * len(OCR_GOLDENS)


def test_cross_entropy_is_the_formula():
    logits, labels = random_case()
    weights = (1.0, 0.5, 2.0, 0.0, 3.0)
    total = count = 0.0
    for b, i, j in np.argwhere(labels != 255):
        row, label = logits[b, i, j].astype(np.float64), labels[b, i, j]
        probability = np.exp(row[label]) / np.exp(row).sum()
        total -= weights[label] * np.log(probability)
        count += weights[label]
    got = segmentation_loss(
        logits, labels, LossOptions(class_weights=weights), "bilinear"
    )
    np.testing.assert_allclose(got, total / count, rtol=1e-5)


def test_hard_examples_are_those_strictly_below_the_threshold():
    # Two classes with logits (0, z): the probability of class 0 is 1/(1 + e^z).
    probability = np.array([0.1, 0.2, 0.2, 0.3, 0.6], np.float32)
    z = np.log(1 / probability - 1)
    logits = np.stack([np.zeros(5), z], -1).reshape(1, 1, 5, 2).astype(np.float32)
    labels = np.zeros((1, 1, 5), np.int32)
    exact = np.asarray(
        jnp.exp(-pixel_cross_entropy(logits, labels, (), "bilinear")[0])
    )[0, 0]

    def mean_of(kept, threshold, min_kept):
        options = LossOptions("ohem", (), threshold, min_kept)
        got = ohem_cross_entropy(logits, labels, options, "bilinear")
        np.testing.assert_allclose(got, -np.log(probability[kept]).mean(), rtol=1e-5)

    mean_of([0, 1, 2, 3], 0.5, 2)  # The threshold decides.
    mean_of([0, 1, 2], 0.05, 3)  # Rank 3 is 0.3, which is not strictly below.
    mean_of([0], 0.05, 2)  # Ties at the threshold are dropped together.
    mean_of([0, 1, 2, 3], 0.05, 99)  # The rank stops at the last pixel.
    mean_of([0, 1, 2], float(exact[3]), 0)  # Equal to the threshold is easy.


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_kth_smallest_equals_sorting(dtype):
    rng = np.random.default_rng(0)
    values = rng.random(97).astype(dtype)
    values[10:20] = values[30]  # Ties,
    values[50:60] = np.inf  # infinities,
    values[70:75] = 0  # zeros
    values[80] = np.finfo(dtype).tiny  # and the smallest normal number.
    with jax.enable_x64(dtype == np.float64):
        got = jax.vmap(kth_smallest, (None, 0))(values, np.arange(97))
        got = np.asarray(got)
    assert got.dtype == dtype
    np.testing.assert_array_equal(got, np.sort(values))


@pytest.mark.parametrize("name", ["cross_entropy", "ohem"])
@pytest.mark.parametrize("class_weights", [(), (1.0, 2.0, 3.0, 4.0, 5.0)])
def test_a_batch_without_labels_costs_nothing(name, class_weights):
    logits, labels = random_case()
    options = LossOptions(name, class_weights)
    value, gradient = value_and_gradient(
        logits, np.full_like(labels, 255), options, "bilinear"
    )
    assert value == 0
    assert (np.asarray(gradient) == 0).all()


@pytest.mark.parametrize("name", ["cross_entropy", "ohem"])
def test_ignored_pixels_have_no_gradient(name):
    logits, labels = random_case()
    options = LossOptions(name, (), 0.9, 100_000)
    gradient = np.asarray(value_and_gradient(logits, labels, options, "bilinear")[1])
    assert (gradient[labels == 255] == 0).all()
    assert (gradient[labels != 255] != 0).any()


@pytest.mark.parametrize("name", ["cross_entropy", "ohem"])
@pytest.mark.parametrize("wrong", [5, 200, 254, -1])
def test_a_label_out_of_range_counts_as_ignored(name, wrong):
    # Writing records refuses such labels; a gather here would clamp silently.
    logits, labels = random_case()
    options = LossOptions(name, (), 0.9, 100_000)
    changed = np.where(labels == 255, wrong, labels)
    expected = value_and_gradient(logits, labels, options, "bilinear")
    got = value_and_gradient(logits, changed, options, "bilinear")
    np.testing.assert_allclose(got[0], expected[0], rtol=1e-6)
    np.testing.assert_allclose(got[1], expected[1], atol=1e-7)


def test_confident_logits_do_not_overflow():
    logits = np.zeros((1, 1, 2, 2), np.float32)
    logits[..., 0] = 1e4
    labels = np.array([[[0, 1]]], np.int32)
    for options in (LossOptions(), LossOptions("ohem", (), 0.9, 0)):
        value, gradient = value_and_gradient(logits, labels, options, "bilinear")
        np.testing.assert_allclose(value, 5e3 if options.name != "ohem" else 1e4)
        assert np.isfinite(gradient).all()


@pytest.mark.parametrize(
    "options",
    [
        LossOptions(),
        LossOptions("ohem", (), 0.1, 100),
        LossOptions("ohem", (1.0, 2.0, 3.0, 4.0, 5.0), 0.1, 100),
    ],
    ids=["cross_entropy", "ohem", "ohem_weighted"],
)
def test_eight_devices_equal_one(options):
    logits, labels = random_case((8, 6, 6))
    # Devices differ: the first sees only ignored pixels, the last only easy ones.
    labels[0] = 255
    logits[7] += 8 * (labels[7][..., None] == np.arange(5))
    mesh = runtime.make_mesh(data=8)
    sharded = [
        jax.device_put(x, runtime.batch_sharding(mesh, x.ndim))
        for x in (logits, labels)
    ]
    expected_value, expected_gradient = value_and_gradient(
        logits, labels, options, "bilinear"
    )
    value, gradient = value_and_gradient(*sharded, options, "bilinear")
    assert len(gradient.sharding.device_set) == 8
    np.testing.assert_allclose(value, expected_value, rtol=1e-6)
    np.testing.assert_allclose(gradient, expected_gradient, atol=1e-7)


def two_outputs(**case):
    """Outputs of a model with an auxiliary head, and labels."""
    logits, labels = random_case(**case)
    return {"aux": logits[..., ::-1] * 0.5, "logits": logits}, labels


@pytest.mark.parametrize("class_weights", [(), (1.0, 2.0, 3.0, 4.0, 5.0)])
@pytest.mark.parametrize("name", ["cross_entropy", "ohem"])
def test_the_auxiliary_loss_is_a_weighted_mean_and_never_mined(name, class_weights):
    outputs, labels = two_outputs()
    aux = mean_cross_entropy(outputs["aux"], labels, class_weights, "bilinear")
    for weight in (0.0, 0.4, 2.5):
        options = LossOptions(name, class_weights, 0.3, 20, aux_weight=weight)
        main = segmentation_loss(outputs["logits"], labels, options, "bilinear")
        got = segmentation_loss(outputs, labels, options, "bilinear")
        np.testing.assert_allclose(got, main + weight * aux, rtol=1e-6)
    assert LossOptions().aux_weight == 0.4


def test_the_official_mean_of_the_auxiliary_loss_counts_ignored_pixels():
    outputs, labels = two_outputs()
    weights = (1.0, 2.0, 3.0, 4.0, 5.0)
    common = {"name": "ohem", "class_weights": weights, "ohem_threshold": 0.3}
    total = 0.0
    for b, i, j in np.argwhere(labels != 255):
        row, label = outputs["aux"][b, i, j].astype(np.float64), labels[b, i, j]
        total -= weights[label] * np.log(np.exp(row[label]) / np.exp(row).sum())
    options = LossOptions(**common, official_aux_mean=True)
    main = segmentation_loss(outputs["logits"], labels, options, "bilinear")
    got = segmentation_loss(outputs, labels, options, "bilinear")
    np.testing.assert_allclose(got, main + 0.4 * total / labels.size, rtol=1e-6)
    right = segmentation_loss(outputs, labels, LossOptions(**common), "bilinear")
    assert abs(float(right) - float(got)) > 0.1


@pytest.mark.parametrize(
    "options",
    [
        LossOptions(),
        LossOptions("ohem", (), 0.3, 20),
        LossOptions("ohem", (), 0.3, 20, official_aux_mean=True),
    ],
    ids=["cross_entropy", "ohem", "ohem_official"],
)
def test_two_outputs_without_labels_and_over_eight_devices(options):
    outputs, labels = two_outputs(shape=(8, 6, 6))
    value, gradient = value_and_gradient(
        outputs, np.full_like(labels, 255), options, "bilinear"
    )
    assert value == 0
    assert all((np.asarray(x) == 0).all() for x in gradient.values())
    labels[0] = 255
    mesh = runtime.make_mesh(data=8)
    sharded = jax.tree.map(
        lambda x: jax.device_put(x, runtime.batch_sharding(mesh, x.ndim)),
        (outputs, labels),
    )
    expected_value, expected = value_and_gradient(outputs, labels, options, "bilinear")
    value, gradient = value_and_gradient(*sharded, options, "bilinear")
    np.testing.assert_allclose(value, expected_value, rtol=1e-6)
    for key, x in gradient.items():
        np.testing.assert_allclose(x, expected[key], atol=1e-7)


def test_unknown_loss_is_an_error_that_lists_the_known_ones():
    known = "cross_entropy, ohem, focal, dice, lovasz"
    with pytest.raises(ConfigError, match=f"'tversky'; expected one of {known}"):
        LossOptions("tversky")


@pytest.mark.parametrize("weight", [-0.1, float("nan"), float("inf")])
def test_a_factor_that_is_none_is_an_error_that_names_its_key(weight):
    with pytest.raises(ConfigError, match="'loss.aux_weight' must be .* at least 0"):
        LossOptions(aux_weight=weight)
    with pytest.raises(ConfigError, match="'loss.aux_weight' must be .*type float"):
        read_options(LossOptions, {"aux_weight": "much"}, "loss")


def test_the_official_mean_goes_with_hard_example_mining_only():
    message = "'loss.official_aux_mean' goes with loss.name='ohem'.*'cross_entropy'"
    with pytest.raises(ConfigError, match=message):
        LossOptions(official_aux_mean=True)
