"""Initial variables: a function of seed and name, with the published spread."""

import dataclasses
import zlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import traverse_util
from flax.errors import ScopeParamShapeError

from hrnet_jax.errors import ConfigError
from hrnet_jax.models.initialization import initial_variables, variable_shapes
from hrnet_jax.models.layers import Conv
from hrnet_jax.models.variants import VARIANTS
from hrnet_jax.registry import create_model
from tests import tiny

NAME = "segmentation/w18_small_v1"


def flat(variables):
    return traverse_util.flatten_dict(variables, sep="/")


@pytest.fixture(scope="module")
def drawn():
    """Leaves of the default initial variables."""
    return flat(initial_variables(create_model(NAME)))


@pytest.mark.parametrize(
    "name",
    [
        NAME,
        "classification/w18_small_v1",
        "landmarks/w18_small_v1",
        "pose/w18_small_v1",
        "pyramid/w18_small_v1",
        "segmentation/w18_small_v1_ocr",
    ],
)
def test_tree_is_that_of_init(name):
    model = create_model(name)
    variables = initial_variables(model)
    expected = jax.eval_shape(model.init, jax.random.key(0), jnp.ones((1, 64, 64, 3)))
    assert jax.tree.structure(variables) == jax.tree.structure(dict(expected))
    for leaf, other in zip(
        jax.tree.leaves(variables), jax.tree.leaves(expected), strict=True
    ):
        assert isinstance(leaf, np.ndarray)
        assert (leaf.shape, leaf.dtype) == (other.shape, other.dtype)


def test_a_key_stands_for_the_number_of_its_last_64_bits(drawn):
    model = create_model(NAME)
    words = np.array([0, 0], np.uint32)
    for key in (jax.random.key(0), jax.random.PRNGKey(0), words, np.int64(0)):
        tiny.assert_equal_bits(flat(initial_variables(model, key)), drawn)
    seeds = {
        7: jax.random.key(7),
        (3 << 32) + 9: jnp.array([3, 9], jnp.uint32),
        (3 << 32) + 10: jax.random.wrap_key_data(
            np.array([1, 2, 3, 10], np.uint32), impl="rbg"
        ),
    }
    for seed, key in seeds.items():
        name = "params/stem/conv1/kernel"
        of_key, of_seed = (flat(initial_variables(model, s))[name] for s in (key, seed))
        np.testing.assert_array_equal(of_key, of_seed)


@pytest.mark.parametrize(
    "seed",
    [-1, 2**64, 0.5, "0", None, True, np.zeros(2), np.zeros(3, np.uint32)]
    + [jax.random.split(jax.random.key(0))],
    ids=str,
)
def test_what_is_neither_a_seed_nor_a_key_is_named(seed):
    with pytest.raises(ConfigError) as caught:
        initial_variables(create_model(NAME), seed)
    assert str(caught.value) == (
        f"seed {seed!r} of initial variables: expected an integer from 0 to 2**64 - 1, "
        "or one key, as jax.random.key(0)"
    )


def test_a_traced_key_is_refused():
    draw = jax.jit(lambda key: initial_variables(create_model(NAME), key))
    with pytest.raises(ConfigError, match="is traced.* from outside"):
        draw(jax.random.key(0))


def test_the_same_seed_gives_the_same_values_and_another_seed_others(drawn):
    again = flat(initial_variables(create_model(NAME)))
    other = flat(initial_variables(create_model(NAME), seed=1))
    for name, value in drawn.items():
        np.testing.assert_array_equal(again[name], value)
        if name.endswith("kernel"):
            assert not np.array_equal(other[name], value), name


def test_a_leaf_depends_on_its_name_and_shape_only(drawn):
    # The body of another family, and with other options, has the same values.
    others = flat(initial_variables(create_model("classification/w18_small_v1")))
    shared = [name for name in drawn if name in others]
    assert len(shared) > 300
    for name in shared:
        np.testing.assert_array_equal(others[name], drawn[name])


def test_a_kernel_is_drawn_from_the_stream_of_its_name(drawn):
    name = "params/stem/conv1/kernel"
    stream = np.random.Philox(key=(zlib.crc32(name.encode()), 0))
    normal = np.random.Generator(stream).standard_normal((3, 3, 3, 64), np.float32)
    std = np.sqrt(2 / (3 * 3 * 64))
    np.testing.assert_allclose(drawn[name], normal * std, rtol=1e-6)


def check_standardized(values, std):
    """Mean 0 and the given std, within five standard errors."""
    count = values.size
    assert abs(values.mean()) < 5 * std / np.sqrt(count)
    assert abs(values.std() / std - 1) < 5 / np.sqrt(2 * count)


def test_kernels_have_the_spread_of_he_with_fan_out(drawn):
    kernels = {name: k for name, k in drawn.items() if k.ndim == 4}
    assert len(kernels) == 73
    # The last layer starts near a uniform guess instead.
    check_standardized(kernels.pop("params/head/classifier/kernel"), 0.01)
    for kernel in kernels.values():
        height, width, _, outputs = kernel.shape
        check_standardized(kernel, np.sqrt(2 / (height * width * outputs)))


def test_official_kernels_have_standard_deviation_one_thousandth():
    leaves = flat(initial_variables(create_model(NAME), initializer="official"))
    for kernel in leaves.values():
        if kernel.ndim == 4:
            check_standardized(kernel, 0.001)


def test_official_ocr_heads_keep_the_default_of_pytorch():
    model = create_model("segmentation/w18_small_v1_ocr")
    leaves = flat(initial_variables(model, initializer="official"))
    kernels = {name: k for name, k in leaves.items() if k.ndim == 4}
    heads = {n for n in kernels if n.startswith(("params/aux/", "params/ocr/"))}
    assert len(heads) == 11
    for name, kernel in kernels.items():
        if name not in heads:
            check_standardized(kernel, 0.001)
            continue
        bound = 1 / np.sqrt(np.prod(kernel.shape[:-1]))
        assert 0.99 * bound < np.abs(kernel).max() <= bound * (1 + 1e-6), name
        check_standardized(kernel, bound / np.sqrt(3))


def test_official_pose_biases_start_at_zero():
    model = create_model("pose/w18_small_v1")
    official = flat(initial_variables(model, initializer="official"))
    assert not official["params/classifier/bias"].any()
    assert flat(initial_variables(model))["params/classifier/bias"].any()


def test_norms_start_as_the_identity(drawn):
    for name, value in drawn.items():
        if name.endswith(("/scale", "/var")):
            assert (value == 1).all(), name
        is_norm_bias = name.endswith("/bias") and "/norm" in name
        if name.endswith("/mean") or is_norm_bias:
            assert (value == 0).all(), name


def test_biases_and_linear_layers_follow_the_default_of_pytorch():
    leaves = flat(initial_variables(create_model("classification/w18_small_v1")))
    for name, fan_in in [
        ("params/classifier/kernel", 2048),
        ("params/classifier/bias", 2048),
        ("params/final/conv/bias", 1024),
        ("params/downsample0/conv/bias", 9 * 128),
    ]:
        value, bound = leaves[name], 1 / np.sqrt(fan_in)
        assert 0.9 * bound < np.abs(value).max() <= bound * (1 + 1e-6), name
        assert abs(value.mean()) < 5 * bound / np.sqrt(3 * value.size), name


def test_unknown_initializer_is_an_error_that_lists_the_known_ones():
    with pytest.raises(ConfigError, match="'xavier'.*he, official"):
        initial_variables(create_model(NAME), initializer="xavier")


def test_shapes_are_traced_without_computing():
    for leaf in jax.tree.leaves(variable_shapes(create_model(NAME))):
        assert isinstance(leaf, jax.ShapeDtypeStruct)


def test_equal_models_are_traced_once_and_share_no_dictionary(monkeypatch):
    monkeypatch.setitem(VARIANTS, tiny.VARIANT_NAME, tiny.VARIANT)
    model = create_model("segmentation/tiny", num_classes=3)
    first = variable_shapes(model)
    kernel = first["params"]["head"]["classifier"].pop("kernel")
    with monkeypatch.context() as patch:
        patch.setattr(type(model), "init", None)
        equal = create_model("segmentation/tiny", num_classes=3)
        again = variable_shapes(equal)["params"]["head"]["classifier"]["kernel"]
    assert again.shape == kernel.shape == (1, 1, 15 * 8, 3)
    other = variable_shapes(create_model("segmentation/tiny", num_classes=4))
    assert other["params"]["head"]["classifier"]["kernel"].shape[-1] == 4


def test_another_variant_of_the_same_name_has_its_own_shapes(monkeypatch):
    widths = []
    for width in (8, 6):
        variant = dataclasses.replace(tiny.VARIANT, width=width)
        monkeypatch.setitem(VARIANTS, tiny.VARIANT_NAME, variant)
        shapes = variable_shapes(create_model("segmentation/tiny"))["params"]
        widths.append(shapes["head"]["classifier"]["kernel"].shape[-2])
    assert widths == [15 * 8, 15 * 6]


def test_a_parameter_of_another_shape_is_named():
    layer = Conv(4)
    variables = layer.init(jax.random.key(0), jnp.zeros((1, 8, 8, 3)))
    message = r"expected to generate shape \(3, 3, 5, 4\), .* shape \(3, 3, 3, 4\)"
    with pytest.raises(ScopeParamShapeError, match=message):
        layer.apply(variables, jnp.zeros((1, 8, 8, 5)))
